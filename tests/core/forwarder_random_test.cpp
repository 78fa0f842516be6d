// Random packets: nothing is lost from the counters, and trace() says what forward() does.
#include "dataplane/core/memory_engine.hpp"
#include "tests/core/node_fixture.hpp"

#include <random>

namespace fairlead::core {
namespace {

class ForwarderRandomTest : public NodeFixture {
 protected:
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  template <typename T, size_t N>
  const T& one_of(const T (&all)[N]) {
    return all[below(N)];
  }

  // The packet that `request` describes, sent in earnest.
  Sent really(const TraceRequest& request) {
    const bool is4 = request.source.is_ipv4();
    const std::string ports =
        std::to_string(request.source_port) + ">" + std::to_string(request.destination_port);
    const std::string ttl = std::to_string(request.ttl);
    std::string l4;
    uint32_t header = 0;
    std::string proto;
    if (request.protocol == 6) {
      l4 = " tcp(" + ports + " flags=S)";
      header = 20;
    } else if (request.protocol == 17) {
      l4 = " udp(" + ports + ")";
      header = 8;
    } else if (request.protocol == 132) {
      l4 = " sctp(" + ports + ")";
      header = 12;
    } else if (request.protocol == 1) {
      l4 = (is4 ? " icmp(8 0 id=" : " icmp6(128 0 id=") + std::to_string(request.source_port) + ")";
      header = 8;
    } else {
      proto = (is4 ? " proto=" : " nh=") + std::to_string(request.protocol);
    }
    const uint32_t payload = request.length - (is4 ? 20 : 40) - header;
    std::string sender = "host>host";
    PortId port = request.from_port;
    if (request.from_endpoint != 0) {
      sender = "ep" + std::to_string(request.from_endpoint) + ">gw";
      port = 2;
    } else if (port == 1) {
      sender = "router>self";
    }
    return forward(port, "eth(" + sender + ")" + (is4 ? " ip4(" : " ip6(") + request.source.text() + ">" +
                             request.destination.text() + (is4 ? " df ttl=" : " hl=") + ttl + proto + ")" +
                             l4 + " zeros(" + std::to_string(payload) + ")");
  }

  std::mt19937_64 random_{20261123};
};

TEST_F(ForwarderRandomTest, GarbageIsConserved) {
  start("overlay");
  const char* const seeds[] = {
      "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(1>2 flags=S)",
      "eth(ep2>gw) ip6(fd00:10:244:1::3>fd00:10:244:2::2 hl=64) frag(mf) udp(1>2 len=100 csum=0) zeros(56)",
      ("eth(peer2>self) ip4(192.0.2.2>192.0.2.1 df) udp(50000>4789 csum=0) vxlan(100) eth(vtep2>any) "
       "ip4(10.244.2.2>10.244.1.2 ttl=63) icmp(8 0)"),
      "eth(host>host) ip4(192.0.2.1>10.244.1.2 ttl=64) udp(1>2)",
      "eth(ep1>gw) ip4(10.244.1.2>192.0.2.1 ttl=64) udp(1>2)",
      "eth(ep2>gw) ip6(fd00:10:244:1::3>fd00:10:244:3::2 hl=64) udp(1>2)"};
  const PortId ports[] = {2, 2, 1, 3, 2, 2};
  std::vector<golden::Bytes> frames;
  for (const char* text : seeds) frames.push_back(frame(text));
  for (int round = 0; round < 20000; ++round) {
    const uint32_t which = below(6);
    golden::Bytes bytes = frames[which];
    for (uint32_t flips = below(4); flips > 0; --flips)
      bytes[below(static_cast<uint32_t>(bytes.size()))] ^= 1u << below(8);
    if (below(4) == 0) bytes.resize(below(static_cast<uint32_t>(bytes.size()) + 1));
    if (below(50) == 0) {
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    }
    const Offload offload{.checksum_partial = below(3) == 0,
                          .segment_size = static_cast<uint16_t>(below(4) == 0 ? below(3000) : 0),
                          .checksum_start = static_cast<uint16_t>(below(200)),
                          .checksum_offset = static_cast<uint16_t>(below(30))};
    const Sent sent = forward(static_cast<PortId>(below(8) == 0 ? below(5) : ports[which]), bytes, offload,
                              static_cast<uint16_t>(below(200)), static_cast<uint16_t>(below(100)));
    ASSERT_NE(sent.packet.fate, Fate::kNone);
    ASSERT_EQ(sent.packet.fate == Fate::kDrop,
              sent.packet.reason != DropReason::NONE && sent.packet.fate != Fate::kAnswer);
    ASSERT_GE(sent.packet.data, sent.buffer.data());
    ASSERT_LE(sent.packet.data + sent.packet.length, sent.buffer.data() + sent.buffer.size());
    ASSERT_EQ(sent.packet.data - sent.buffer.data(), sent.packet.headroom);
    now_ns_ += 1'000'000;
  }
  const Counters all = counters();
  EXPECT_EQ(all[Counter::in], 20000u);
  for (Counter counter : {Counter::forwarded, Counter::answered, Counter::punted, Counter::held})
    EXPECT_GT(all[counter], 50u);
}

TEST_F(ForwarderRandomTest, TraceSaysWhatForwardDoes) {
  for (const char* world : {"overlay", "routed", "auto", "overlay6"}) {
    start(world, {.flow_capacity = 4096, .seed = 9, .icmp_errors_per_second = 1'000'000'000});
    const char* const v4[] = {"10.244.1.2", "10.244.1.3", "10.244.1.9", "10.244.2.2",
                              "10.244.3.2", "10.244.9.9", "192.0.2.1",  "192.0.2.2",
                              "192.0.2.20", "8.8.8.8",    "127.0.0.1",  "224.0.0.5"};
    const char* const v6[] = {"fd00:10:244:1::2", "fd00:10:244:1::3", "fd00:10:244:2::2",
                              "fd00:10:244:3::2", "fd00:10:244:9::2", "2001:db8::1",
                              "2001:db8::77",     "2001:4860::8888",  "::1",
                              "ff02::1"};
    for (int round = 0; round < 1500; ++round) {
      const bool is4 = below(2) == 0;
      TraceRequest request;
      const uint32_t from = below(4);
      if (from < 2) request.from_endpoint = from + 1;
      if (from == 2) request.from_port = 1;
      if (from == 3) request.from_port = 3;
      if (world_.endpoints.size() < 2 && from == 1) request.from_endpoint = 1;
      request.source = *IpAddress::parse(is4 ? one_of(v4) : one_of(v6));
      request.destination = *IpAddress::parse(is4 ? one_of(v4) : one_of(v6));
      const uint8_t protocols[] = {1, 6, 17, 132, 47};
      request.protocol = one_of(protocols);
      request.source_port = static_cast<uint16_t>(1000 + below(5));
      request.destination_port = static_cast<uint16_t>(below(8) == 0 ? 4789 : 80);
      request.length = static_cast<uint16_t>(below(4) == 0 ? 1440 + below(80) : 84);
      request.ttl = static_cast<uint8_t>(below(8) == 0 ? below(3) : 64);

      const uint64_t before = count(Counter::in);
      const Result<Trace> trace = forwarder_->trace(request);
      ASSERT_TRUE(trace.ok());
      ASSERT_EQ(count(Counter::in), before) << "a trace leaves no trace";
      const Sent sent = really(request);
      const char* const fates[] = {"none", "forward", "answer", "punt", "hold", "drop"};
      ASSERT_EQ(trace->verdict, fates[static_cast<size_t>(sent.packet.fate)])
          << world << " " << request.source.text() << " -> " << request.destination.text();
      if (sent.packet.reason != DropReason::NONE) {
        ASSERT_EQ(trace->drop_reason, describe(sent.packet.reason).name);
      }
      if (sent.packet.fate == Fate::kForward || sent.packet.fate == Fate::kPunt) {
        const golden::Bytes bytes = sent.bytes();
        golden::Bytes header(bytes.begin(),
                             bytes.begin() + static_cast<ptrdiff_t>(trace->pushed_header.size()));
        golden::Bytes traced = trace->pushed_header;
        if (header.size() == 84)
          header[60] = header[61] = traced[60] = traced[61] = 0;  // of the payload, too
        ASSERT_EQ(golden::hex(traced), golden::hex(header));
      }
      ASSERT_FALSE(trace->steps.empty());
      if (sent.packet.fate != Fate::kDrop) {
        ASSERT_NE(trace->port, "");
      }
    }
  }
}

TEST_F(ForwarderRandomTest, TraceNamesWhatDecides) {
  start("overlay");
  TraceRequest request;
  request.from_endpoint = 1;
  request.source = *IpAddress::parse("10.244.1.2");
  request.destination = *IpAddress::parse("10.244.2.2");
  request.protocol = 6;
  const Result<Trace> trace = forwarder_->trace(request);
  ASSERT_TRUE(trace.ok());
  std::map<std::string, TraceStep> steps;
  for (const TraceStep& step : trace->steps) steps[step.step] = step;
  EXPECT_EQ(steps["parse"].object, "pod default/a");
  EXPECT_EQ(steps["route"].object, "10.244.2.0/24 -> peer node-2 vxlan");
  EXPECT_EQ(steps["route"].text, "node node-2, tunnel to 192.0.2.2, MTU 1450");
  EXPECT_EQ(steps["commit"].text, "would write a flow entry; replies to endpoint default/a");
  EXPECT_EQ(trace->pushed_header.size(), 64u);
  EXPECT_EQ(trace->port, "uplink (port 1)");
  request.from_endpoint = 77;
  EXPECT_EQ(forwarder_->trace(request).error().code, "FL2203");
  request.source = *IpAddress::parse("fd00::1");
  EXPECT_EQ(forwarder_->trace(request).error().code, "FL2204");
}

}  // namespace
}  // namespace fairlead::core
