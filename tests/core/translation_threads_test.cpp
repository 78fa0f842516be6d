// Workers that translate at the same time: no packet lost, no port given twice. The counts are fixed, not
// timed.
#include "tests/core/translation_fixture.hpp"

#include <array>
#include <atomic>
#include <set>
#include <thread>

namespace fairlead::core {
namespace {

class TranslationThreadsTest : public TranslationFixture {
 protected:
  static constexpr unsigned kWorkers = 2;
  static constexpr size_t kRoom = 512;

  void start_workers(uint32_t capacity, uint16_t snat_last) {
    ForwarderConfig config{.workers = kWorkers, .flow_capacity = capacity, .seed = 11};
    start("overlay", config);
    NodeState state = forwarder_->node_state();
    state.settings.masquerade4 = *IpAddress::parse("192.0.2.1");
    state.settings.snat_port_first = kSnatFirst;
    state.settings.snat_port_last = snat_last;
    publish(state);
  }

  // One worker's frames, one a call, both workers at about the same one: seen(frame, packet) after each.
  template <typename Seen>
  void in_step(const std::vector<golden::Bytes> (&frames)[kWorkers], const Seen& seen) {
    std::array<std::atomic<size_t>, kWorkers> at{};
    std::vector<std::thread> threads;
    for (unsigned index = 0; index < kWorkers; ++index) {
      threads.emplace_back([&, index] {
        Forwarder::Worker& worker = forwarder_->worker(index);
        worker.online();
        std::vector<uint8_t> buffer(2 * kRoom);
        for (size_t i = 0; i < frames[index].size(); ++i) {
          at[index].store(i, std::memory_order_relaxed);
          while (at[index ^ 1].load(std::memory_order_relaxed) < i) std::this_thread::yield();
          const golden::Bytes& frame = frames[index][i];
          std::copy(frame.begin(), frame.end(), buffer.begin() + kRoom);
          Packet packet;
          packet.data = buffer.data() + kRoom;
          packet.length = static_cast<uint32_t>(frame.size());
          packet.headroom = kRoom;
          packet.rx_port = 2;
          worker.forward({&packet, 1}, 5'000'000'000);
          seen(index, i, packet);
          worker.quiescent();
        }
        at[index].store(frames[index].size(), std::memory_order_relaxed);
        worker.offline();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

// reliability N1: two first packets of one socket on two workers (A and AAAA of one lookup).
TEST_F(TranslationThreadsTest, TwoFirstPacketsOfOneTupleBothArriveAtOneBackend) {
  services_.put(17, "10.96.0.10", 53, {"10.244.1.3", "10.244.2.2", "10.244.2.3"}, 5353);
  start_workers(8192, kSnatLast);
  constexpr size_t kPairs = 3000;
  std::vector<golden::Bytes> frames[kWorkers];
  for (size_t pair = 0; pair < kPairs; ++pair) {
    for (std::vector<golden::Bytes>& of : frames) {
      of.push_back(frame("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(" + std::to_string(10000 + pair) +
                         ">53 csum=0) zeros(8)"));
    }
  }
  std::vector<std::array<uint8_t, 4>> backends[kWorkers];
  for (auto& of : backends) of.resize(kPairs);
  std::atomic<size_t> lost{0};
  in_step(frames, [&](unsigned worker, size_t i, const Packet& packet) {
    if (packet.fate != Fate::kForward) {
      lost.fetch_add(1);
      return;
    }
    std::memcpy(backends[worker][i].data(), packet.data + packet.encap_length + 14 + 16, 4);
  });
  EXPECT_EQ(lost.load(), 0u);
  EXPECT_EQ(backends[0], backends[1]);
  EXPECT_EQ(flows().size(), kPairs);
  EXPECT_EQ(count(Counter::flows_created), kPairs);
}

// reliability N2: connections of two pods to one destination; all ports are used, each by one of them.
TEST_F(TranslationThreadsTest, WorkersNeverGiveOnePortTwice) {
  constexpr uint16_t kPorts = 2000;
  start_workers(8192, kSnatFirst + kPorts - 1);
  std::vector<golden::Bytes> frames[kWorkers];
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    for (int client = 0; client < kPorts / 2; ++client) {
      frames[worker].push_back(frame("eth(ep" + std::to_string(worker + 1) + ">gw) ip4(10.244.1." +
                                     std::to_string(worker + 2) + ">203.0.113.9 ttl=64) udp(" +
                                     std::to_string(2000 + client) + ">53 csum=0)"));
    }
  }
  std::array<std::atomic<uint32_t>, kPorts> given{};
  std::atomic<size_t> lost{0};
  in_step(frames, [&](unsigned, size_t, const Packet& packet) {
    if (packet.fate != Fate::kForward) {
      lost.fetch_add(1);
      return;
    }
    const auto port = static_cast<uint16_t>(packet.data[34] << 8 | packet.data[35]);
    given.at(static_cast<size_t>(port - kSnatFirst)).fetch_add(1);
  });
  EXPECT_EQ(lost.load(), 0u);
  for (size_t port = 0; port < kPorts; ++port) ASSERT_EQ(given[port].load(), 1u) << port;
}

// Flows are made, translated, reconciled and erased by control at the same time: for the thread sanitizer.
TEST_F(TranslationThreadsTest, ChangesMeetTraffic) {
  services_.put(17, "10.96.0.10", 53, {"10.244.1.3", "10.244.2.2"}, 5353);
  start_workers(512, kSnatLast);
  std::vector<golden::Bytes> frames[kWorkers];
  for (int round = 0; round < 1500; ++round) {
    const std::string port = std::to_string(1000 + round % 300);
    frames[0].push_back(frame("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(" + port + ">53)"));
    frames[1].push_back(frame(round % 3 == 0
                                  ? "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) udp(" + port + ">53)"
                                  : "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) udp(5353>" + port + ")"));
  }
  std::atomic<bool> done{false};
  std::atomic<size_t> untranslated{0};
  std::thread traffic([&] {
    in_step(frames, [&](unsigned worker, size_t, const Packet& packet) {
      if (worker == 0 && packet.fate == Fate::kForward && packet.data[packet.encap_length + 14 + 17] == 96) {
        untranslated.fetch_add(1);
      }
    });
    done = true;
  });
  uint64_t now_ns = 5'000'000'000;
  for (uint32_t change = 1; !done; ++change) {
    NodeState state = forwarder_->node_state();
    auto service = std::make_shared<Service>();
    service->id = 1000;
    service->service_namespace = "default";
    service->name = "web";
    service->protocol = 17;
    service->affinity_seconds = change;
    service->frontends = {{FrontendKind::kClusterIp, *IpAddress::parse("10.96.9.9"), 9}};
    state.services[1000] = service;
    state.peers[2].vtep_mac = MacAddress{{2, 0, 0, 0, 9, static_cast<uint8_t>(change)}};
    NodeFixture::publish(state);
    forwarder_->age(now_ns += 3'000'000'000, 128);
    forwarder_->each_flow({}, [](const FlowRecord& flow) { return flow.protocol != 0; });
  }
  traffic.join();
  EXPECT_EQ(untranslated.load(), 0u);
  EXPECT_TRUE(counters().conserved());
}

// A pod that floods a Service with SYNs uses up its quota, and nobody else's: established flows lose nothing
// and honest handshakes succeed.
TEST_F(TranslationFixture, SynFloodIsTheFloodersProblem) {
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8080);
  start_translating("overlay", 4096);
  const std::string tunnel =
      "eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64 df) udp(50000>4789 csum=0) vxlan(100) eth(vtep2>any) ";
  const auto honest = [&](int port, const char* flags, bool back) {
    const std::string client = std::to_string(port);
    return back ? dropped(1, tunnel + "ip4(10.244.2.2>10.244.1.3 ttl=64) tcp(8080>" + client +
                                 " flags=" + flags + ")")
                : dropped(2, "eth(ep2>gw) ip4(10.244.1.3>10.96.0.10 ttl=64) tcp(" + client +
                                 ">80 flags=" + flags + ")");
  };
  for (int port = 1000; port < 1050; ++port) {
    ASSERT_EQ(honest(port, "S", false), DropReason::NONE);
    ASSERT_EQ(honest(port, "SA", true), DropReason::NONE);
    ASSERT_EQ(honest(port, "A", false), DropReason::NONE);
  }
  golden::Bytes syn = frame("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(1>80 flags=S csum=0)");
  uint64_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    syn[34] = static_cast<uint8_t>(round >> 8);
    syn[35] = static_cast<uint8_t>(round);
    refused += forward(2, syn).packet.reason == DropReason::FLOW_QUOTA ? 1 : 0;
    if (round % 100 != 0) continue;
    now_ns_ += 10'000'000;
    const int port = 2000 + round / 100;
    ASSERT_EQ(honest(1000 + round / 100 % 50, "A", false), DropReason::NONE) << "an established one";
    ASSERT_EQ(honest(port, "S", false), DropReason::NONE) << round;
    ASSERT_EQ(honest(port, "SA", true), DropReason::NONE);
    ASSERT_EQ(honest(port, "A", false), DropReason::NONE);
  }
  EXPECT_EQ(refused, 20000u - 2048u) << "half of the table is one pod's limit";
  now_ns_ += 11'000'000'000;
  forwarder_->age(now_ns_, 1u << 20);
  EXPECT_EQ(flows().size(), 250u) << "connections that were only asked for are gone in seconds";
}

}  // namespace
}  // namespace fairlead::core
