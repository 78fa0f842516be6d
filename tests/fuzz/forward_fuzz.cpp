#include "dataplane/core/memory_engine.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

// Input: packets, each 8 bytes of description (port, headroom, tailroom, offload, length) and its frame. All
// of them go through one forwarder with flows. Whatever they are: every packet gets a fate, stays in its
// buffer, and is counted once; what an engine would do with it (segment, complete, fragment) is safe, too.

using namespace fairlead;
using namespace fairlead::core;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}
IpAddress address(const char* text) {
  return *IpAddress::parse(text);
}

NodeState node_state() {
  NodeState state;
  state.generation = 1;
  state.settings.vtep4 = address("192.0.2.1");
  state.settings.vtep6 = address("2001:db8::1");
  state.settings.cluster_pods = {prefix("10.244.0.0/16"), prefix("fd00::/48")};
  state.settings.local_pods = {prefix("10.244.1.0/24"), prefix("fd00:0:0:1::/64")};
  const char* const own[] = {"192.0.2.1", "2001:db8::1"};
  for (const char* one : own) state.routes[Prefix::host(address(one))] = {RouteKind::kHost, 0};
  for (EndpointId id = 1; id <= 2; ++id) {
    Endpoint& endpoint = state.endpoints[id];
    endpoint.id = id;
    endpoint.host_interface = "fl";
    endpoint.host_ifindex = id;
    const std::string last = std::to_string(id + 1);
    endpoint.addresses = {address(("10.244.1." + last).c_str()), address(("fd00:0:0:1::" + last).c_str())};
    for (const IpAddress& at : endpoint.addresses)
      state.routes[Prefix::host(at)] = {RouteKind::kEndpoint, id};
  }
  const char* const vteps[] = {"192.0.2.2", "2001:db8::3"};
  for (PeerId id = 2; id <= 3; ++id) {
    Peer& peer = state.peers[id];
    peer.id = id;
    peer.node = "node";
    peer.vtep = address(vteps[id - 2]);
    const std::string number = std::to_string(id);
    peer.pod_cidrs = {prefix(("10.244." + number + ".0/24").c_str()),
                      prefix(("fd00:0:0:" + number + "::/64").c_str())};
    for (const Prefix& pods : peer.pod_cidrs) state.routes[pods] = {RouteKind::kPeer, id};
  }
  return state;
}

std::unique_ptr<MemoryEngine> engine() {
  ForwarderConfig config;
  config.flow_capacity = 64;
  config.seed = 1;
  auto made = std::make_unique<MemoryEngine>(config);
  const PortKind kinds[] = {PortKind::kUplink, PortKind::kTrunk, PortKind::kHost};
  for (PortId id = 1; id <= 3; ++id) {
    PortSpec spec;
    spec.id = id;
    spec.kind = kinds[id - 1];
    require(made->add_port(spec).ok());
  }
  Underlay underlay;
  underlay.links[1].up = true;
  for (const char* net : {"192.0.2.0/24", "2001:db8::/64"})
    underlay.routes[prefix(net)].next_hops = {{{}, 1, 1}};
  underlay.routes[prefix("0.0.0.0/0")].next_hops = {{address("192.0.2.9"), 1, 1}};
  for (const char* one : {"192.0.2.2", "192.0.2.9", "2001:db8::3"})
    underlay.neighbours[{1, address(one)}].bytes[5] = 9;
  require(made->set_underlay(underlay).ok());
  require(made->publish(diff(NodeState{}, node_state())).ok());
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<MemoryEngine> node = engine();
  std::span<const uint8_t> left(data, size);
  uint64_t sent = node->counters()[Counter::in];
  static uint64_t now_ns = 1'000'000'000;
  while (left.size() >= 8) {
    uint8_t how[8];
    std::memcpy(how, left.data(), sizeof(how));
    left = left.subspan(8);
    const size_t length = std::min<size_t>(left.size(), how[6] | (how[7] & 7) << 8);
    Offload offload;
    offload.checksum_partial = (how[3] & 1) != 0;
    offload.checksum_verified = (how[3] & 2) != 0;
    offload.segment_kind = how[3] >> 2 & 3;
    offload.segment_size = static_cast<uint16_t>(how[4] * 8);
    offload.checksum_start = how[5];
    offload.checksum_offset = how[3] >> 4;
    for (const MemoryEngine::Output& out :
         node->inject(how[0] % 5, left.first(length), offload, static_cast<uint16_t>(how[1]))) {
      require(out.port >= 1 && out.port <= 3 && out.frame.size() >= 14);
    }
    require(node->last_fate() != Fate::kNone);
    require((node->last_fate() == Fate::kDrop) <= (node->last_reason() != DropReason::NONE));
    left = left.subspan(length);
    require(node->counters()[Counter::in] == ++sent);
    require(node->counters().conserved());
    if ((how[2] & 0xf0) == 0xf0) node->tick(now_ns += 1'000'000'000ull * (how[2] & 15));
  }
  return 0;
}
