// Connections whose packets change their addresses: what leaves, in both directions, and what never does.
#include "tests/core/translation_fixture.hpp"

#include <random>
#include <set>

namespace fairlead::core {
namespace {

class TranslationTest : public TranslationFixture {};

TEST_F(TranslationTest, BothDirectionsOfEveryProtocol) {
  struct Case {
    uint8_t protocol;
    std::string name, flags_out, flags_back;
  };
  for (const bool v6 : {false, true}) {
    for (const Case& with : {Case{6, "tcp", " flags=S seq=9", " flags=SA"}, Case{17, "udp", "", ""},
                             Case{17, "udp", " csum=0", " csum=0"}}) {
      SCOPED_TRACE(with.name + with.flags_out + (v6 ? " ipv6" : " ipv4"));
      services_.clear();
      const std::string vip = v6 ? "fd00:10:96::10" : "10.96.0.10";
      const std::string a = v6 ? "fd00:10:244:1::2" : "10.244.1.2",
                        b = v6 ? "fd00:10:244:1::3" : "10.244.1.3";
      services_.put(with.protocol, vip, 80, {b}, 8080);
      start_translating("overlay");
      const auto packet = [&](const std::string& from, const std::string& to, int ttl,
                              const std::string& ports, const std::string& flags) {
        return (v6 ? " ip6(" : " ip4(") + from + ">" + to + (v6 ? " hl=" : " ttl=") + std::to_string(ttl) +
               ") " + with.name + "(" + ports + flags + ") \"hello\"";
      };
      for (int round = 0; round < 3; ++round) {
        const uint64_t hits = count(Counter::flow_hits);
        EXPECT_EQ(leaves(2, "eth(ep1>gw)" + packet(a, vip, 64, "40000>80", with.flags_out), 2,
                         "eth(gw>ep2)" + packet(a, b, 63, "40000>8080", with.flags_out)),
                  "");
        EXPECT_EQ(hit_last(hits), round != 0);
        EXPECT_EQ(leaves(2, "eth(ep2>gw)" + packet(b, a, 64, "8080>40000", with.flags_back), 2,
                         "eth(gw>ep1)" + packet(vip, a, 63, "80>40000", with.flags_back)),
                  "");
      }
      ASSERT_EQ(flows().size(), 1u);
      const FlowRecord flow = flows()[0];
      EXPECT_TRUE(flow.translated);
      EXPECT_EQ(flow.destination, *IpAddress::parse(vip));
      EXPECT_EQ(flow.reply_source, *IpAddress::parse(b));
      EXPECT_EQ(flow.reply_source_port, 8080);
      EXPECT_EQ(flow.reply_destination, *IpAddress::parse(a));
      EXPECT_EQ(flow.packets_original, 3u);
      EXPECT_EQ(flow.packets_reply, 3u);
      EXPECT_EQ(count(Counter::flow_hits), 5u);
    }
  }
}

TEST_F(TranslationTest, IntoTheTunnelAndBack) {
  services_.put(17, "10.96.0.10", 53, {"10.244.2.2"}, 5353);
  start_translating("overlay");
  const std::string tunnel_out =
      "eth(self>peer2) ip4(192.0.2.1>192.0.2.2 ttl=64 df id=*) udp(*>4789 csum=0) vxlan(100) "
      "eth(02:46:c0:00:02:01>vtep2) ";
  const std::string tunnel_in =
      "eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64 df) udp(50000>4789 csum=0) vxlan(100) eth(vtep2>any) ";
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(4000>53) \"q\"", 1,
                     tunnel_out + "ip4(10.244.1.2>10.244.2.2 ttl=63) udp(4000>5353) \"q\""),
              "");
    EXPECT_EQ(leaves(1, tunnel_in + "ip4(10.244.2.2>10.244.1.2 ttl=63) udp(5353>4000) \"a\"", 2,
                     "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=62) udp(53>4000) \"a\""),
              "");
  }
  EXPECT_EQ(count(Counter::flow_hits), 3u);
}

TEST_F(TranslationTest, PartialChecksumsAndSuperPackets) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)");
  // The field of a partial checksum holds the pseudo-header's sum, of the new addresses afterwards.
  const auto partial = [&](const std::string& text) {
    golden::Bytes bytes = frame(text);
    bytes[14 + 20 + 16] = bytes[14 + 20 + 17] = 0;
    const uint32_t l4_length = static_cast<uint32_t>(bytes.size()) - 34;
    const golden::Bytes rest{0, 6, static_cast<uint8_t>(l4_length >> 8), static_cast<uint8_t>(l4_length)};
    uint32_t sum = golden::partial_sum(bytes.data() + 26, 8) + golden::partial_sum(rest.data(), 4);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    bytes[14 + 20 + 16] = static_cast<uint8_t>(sum >> 8);
    bytes[14 + 20 + 17] = static_cast<uint8_t>(sum);
    return bytes;
  };
  for (const uint16_t segment_size : {0, 100}) {
    const Offload offload{
        .checksum_partial = true,
        .segment_kind = static_cast<uint8_t>(segment_size != 0 ? kSegmentTcp4 : kSegmentNone),
        .segment_size = segment_size,
        .checksum_start = 34,
        .checksum_offset = 16};
    const Sent sent =
        forward(2, partial("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=PA) zeros(350)"),
                offload);
    EXPECT_EQ(sent.packet.fate, Fate::kForward);
    EXPECT_TRUE(sent.packet.offload.checksum_partial);
    EXPECT_EQ(golden::hex(sent.bytes()),
              golden::hex(partial(
                  "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) tcp(40000>8080 flags=PA) zeros(350)")));
  }
}

// CRC32c by its definition, RFC 9260 appendix A.
uint32_t crc32c(const uint8_t* bytes, size_t length) {
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < length; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

golden::Bytes with_crc(golden::Bytes frame, uint32_t damage = 0) {
  uint8_t* sctp = frame.data() + 34;
  std::memset(sctp + 8, 0, 4);
  const uint32_t crc = crc32c(sctp, frame.size() - 34) ^ damage;
  std::memcpy(sctp + 8, &crc, 4);
  return frame;
}

TEST_F(TranslationTest, SctpKeepsItsCrcRightOrWrong) {
  services_.put(132, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  for (const uint32_t damage : {0u, 0x1000u}) {
    for (const int size : {0, 1, 7, 8, 333}) {
      const std::string rest = " hex(0102030405060708) zeros(" + std::to_string(size) + ")";
      const Sent out = forward(
          2, with_crc(frame("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) sctp(4000>80)" + rest), damage));
      EXPECT_EQ(golden::hex(out.bytes()),
                golden::hex(with_crc(
                    frame("eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) sctp(4000>8080)" + rest), damage)));
      const Sent back = forward(
          2, with_crc(frame("eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) sctp(8080>4000)" + rest), damage));
      EXPECT_EQ(golden::hex(back.bytes()),
                golden::hex(with_crc(
                    frame("eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63) sctp(80>4000)" + rest), damage)));
    }
  }
}

TEST_F(TranslationTest, PodsLeaveTheClusterWithTheNodesAddress) {
  start_translating("overlay");
  last_ = forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(40000>443 flags=S)");
  EXPECT_EQ(as_wanted(1, "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=63) tcp(" +
                             std::to_string(snat_port_of(40000)) + ">443 flags=S)"),
            "");
  const uint16_t port = snat_port_of(40000);
  EXPECT_GE(port, kSnatFirst);
  EXPECT_LE(port, kSnatLast);
  const std::string own = std::to_string(port);
  EXPECT_EQ(leaves(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) tcp(443>" + own + " flags=SA)", 2,
                   "eth(gw>ep1) ip4(203.0.113.9>10.244.1.2 ttl=49) tcp(443>40000 flags=SA)"),
            "");
  // A port within the range is kept.
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) udp(61003>53)");
  EXPECT_EQ(snat_port_of(61003), 61003);
  // IPv6, and echo by its id.
  (void)forward(2, "eth(ep2>gw) ip6(fd00:10:244:1::3>2001:4860::1 hl=64) icmp6(128 0 id=77 seq=5) \"x\"");
  const std::string id = std::to_string(snat_port_of(77));
  EXPECT_NE(id, "0");
  EXPECT_EQ(
      leaves(2, "eth(ep2>gw) ip6(fd00:10:244:1::3>2001:4860::1 hl=64) icmp6(128 0 id=77 seq=6) \"x\"", 1,
             "eth(self>router) ip6(2001:db8::1>2001:4860::1 hl=63) icmp6(128 0 id=" + id + " seq=6) \"x\""),
      "");
  EXPECT_EQ(
      leaves(1, "eth(router>self) ip6(2001:4860::1>2001:db8::1 hl=60) icmp6(129 0 id=" + id + " seq=6) \"x\"",
             2, "eth(gw>ep2) ip6(2001:4860::1>fd00:10:244:1::3 hl=59) icmp6(129 0 id=77 seq=6) \"x\""),
      "");
}

TEST_F(TranslationTest, SourceIsKeptTowardsPodsNodesAndExceptions) {
  start_translating("routed");
  for (const char* to : {"10.244.2.2", "192.0.2.2", "198.51.100.7"}) {
    const Sent sent = forward(2, std::string("eth(ep1>gw) ip4(10.244.1.2>") + to + " ttl=64) udp(1>2)");
    EXPECT_EQ(sent.packet.fate, Fate::kForward) << to;
    EXPECT_EQ(golden::hex({sent.packet.data + 26, sent.packet.data + 30}), golden::hex({10, 244, 1, 2}))
        << to;
  }
  // From outside to a pod, and what it answers: no connection of ours to begin with.
  (void)forward(1, "eth(router>self) ip4(203.0.113.9>10.244.1.2 ttl=50) tcp(5>80 flags=S)");
  EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(80>5 flags=SA)", 1,
                   "eth(self>router) ip4(10.244.1.2>203.0.113.9 ttl=63) tcp(80>5 flags=SA)"),
            "");
  // Nothing to tell connections apart by: better nothing than the pod's address outside.
  EXPECT_EQ(dropped(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64 proto=47) zeros(20)"),
            DropReason::UNTRANSLATABLE);
}

// reliability N3, S7: every port is used before one connection is refused, and none outside of the range
// ever.
TEST_F(TranslationTest, PoolIsUsedWholeAndThenSaysSo) {
  constexpr uint16_t kLast = 61000 + 999;
  start_translating("overlay", 4096, kLast);
  std::set<uint16_t> used;
  for (int client = 0; client < 1000; ++client) {
    const Sent sent = forward(
        2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) udp(" + std::to_string(2000 + client) + ">53)");
    ASSERT_EQ(sent.packet.fate, Fate::kForward) << client;
    used.insert(static_cast<uint16_t>(sent.packet.data[34] << 8 | sent.packet.data[35]));
  }
  EXPECT_EQ(used.size(), 1000u);
  EXPECT_EQ(*used.begin(), kSnatFirst);
  EXPECT_EQ(*used.rbegin(), kLast);
  for (int client = 0; client < 50; ++client) {
    EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) udp(" +
                             std::to_string(2000 + client) + ">53)"),
              DropReason::SNAT_EXHAUSTED);
  }
  // Another destination, port or protocol has a pool of its own.
  for (const char* other : {"203.0.113.10 ttl=64) udp(7>53)", "203.0.113.9 ttl=64) udp(7>54)",
                            "203.0.113.9 ttl=64) tcp(7>53 flags=S)"}) {
    EXPECT_EQ(dropped(2, std::string("eth(ep2>gw) ip4(10.244.1.3>") + other), DropReason::NONE) << other;
  }
  // A closed connection's port is free again after its guard time.
  now_ns_ += 31'000'000'000;
  forwarder_->age(now_ns_, 1u << 20);
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) udp(2000>53)"), DropReason::NONE);
}

TEST_F(TranslationTest, ClosedConnectionKeepsItsPortForItsGuardTime) {
  start_translating("overlay", 1024, kSnatFirst);  // one port
  const auto tcp = [](int client, const char* flags) {
    return "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(" + std::to_string(client) +
           ">80 flags=" + flags + ")";
  };
  EXPECT_EQ(dropped(2, tcp(5, "S")), DropReason::NONE);
  EXPECT_EQ(dropped(2, tcp(6, "S")), DropReason::SNAT_EXHAUSTED);
  EXPECT_EQ(dropped(2, tcp(5, "RA")), DropReason::NONE);
  EXPECT_EQ(dropped(2, tcp(6, "S")), DropReason::SNAT_EXHAUSTED) << "reset, but not long enough ago";
  // The pod goes; its port is not free for that (reliability N5).
  NodeState state = forwarder_->node_state();
  const NodeState before = state;
  state.endpoints.erase(1);
  for (const char* address : {"10.244.1.2", "fd00:10:244:1::2"}) {
    state.routes.erase(Prefix::host(*IpAddress::parse(address)));
  }
  publish(state);
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) tcp(6>80 flags=S)"),
            DropReason::SNAT_EXHAUSTED);
  now_ns_ += 11'000'000'000;
  forwarder_->age(now_ns_, 1u << 20);
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) tcp(6>80 flags=S)"), DropReason::NONE);
}

// reliability N4, N8: what belongs to no connection does not leave untranslated, and makes none.
TEST_F(TranslationTest, StraysNeitherLeaveNorMakeConnections) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  for (const char* flags : {"R", "RA", "FA"}) {
    EXPECT_EQ(dropped(2, std::string("eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=") +
                             flags + ")"),
              DropReason::NO_FLOW);
    EXPECT_EQ(dropped(2, std::string("eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(40000>80 flags=") +
                             flags + ")"),
              DropReason::NO_FLOW);
  }
  EXPECT_EQ(dropped(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) tcp(80>61001 flags=SA)"),
            DropReason::NO_FLOW);
  EXPECT_EQ(dropped(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) udp(53>61001)"),
            DropReason::NO_FLOW);
  EXPECT_TRUE(flows().empty());
  EXPECT_EQ(
      forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) tcp(80>60999 flags=SA)").packet.fate,
      Fate::kPunt);

  // A late packet from a server or backend made an entry the wrong way round: a SYN is judged afresh.
  (void)forward(1, "eth(router>self) ip4(203.0.113.9>10.244.1.2 ttl=50) tcp(80>40000 flags=A)");
  last_ = forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(40000>80 flags=S)");
  EXPECT_EQ(as_wanted(1, "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=63) tcp(" +
                             std::to_string(snat_port_of(40000)) + ">80 flags=S)"),
            "");
  (void)forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>41000 flags=A)");
  EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(41000>80 flags=S)", 2,
                   "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) tcp(41000>8080 flags=S)"),
            "");
  EXPECT_EQ(leaves(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>41000 flags=SA)", 2,
                   "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63) tcp(80>41000 flags=SA)"),
            "");
}

// The TCP state never keeps a packet of a connection from being translated.
TEST_F(TranslationTest, EveryStateAndFlagIsTranslated) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  std::mt19937 random(5);
  const char* const kFlags[] = {"S", "SA", "A", "PA", "FA", "F", "R", "RA", "SF", "U"};
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)");
  for (int i = 0; i < 2000; ++i) {
    const std::string flags =
        std::string(" flags=") + kFlags[random() % 10] + " seq=" + std::to_string(random());
    if (random() % 2 == 0) {
      ASSERT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80" + flags + ")", 2,
                       "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) tcp(40000>8080" + flags + ")"),
                "")
          << flags;
    } else {
      last_ = forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>40000" + flags + ")");
      // A SYN of the backend's own after the end begins a connection of its own.
      if (as_wanted(2, "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63) tcp(80>40000" + flags + ")") == "")
        continue;
      ASSERT_NE(flags.find("=S "), std::string::npos) << flags;
      ASSERT_EQ(as_wanted(2, "eth(gw>ep1) ip4(10.244.1.3>10.244.1.2 ttl=63) tcp(8080>40000" + flags + ")"),
                "");
      (void)forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>40000 flags=R)");
      (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)");
    }
  }
}

TEST_F(TranslationTest, HairpinComesFromTheNode) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.2"}, 8080);
  start_translating("overlay");
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)");
  const std::string port = std::to_string(snat_port_of(40000));
  EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=A)", 2,
                   "eth(gw>ep1) ip4(192.0.2.1>10.244.1.2 ttl=63) tcp(" + port + ">8080 flags=A)"),
            "");
  EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>192.0.2.1 ttl=64) tcp(8080>" + port + " flags=A)", 2,
                   "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63) tcp(80>40000 flags=A)"),
            "");
}

TEST_F(TranslationTest, FromOutsideToABackendElsewhere) {
  services_.put(6, "192.0.2.1", 30080, {"10.244.2.2"}, 8080, true);
  start_translating("routed");
  (void)forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) tcp(5555>30080 flags=S)");
  const std::string port = std::to_string(snat_port_of(5555));
  EXPECT_EQ(leaves(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) tcp(5555>30080 flags=A)", 1,
                   "eth(self>peer2) ip4(192.0.2.1>10.244.2.2 ttl=49) tcp(" + port + ">8080 flags=A)"),
            "");
  EXPECT_EQ(leaves(1, "eth(peer2>self) ip4(10.244.2.2>192.0.2.1 ttl=63) tcp(8080>" + port + " flags=A)", 1,
                   "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=62) tcp(30080>5555 flags=A)"),
            "");
  EXPECT_EQ(count(Counter::flows_created), 1u);
}

TEST_F(TranslationTest, TheNodeReachesItselfThroughAService) {
  services_.put(6, "10.96.0.1", 443, {"192.0.2.1"}, 6443);
  start_translating("overlay");
  last_ = forward(3, "eth(any>gw) ip4(192.0.2.1>10.96.0.1 ttl=64) tcp(40000>443 flags=S)");
  EXPECT_EQ(as_wanted(3, "eth(gw>host) ip4(10.96.0.1>192.0.2.1 ttl=64) tcp(" +
                             std::to_string(snat_port_of(40000)) + ">6443 flags=S)"),
            "");
  const std::string port = std::to_string(snat_port_of(40000));
  EXPECT_EQ(leaves(3, "eth(any>gw) ip4(192.0.2.1>10.96.0.1 ttl=64) tcp(6443>" + port + " flags=SA)", 3,
                   "eth(gw>host) ip4(10.96.0.1>192.0.2.1 ttl=64) tcp(443>40000 flags=SA)"),
            "");
}

// A client's port to a backend, by its Service and directly at once: kept apart by a source port.
TEST_F(TranslationTest, DirectAndServiceConnectionsOfOnePortLiveSideBySide) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  services_.put(6, "10.96.0.11", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  const char* const kTo[] = {"10.244.1.3", "10.96.0.10", "10.96.0.11"};
  const char* const kPort[] = {"8080", "80", "80"};
  for (const std::vector<int>& order : {std::vector<int>{0, 1, 2}, {1, 0, 2}, {2, 1, 0}}) {
    start_translating("overlay");
    std::set<uint16_t> sources;
    std::vector<std::string> ports(3);
    for (const int which : order) {
      // Both sides speak, so that the connection is a real one.
      last_ = forward(2, std::string("eth(ep1>gw) ip4(10.244.1.2>") + kTo[which] + " ttl=64) tcp(40000>" +
                             kPort[which] + " flags=S)");
      ASSERT_EQ(last_.packet.fate, Fate::kForward);
      const auto source = static_cast<uint16_t>(last_.packet.data[34] << 8 | last_.packet.data[35]);
      EXPECT_TRUE(sources.insert(source).second) << "connection " << which;
      EXPECT_EQ(golden::hex({last_.packet.data + 26, last_.packet.data + 34}),
                golden::hex({10, 244, 1, 2, 10, 244, 1, 3}));
      ports[static_cast<size_t>(which)] = std::to_string(source);
      for (const char* flags : {"SA", "A"}) {
        (void)forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>" + std::to_string(source) +
                             " flags=" + flags + ")");
      }
      (void)forward(2, std::string("eth(ep1>gw) ip4(10.244.1.2>") + kTo[which] + " ttl=64) tcp(40000>" +
                           kPort[which] + " flags=A)");
    }
    for (size_t which = 0; which < 3; ++which) {
      EXPECT_EQ(
          leaves(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>" + ports[which] + " flags=A)", 2,
                 std::string("eth(gw>ep1) ip4(") + kTo[which] + ">10.244.1.2 ttl=63) tcp(" + kPort[which] +
                     ">40000 flags=A)"),
          "")
          << which;
    }
  }
}

// reliability N10: the same four-tuple again is a new connection with a new choice.
TEST_F(TranslationTest, SynAfterTheEndChoosesAnew) {
  for (const char* last : {"FA", "R"}) {
    services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
    start_translating("overlay");
    const std::string out = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=";
    const std::string back = "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>40000 flags=";
    for (const char* flags : {"S", "A"}) (void)forward(2, out + flags + ")");
    (void)forward(2, back + "SA)");
    (void)forward(2, out + "A)");
    (void)forward(2, back + last + ")");
    (void)forward(2, out + last + ")");
    EXPECT_EQ(
        leaves(2, out + "A)", 2, "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) tcp(40000>8080 flags=A)"), "")
        << "a late packet is the old connection's";
    services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8081);
    EXPECT_EQ(dropped(2, out + "S)"), DropReason::NONE);
    const std::vector<FlowRecord> all = flows();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].reply_source, *IpAddress::parse("10.244.2.2"));
    EXPECT_EQ(all[0].state, "new");
  }
}

TEST_F(TranslationTest, FullTableAndUsedUpQuotaDropInsteadOfForwardingUntranslated) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay", 64);
  const auto established = [&](int endpoint, int port) {
    const std::string who = "10.244.1." + std::to_string(endpoint + 1);
    const std::string ports = std::to_string(port);
    const std::string out =
        "eth(ep" + std::to_string(endpoint) + ">gw) ip4(" + who + ">10.244.2.2 ttl=64) udp(" + ports + ">7)";
    last_ = forward(2, out);
    (void)forward(1, "eth(peer2>self) ip4(10.244.2.2>" + who + " ttl=64) udp(7>" + ports + ")");
  };
  // Its quota, half of the table, is one pod's limit and nobody else's.
  for (int port = 1; port <= 40; ++port) established(1, port);
  EXPECT_EQ(flows().size(), 32u);
  EXPECT_EQ(dropped(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)"),
            DropReason::FLOW_QUOTA);
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>203.0.113.9 ttl=64) udp(40000>53)"), DropReason::NONE);
  (void)forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=64) udp(53>" +
                       std::to_string(snat_port_of(40000)) + ")");
  for (int port = 1; port <= 40; ++port) established(2, port);
  EXPECT_EQ(flows().size(), 64u);
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8080);
  EXPECT_EQ(dropped(3, "eth(any>gw) ip4(192.0.2.1>10.96.0.10 ttl=64) tcp(40000>80 flags=S)"),
            DropReason::FLOW_TABLE_FULL);
}

// A pod may not reach a node's tunnel end by way of a Service either.
TEST_F(TranslationTest, NoServiceLeadsIntoATunnelEnd) {
  services_.put(17, "10.96.0.10", 80, {"192.0.2.2"}, 4789);
  services_.put(17, "10.96.0.11", 80, {"192.0.2.1"}, 4789);
  start_translating("overlay");
  for (const char* to : {"10.96.0.10", "10.96.0.11"}) {
    EXPECT_EQ(dropped(2, std::string("eth(ep1>gw) ip4(10.244.1.2>") + to + " ttl=64) udp(1>80)"),
              DropReason::TUNNEL_FROM_POD);
  }
}

TEST_F(TranslationTest, TraceTellsOfTranslation) {
  services_.put(17, "10.96.0.10", 53, {"10.244.1.3"}, 5353);
  start_translating("overlay");
  const auto trace = [&](const char* to, uint16_t port) {
    TraceRequest request;
    request.from_endpoint = 1;
    request.source = *IpAddress::parse("10.244.1.2");
    request.destination = *IpAddress::parse(to);
    request.protocol = 17;
    request.source_port = 4000;
    request.destination_port = port;
    const Result<Trace> done = forwarder_->trace(request);
    EXPECT_TRUE(done.ok());
    std::string text;
    if (!done.ok()) return text;
    for (const TraceStep& step : done->steps) text += step.step + "|" + step.object + "|" + step.text + "\n";
    return text + done->verdict;
  };
  const std::string leaving = trace("203.0.113.9", 53);
  EXPECT_NE(leaving.find("masquerade||source becomes 192.0.2.1"), std::string::npos) << leaving;
  EXPECT_NE(trace("10.244.2.2", 53).find("masquerade||the source stays"), std::string::npos);
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(4000>53)");
  const std::string known = trace("10.96.0.10", 53);
  EXPECT_NE(known.find("flow_lookup|endpoint default/b|"), std::string::npos) << known;
  EXPECT_NE(known.find("apply|endpoint default/b|10.244.1.2:4000 -> 10.244.1.3:5353"), std::string::npos)
      << known;
  EXPECT_EQ(flows().size(), 1u) << "a trace leaves no marks";
}

}  // namespace
}  // namespace fairlead::core
