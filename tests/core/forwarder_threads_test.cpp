// Workers forward while the control thread publishes, ages and reads: meant for the tsan preset, true in all.
#include "tests/core/node_fixture.hpp"

#include <atomic>
#include <thread>

namespace fairlead::core {
namespace {

class ForwarderThreadsTest : public NodeFixture {};

// The bursts of one worker, until told to stop.
void work(Forwarder::Worker& worker, const std::vector<golden::Bytes>& frames, std::atomic<bool>& stop,
          unsigned seed) {
  constexpr size_t kRoom = 512;
  std::vector<uint8_t> buffers(kBurst * kRoom * 2);
  std::array<Packet, kBurst> packets;
  std::vector<Packet> held;
  uint64_t now_ns = 5'000'000'000;
  worker.online();
  for (unsigned round = seed; !stop.load(std::memory_order_relaxed); ++round) {
    for (unsigned i = 0; i < kBurst; ++i) {
      const golden::Bytes& frame = frames[(round * 7 + i) % frames.size()];
      packets[i] = Packet{};
      packets[i].data = buffers.data() + i * kRoom * 2 + kRoom;
      packets[i].length = static_cast<uint32_t>(frame.size());
      packets[i].headroom = kRoom;
      packets[i].tailroom = static_cast<uint16_t>(kRoom - frame.size());
      packets[i].rx_port = 2;
      std::copy(frame.begin(), frame.end(), packets[i].data);
    }
    worker.forward(packets, now_ns += 10'000);
    unsigned waiting = 0;
    for (const Packet& packet : packets) waiting += packet.fate == Fate::kHold ? 1 : 0;
    if (waiting != 0) worker.undo(Fate::kHold, DropReason::NEIGHBOUR_UNRESOLVED, waiting);
    worker.quiescent();
    if (round % 64 == 0) {
      worker.offline();
      std::this_thread::yield();
      worker.online();
    }
  }
  worker.offline();
}

TEST_F(ForwarderThreadsTest, PublishingNeverDisturbsForwarding) {
  start("overlay", {.workers = 2, .flow_capacity = 512, .seed = 1});
  std::vector<golden::Bytes> frames;
  for (int port = 1; port <= 200; ++port) {
    const std::string ports = std::to_string(port);
    frames.push_back(frame("eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(" + ports + ">80 flags=S)"));
    frames.push_back(frame("eth(ep2>gw) ip6(fd00:10:244:1::3>fd00:10:244:2::2 hl=64) udp(" + ports + ">80)"));
    frames.push_back(frame("eth(ep1>gw) ip4(10.244.1.2>10.244.1.3 ttl=64) udp(" + ports + ">80)"));
    frames.push_back(
        frame("eth(ep1>gw) ip4(10.244.1.2>192.0.2." + std::to_string(4 + port % 20) + " ttl=64) udp(1>2)"));
    frames.push_back(frame("eth(ep2>gw) ip4(10.244.1.3>10.244.2.2 ttl=1) udp(" + ports + ">80)"));
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < 2; ++index) {
    threads.emplace_back([&, index] { work(forwarder_->worker(index), frames, stop, index); });
  }
  // Wait for each change's effect in packets, not for time.
  uint64_t seen = 0;
  for (int change = 0; change < 60; ++change) {
    NodeState state = forwarder_->node_state();
    state.peers[2].transport = change % 2 == 0 ? Transport::kRouted : Transport::kOverlay;
    Endpoint& other = state.endpoints[static_cast<EndpointId>(100 + change)];
    other.id = static_cast<EndpointId>(100 + change);
    other.host_interface = "fl" + std::to_string(change);
    other.host_ifindex = 100 + static_cast<uint32_t>(change);
    other.addresses = {*IpAddress::parse("10.244.1." + std::to_string(100 + change))};
    state.routes[Prefix::host(other.addresses[0])] = {RouteKind::kEndpoint, other.id};
    publish(state);
    underlay_.neighbours[{1, *IpAddress::parse("192.0.2." + std::to_string(4 + change % 20))}] = {
        {2, 0, 0, 0, 1, static_cast<uint8_t>(change)}};
    ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
    forwarder_->age(5'000'000'000 + static_cast<uint64_t>(change) * 1'000'000'000, 256);
    do {
      const Counters now = counters();
      ASSERT_TRUE(now.conserved());
      if (now[Counter::in] > seen + 2000) {
        seen = now[Counter::in];
        break;
      }
      std::this_thread::yield();
    } while (true);
    forwarder_->each_flow({}, [](const FlowRecord& flow) { return flow.protocol != 0; });
    static_cast<void>(forwarder_->unresolved_next_hops());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const Counters all = counters();
  EXPECT_EQ(all[Counter::held], 0u);
  EXPECT_GT(all[Counter::flow_hits], 0u);
  EXPECT_EQ(all[DropReason::NO_ROUTE] + all[DropReason::NO_ENDPOINT] + all[DropReason::NO_UPLINK], 0u)
      << "no change took a way from a packet that had one";
}

}  // namespace
}  // namespace fairlead::core
