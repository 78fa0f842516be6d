#include "dataplane/core/forwarder.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>
#include <x86intrin.h>

// What one packet costs in forward(), everything included but rx and tx: bursts of 64 small UDP packets over
// `flows` connections. The frames are copied into place before every burst, as a NIC would leave them; that
// copy is measured alone in BM_Copy and stands in every other line, too.

namespace fairlead::core {
namespace {

constexpr uint32_t kFrameLength = 60;
constexpr uint32_t kRoom = 256;
constexpr PortId kUplink = 1, kTrunk = 2, kHost = 3;

struct World {
  Forwarder forwarder;

  explicit World(Transport transport, uint32_t flow_capacity = 1u << 20)
      : forwarder({.workers = 1, .flow_capacity = flow_capacity, .seed = 42}) {
    const PortFacts ports[] = {{.id = kUplink, .kind = PortKind::kUplink, .mac = {{2, 0, 0, 0, 0, 1}}},
                               {.id = kTrunk, .kind = PortKind::kTrunk, .mac = {{2, 0, 0, 0, 0, 2}}},
                               {.id = kHost, .kind = PortKind::kHost, .mac = {{2, 0, 0, 0, 0, 3}}}};
    check(forwarder.set_ports(ports));
    Underlay underlay;
    underlay.links[kUplink] = {{{2, 0, 0, 0, 0, 1}}, 1500, true};
    underlay.routes[*Prefix::parse("192.0.2.0/24")].next_hops.push_back({{}, kUplink, 1});
    underlay.neighbours[{kUplink, *IpAddress::parse("192.0.2.2")}] = {{2, 0, 0, 0, 0, 9}};
    check(forwarder.set_underlay(underlay));

    NodeState state;
    state.generation = 1;
    state.settings.vtep4 = *IpAddress::parse("192.0.2.1");
    state.settings.local_pods = {*Prefix::parse("10.244.1.0/24")};
    state.settings.cluster_pods = {*Prefix::parse("10.244.0.0/16")};
    state.routes[*Prefix::parse("192.0.2.1/32")] = {RouteKind::kHost, 0};
    for (EndpointId id = 1; id <= 100; ++id) {
      Endpoint& endpoint = state.endpoints[id];
      endpoint.id = id;
      endpoint.host_interface = "fl" + std::to_string(id);
      endpoint.host_ifindex = id;
      endpoint.addresses = {*IpAddress::parse("10.244.1." + std::to_string(id + 1))};
      state.routes[Prefix::host(endpoint.addresses[0])] = {RouteKind::kEndpoint, id};
    }
    Peer& peer = state.peers[2];
    peer.id = 2;
    peer.node = "node-2";
    peer.transport = transport;
    peer.vtep = peer.next_hop4 = *IpAddress::parse("192.0.2.2");
    peer.pod_cidrs = {*Prefix::parse("10.244.2.0/24")};
    state.routes[peer.pod_cidrs[0]] = {RouteKind::kPeer, 2};
    check(forwarder.publish(diff(NodeState{}, state)));
  }

  static void check(const Result<void>& result) {
    if (!result) std::abort();
  }
};

using Frame = std::vector<uint8_t>;

// A UDP packet of `flow`, from or to one of a hundred pods of ours.
Frame udp_frame(uint32_t flow, bool to_us) {
  Frame frame(kFrameLength);
  const auto address = [](uint32_t net, uint32_t host) {
    return to_be32(0x0af40000u | net << 8 | (host + 2));
  };
  const be32 ours = address(1, flow % 100), theirs = address(2, flow / 100 % 200);
  auto* ethernet = reinterpret_cast<ethernet_header*>(frame.data());
  const MacAddress named = endpoint_mac(1 + flow % 100);
  std::memcpy(ethernet->source.bytes, named.bytes.data(), 6);
  ethernet->ethertype = to_be16(FL_ETHERTYPE_IPV4);
  auto* ip = reinterpret_cast<ipv4_header*>(frame.data() + 14);
  ip->version_ihl = 0x45;
  ip->total_length = to_be16(kFrameLength - 14);
  ip->ttl = 64;
  ip->protocol = FL_PROTOCOL_UDP;
  ip->source = to_us ? theirs : ours;
  ip->destination = to_us ? ours : theirs;
  ip->checksum = checksum_finish(checksum_ipv4_header(ip));
  auto* udp = reinterpret_cast<udp_header*>(ip + 1);
  udp->source_port = to_be16(static_cast<uint16_t>(1024 + flow / 20000));
  udp->destination_port = to_be16(80);
  udp->length = to_be16(kFrameLength - 34);
  return frame;
}

Frame tunnelled(const Frame& inner) {
  encap_spec spec{};
  spec.source.word[0] = to_be32(0xc0000202);
  spec.destination.word[0] = to_be32(0xc0000201);
  spec.vni = 100;
  spec.port = to_be16(4789);
  spec.ip_version = 4;
  encap_template header;
  encap_build_tunnel(&header, &spec);
  Frame room(128 + inner.size());
  std::copy(inner.begin(), inner.end(), room.begin() + 128);
  const uint8_t* start = encap_push(&header, room.data() + 142, static_cast<uint32_t>(inner.size() - 14),
                                    to_be16(FL_ETHERTYPE_IPV4), 0, 7);
  return {start, static_cast<const uint8_t*>(room.data()) + room.size()};
}

// The bursts one after the other, over all frames.
class Source {
 public:
  Source(std::vector<Frame> frames, PortId port)
      : frames_(std::move(frames)), port_(port), buffers_(kBurst * kRoom * 2) {}

  std::span<Packet> next() {
    for (unsigned i = 0; i < kBurst; ++i) {
      const Frame& frame = frames_[at_];
      if (++at_ == frames_.size()) at_ = 0;
      uint8_t* data = buffers_.data() + i * kRoom * 2 + kRoom / 2;
      std::memcpy(data, frame.data(), frame.size());
      packets_[i] = Packet{};
      packets_[i].data = data;
      packets_[i].length = static_cast<uint32_t>(frame.size());
      packets_[i].headroom = kRoom / 2;
      packets_[i].tailroom = 64;
      packets_[i].rx_port = port_;
    }
    return packets_;
  }

 private:
  std::vector<Frame> frames_;
  PortId port_;
  std::vector<uint8_t> buffers_;
  std::array<Packet, kBurst> packets_;
  size_t at_ = 0;
};

std::vector<Frame> frames(uint32_t flows, bool to_us, bool in_tunnel) {
  std::vector<Frame> all;
  for (uint32_t flow = 0; flow < std::max(flows, kBurst); ++flow) {
    Frame frame = udp_frame(flow % flows, to_us);
    all.push_back(in_tunnel ? tunnelled(frame) : std::move(frame));
  }
  return all;
}

void report(benchmark::State& state, uint64_t cycles) {
  const auto packets = static_cast<double>(state.iterations() * kBurst);
  state.SetItemsProcessed(static_cast<int64_t>(packets));
  state.counters["cycles/packet"] = static_cast<double>(cycles) / packets;
}

void run_hits(benchmark::State& state, World& world, Source source, uint32_t flows) {
  Forwarder::Worker& worker = world.forwarder.worker(0);
  worker.online();
  uint64_t now = 1'000'000'000;
  for (uint32_t done = 0; done < flows + kBurst; done += kBurst) worker.forward(source.next(), now);
  const Counters before = world.forwarder.counters();
  uint64_t cycles = 0;
  for (auto _ : state) {
    const std::span<Packet> burst = source.next();
    const uint64_t start = __rdtsc();
    worker.forward(burst, now += 1000);
    cycles += __rdtsc() - start;
    worker.quiescent();
  }
  worker.offline();
  const Counters after = world.forwarder.counters();
  if (after[Counter::flow_misses] != before[Counter::flow_misses] ||
      after.drops_total() != before.drops_total()) {
    state.SkipWithError("not every packet was a hit");
  }
  report(state, cycles);
}

void BM_Copy(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  Source source(frames(flows, false, false), kTrunk);
  for (auto _ : state) benchmark::DoNotOptimize(source.next());
  report(state, 0);
}

void BM_RoutedHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted);
  run_hits(state, world, Source(frames(flows, false, false), kTrunk), flows);
}

void BM_EncapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay);
  run_hits(state, world, Source(frames(flows, false, false), kTrunk), flows);
}

void BM_DecapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay);
  run_hits(state, world, Source(frames(flows, true, true), kUplink), flows);
}

// Every packet begins a connection: slow path and commit. The table is large enough for all of a round.
void BM_NewFlow(benchmark::State& state) {
  constexpr uint32_t kRound = 1u << 18;
  Source source(frames(kRound, false, false), kTrunk);
  std::unique_ptr<World> world;
  uint64_t cycles = 0, left = 0;
  for (auto _ : state) {
    if (left == 0) {
      state.PauseTiming();
      world = std::make_unique<World>(Transport::kOverlay);
      left = kRound / kBurst;
      state.ResumeTiming();
    }
    --left;
    const std::span<Packet> burst = source.next();
    const uint64_t start = __rdtsc();
    world->forwarder.worker(0).forward(burst, 1'000'000'000);
    cycles += __rdtsc() - start;
  }
  if (world->forwarder.counters()[Counter::flow_hits] != 0) state.SkipWithError("not every packet was new");
  report(state, cycles);
}

BENCHMARK(BM_Copy)->Arg(1000)->Arg(100000);
BENCHMARK(BM_RoutedHit)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_EncapHit)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_DecapHit)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_NewFlow);

}  // namespace
}  // namespace fairlead::core
