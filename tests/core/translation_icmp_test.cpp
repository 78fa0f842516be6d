// ICMP errors about translated connections: found by the packet they quote, and translated with it, so that a
// socket believes them.
#include "tests/core/translation_fixture.hpp"

#include <random>

namespace fairlead::core {
namespace {

class TranslationIcmpTest : public TranslationFixture {
 protected:
  // Pod a asks the Service for pod b's port 5353; both families.
  void open(bool v6) {
    services_.put(17, "10.96.0.10", 53, {"10.244.1.3"}, 5353);
    services_.put(17, "fd00:10:96::10", 53, {"fd00:10:244:1::3"}, 5353);
    start_translating("overlay");
    (void)forward(2, v6 ? "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) udp(4000>53) \"q\""
                        : "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(4000>53) \"q\"");
    ASSERT_EQ(flows().size(), 1u);
  }
};

TEST_F(TranslationIcmpTest, FromTheBackend) {
  open(false);
  EXPECT_EQ(
      leaves(2,
             "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) icmp(3 3) ip4(10.244.1.2>10.244.1.3 ttl=63) "
             "udp(4000>5353) \"q\"",
             2,
             "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63) icmp(3 3) ip4(10.244.1.2>10.96.0.10 ttl=63) "
             "udp(4000>53) \"q\""),
      "");
  open(true);
  EXPECT_EQ(leaves(2,
                   "eth(ep2>gw) ip6(fd00:10:244:1::3>fd00:10:244:1::2 hl=64) icmp6(1 4) "
                   "ip6(fd00:10:244:1::2>fd00:10:244:1::3 hl=63) udp(4000>5353) \"q\"",
                   2,
                   "eth(gw>ep1) ip6(fd00:10:96::10>fd00:10:244:1::2 hl=63) icmp6(1 4) "
                   "ip6(fd00:10:244:1::2>fd00:10:96::10 hl=63) udp(4000>53) \"q\""),
            "");
  EXPECT_EQ(flows().size(), 1u) << "an error is no connection";
}

TEST_F(TranslationIcmpTest, FromTheClientAboutAReply) {
  open(false);
  EXPECT_EQ(
      leaves(2,
             "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) icmp(3 3) ip4(10.96.0.10>10.244.1.2 ttl=63) "
             "udp(53>4000) \"answer\"",
             2,
             "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) icmp(3 3) ip4(10.244.1.3>10.244.1.2 ttl=63) "
             "udp(5353>4000) \"answer\""),
      "");
  open(true);
  EXPECT_EQ(leaves(2,
                   "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) icmp6(1 4) "
                   "ip6(fd00:10:96::10>fd00:10:244:1::2 hl=63) udp(53>4000) \"answer\"",
                   2,
                   "eth(gw>ep2) ip6(fd00:10:244:1::2>fd00:10:244:1::3 hl=63) icmp6(1 4) "
                   "ip6(fd00:10:244:1::3>fd00:10:244:1::2 hl=63) udp(5353>4000) \"answer\""),
            "");
}

// Path MTU: a router on the way to the backend, or to the world outside, reports to the address it saw.
TEST_F(TranslationIcmpTest, PathMtuThroughAServiceAndThroughMasquerade) {
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8080);
  services_.put(6, "fd00:10:96::10", 80, {"fd00:10:244:2::2"}, 8080);
  start_translating("overlay");
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=S)");
  const std::string tunnel =
      "eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64 df) udp(50000>4789 csum=0) vxlan(100) eth(vtep2>any) ";
  EXPECT_EQ(
      leaves(1,
             tunnel +
                 "ip4(192.0.2.2>10.244.1.2 ttl=64) icmp(3 4 mtu=1300) ip4(10.244.1.2>10.244.2.2 ttl=62 df) "
                 "tcp(40000>8080 flags=A) zeros(30)",
             2,
             "eth(gw>ep1) ip4(192.0.2.2>10.244.1.2 ttl=63) icmp(3 4 mtu=1300) ip4(10.244.1.2>10.96.0.10 "
             "ttl=62 df) "
             "tcp(40000>80 flags=A) zeros(30)"),
      "")
      << "a router's address stays the router's";
  (void)forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) tcp(40000>80 flags=S)");
  EXPECT_EQ(leaves(1,
                   tunnel + "ip6(2001:db8::2>fd00:10:244:1::2 hl=64) icmp6(2 0 mtu=1300) "
                            "ip6(fd00:10:244:1::2>fd00:10:244:2::2 hl=62) tcp(40000>8080 flags=A) zeros(30)",
                   2,
                   "eth(gw>ep1) ip6(2001:db8::2>fd00:10:244:1::2 hl=63) icmp6(2 0 mtu=1300) "
                   "ip6(fd00:10:244:1::2>fd00:10:96::10 hl=62) tcp(40000>80 flags=A) zeros(30)"),
            "");

  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) tcp(41000>443 flags=S)");
  const std::string port = std::to_string(snat_port_of(41000));
  EXPECT_EQ(leaves(1,
                   "eth(router>self) ip4(203.0.113.1>192.0.2.1 ttl=60) icmp(3 4 mtu=1400) "
                   "ip4(192.0.2.1>203.0.113.9 ttl=60 df) tcp(" +
                       port + ">443 flags=A) zeros(9)",
                   2,
                   "eth(gw>ep1) ip4(203.0.113.1>10.244.1.2 ttl=59) icmp(3 4 mtu=1400) "
                   "ip4(10.244.1.2>203.0.113.9 ttl=60 df) tcp(41000>443 flags=A) zeros(9)"),
            "");
  // Eight bytes of L4 are enough (RFC 792); time exceeded, echo.
  const std::string want =
      "eth(gw>ep1) ip4(203.0.113.1>10.244.1.2 ttl=59 len=56) icmp(11 0 csum=*) ip4(10.244.1.2>203.0.113.9 "
      "ttl=1) "
      "tcp(41000>443 flags=A) cut(70)";
  EXPECT_EQ(
      leaves(1,
             "eth(router>self) ip4(203.0.113.1>192.0.2.1 ttl=60 len=56) icmp(11 0) ip4(192.0.2.1>203.0.113.9 "
             "ttl=1) tcp(" +
                 port + ">443 flags=A) cut(70)",
             2, want),
      "");
  (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64) icmp(8 0 id=7 seq=1)");
  const std::string id = std::to_string(snat_port_of(7));
  EXPECT_EQ(
      leaves(1,
             "eth(router>self) ip4(203.0.113.1>192.0.2.1 ttl=60) icmp(11 0) ip4(192.0.2.1>203.0.113.9 ttl=1) "
             "icmp(8 0 id=" +
                 id + " seq=1)",
             2,
             "eth(gw>ep1) ip4(203.0.113.1>10.244.1.2 ttl=59) icmp(11 0) ip4(10.244.1.2>203.0.113.9 ttl=1) "
             "icmp(8 0 id=7 seq=1)"),
      "");
}

TEST_F(TranslationIcmpTest, BothWaysForAClientOutside) {
  services_.put(17, "192.0.2.1", 30053, {"10.244.2.2"}, 5353, true);
  start_translating("routed");
  (void)forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) udp(5555>30053)");
  const std::string port = std::to_string(snat_port_of(5555));
  EXPECT_EQ(
      leaves(
          1,
          "eth(peer2>self) ip4(10.244.2.2>192.0.2.1 ttl=63) icmp(3 3) ip4(192.0.2.1>10.244.2.2 ttl=49) udp(" +
              port + ">5353)",
          1,
          "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=62) icmp(3 3) ip4(203.0.113.9>192.0.2.1 ttl=49) "
          "udp(5555>30053)"),
      "");
  EXPECT_EQ(
      leaves(1,
             "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=50) icmp(3 3) ip4(192.0.2.1>203.0.113.9 ttl=49) "
             "udp(30053>5555)",
             1,
             "eth(self>peer2) ip4(192.0.2.1>10.244.2.2 ttl=49) icmp(3 3) ip4(10.244.2.2>192.0.2.1 ttl=49) "
             "udp(5353>" +
                 port + ")"),
      "");
}

TEST_F(TranslationIcmpTest, OfNoConnectionGoAsTheyAre) {
  open(false);
  EXPECT_EQ(
      leaves(2,
             "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) icmp(3 3) ip4(10.244.1.2>10.244.1.3 ttl=63) "
             "udp(4001>5353) \"q\"",
             2,
             "eth(gw>ep1) ip4(10.244.1.3>10.244.1.2 ttl=63) icmp(3 3) ip4(10.244.1.2>10.244.1.3 ttl=63) "
             "udp(4001>5353) \"q\""),
      "");
  // One that quotes what it cannot have received moves nobody else's addresses.
  EXPECT_EQ(
      leaves(2,
             "eth(ep2>gw) ip4(10.244.1.3>10.244.2.2 ttl=64) icmp(3 3) ip4(10.244.1.2>10.244.1.3 ttl=63) "
             "udp(4000>5353) \"q\"",
             1,
             "eth(self>peer2) ip4(192.0.2.1>192.0.2.2 ttl=64 df id=*) udp(*>4789 csum=0) vxlan(100) "
             "eth(02:46:c0:00:02:01>vtep2) ip4(10.244.1.3>10.244.2.2 ttl=63) icmp(3 3) "
             "ip4(10.244.1.2>10.244.1.3 ttl=63) udp(4000>5353) \"q\""),
      "");
}

// What this node itself says about a packet to a Service quotes what the client sent.
TEST_F(TranslationIcmpTest, OurOwnTooBigQuotesTheClientsPacket) {
  services_.put(17, "10.96.0.10", 53, {"10.244.2.2"}, 5353);
  services_.put(17, "fd00:10:96::10", 53, {"fd00:10:244:2::2"}, 5353);
  start_translating("overlay");
  for (int round = 0; round < 2; ++round) {
    last_ = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 df) udp(4000>53) zeros(1460)");
    ASSERT_EQ(last_.packet.fate, Fate::kAnswer);
    EXPECT_EQ(last_.packet.reason, DropReason::TOO_BIG);
    const golden::Bytes bytes = last_.bytes();
    EXPECT_EQ(golden::hex({bytes.begin() + 14 + 28 + 12, bytes.begin() + 14 + 28 + 24}),
              golden::hex({10, 244, 1, 2, 10, 96, 0, 10, 0x0f, 0xa0, 0, 53}));
    EXPECT_EQ(bytes[14 + 20 + 6] << 8 | bytes[14 + 20 + 7], 1450);
    last_ = forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) udp(4000>53) zeros(1440)");
    ASSERT_EQ(last_.packet.fate, Fate::kAnswer);
    const golden::Bytes bytes6 = last_.bytes();
    EXPECT_EQ(golden::hex({bytes6.begin() + 14 + 48 + 24, bytes6.begin() + 14 + 48 + 44}),
              golden::hex({0xfd, 0, 0, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x0f, 0xa0, 0, 53}));
    // Once with a connection that is known.
    (void)forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 df) udp(4000>53)");
    (void)forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) udp(4000>53)");
  }
}

// Quotes of every length, and damaged ones: nothing is read or written beyond them.
TEST_F(TranslationIcmpTest, DamagedQuotesDoNoHarm) {
  open(false);
  std::mt19937 random(3);
  const golden::Bytes whole = frame(
      "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) icmp(3 3) ip4(10.244.1.2>10.244.1.3 ttl=63) "
      "udp(4000>5353) \"q\"");
  for (int round = 0; round < 3000; ++round) {
    golden::Bytes bytes = whole;
    for (uint32_t hits = static_cast<uint32_t>(random() % 4); hits > 0; --hits) {
      bytes[42 + random() % (bytes.size() - 42)] = static_cast<uint8_t>(random());
    }
    bytes.resize(14 + 28 + random() % (bytes.size() - 41));
    bytes[16] = static_cast<uint8_t>((bytes.size() - 14) >> 8);
    bytes[17] = static_cast<uint8_t>(bytes.size() - 14);
    bytes[24] = bytes[25] = 0;
    const uint16_t sum = golden::internet_checksum(bytes.data() + 14, 20);
    bytes[24] = static_cast<uint8_t>(sum >> 8);
    bytes[25] = static_cast<uint8_t>(sum);
    const Sent sent = forward(2, bytes, {}, 256, 0);
    ASSERT_EQ(sent.packet.fate, Fate::kForward);
    ASSERT_EQ(sent.packet.length, bytes.size());
  }
}

}  // namespace
}  // namespace fairlead::core
