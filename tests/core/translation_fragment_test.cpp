// Fragments of translated connections follow their first.
#include "dataplane/core/fragment_table.hpp"
#include "tests/core/translation_fixture.hpp"

namespace fairlead::core {
namespace {

class TranslationFragmentTest : public TranslationFixture {
 protected:
  void start_service() {
    services_.put(17, "10.96.0.10", 53, {"10.244.1.3"}, 5353);
    services_.put(17, "fd00:10:96::10", 53, {"fd00:10:244:1::3"}, 5353);
    start_translating("overlay");
  }
};

const char* const kFirst =
    "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 mf id=7) udp(4000>53 len=136) zeros(56)";
const char* const kLater = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 id=7 off=64 proto=17) zeros(72)";

TEST_F(TranslationFragmentTest, BothWaysBothFamilies) {
  start_service();
  EXPECT_EQ(leaves(2, kFirst, 2,
                   "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63 mf id=7) udp(4000>5353 len=136) zeros(56)"),
            "");
  EXPECT_EQ(
      leaves(2, kLater, 2, "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63 id=7 off=64 proto=17) zeros(72)"),
      "");
  EXPECT_EQ(leaves(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64 mf id=9) udp(5353>4000 len=72) zeros(56)",
                   2, "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63 mf id=9) udp(53>4000 len=72) zeros(56)"),
            "");
  EXPECT_EQ(leaves(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64 id=9 off=64 proto=17) zeros(8)", 2,
                   "eth(gw>ep1) ip4(10.96.0.10>10.244.1.2 ttl=63 id=9 off=64 proto=17) zeros(8)"),
            "");
  EXPECT_EQ(
      leaves(2,
             "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) frag(mf id=77) udp(4000>53 len=136) "
             "zeros(56)",
             2,
             "eth(gw>ep2) ip6(fd00:10:244:1::2>fd00:10:244:1::3 hl=63) frag(mf id=77) udp(4000>5353 len=136) "
             "zeros(56)"),
      "");
  EXPECT_EQ(
      leaves(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:96::10 hl=64) frag(off=64 id=77 nh=17) zeros(72)",
             2,
             "eth(gw>ep2) ip6(fd00:10:244:1::2>fd00:10:244:1::3 hl=63) frag(off=64 id=77 nh=17) zeros(72)"),
      "");
  EXPECT_EQ(flows().size(), 2u);
  EXPECT_EQ(flows()[0].packets_original + flows()[1].packets_original, 4u);
}

TEST_F(TranslationFragmentTest, UnknownLateAndOverlappingOnesAreDropped) {
  start_service();
  EXPECT_EQ(dropped(2, kLater), DropReason::FRAGMENT_UNKNOWN);
  EXPECT_EQ(dropped(2, kFirst), DropReason::NONE);
  EXPECT_EQ(dropped(2, kLater), DropReason::NONE) << "what was lost is lost; the next one is known";
  EXPECT_EQ(dropped(2, kLater), DropReason::FRAGMENT_OVERLAP) << "a repetition";
  EXPECT_EQ(dropped(2, kFirst), DropReason::FRAGMENT_OVERLAP);
  // Another datagram of the same two.
  EXPECT_EQ(dropped(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 id=8 off=64 proto=17) zeros(72)"),
            DropReason::FRAGMENT_UNKNOWN);
  // Overlap: refused, and so is all that follows.
  const std::string of9 = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 id=9 proto=17 ";
  EXPECT_EQ(
      dropped(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 mf id=9) udp(4000>53 len=1000) zeros(56)"),
      DropReason::NONE);
  EXPECT_EQ(dropped(2, of9 + "mf off=128) zeros(64)"), DropReason::NONE) << "out of order";
  EXPECT_EQ(dropped(2, of9 + "mf off=64) zeros(64)"), DropReason::NONE);
  EXPECT_EQ(dropped(2, of9 + "mf off=184) zeros(64)"), DropReason::FRAGMENT_OVERLAP);
  EXPECT_EQ(dropped(2, of9 + "off=192) zeros(8)"), DropReason::FRAGMENT_OVERLAP);
  // Too late.
  EXPECT_EQ(
      dropped(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 mf id=10) udp(4000>53 len=136) zeros(56)"),
      DropReason::NONE);
  now_ns_ += 31'000'000'000;
  EXPECT_EQ(dropped(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64 id=10 off=64 proto=17) zeros(72)"),
            DropReason::FRAGMENT_UNKNOWN);
}

TEST_F(TranslationFragmentTest, MasqueradedOnesToo) {
  start_service();
  last_ = forward(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64 mf id=7) udp(4000>53 len=136) zeros(56)");
  const std::string port = std::to_string(snat_port_of(4000));
  EXPECT_EQ(as_wanted(1, "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=63 mf id=7) udp(" + port +
                             ">53 len=136) zeros(56)"),
            "");
  EXPECT_EQ(leaves(2, "eth(ep1>gw) ip4(10.244.1.2>203.0.113.9 ttl=64 off=64 proto=17 id=7) zeros(72)", 1,
                   "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=63 off=64 proto=17 id=7) zeros(72)"),
            "");
  EXPECT_EQ(dropped(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=60 off=64 proto=17 id=3) zeros(72)"),
            DropReason::FRAGMENT_UNKNOWN);
  (void)forward(
      1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=60 mf id=3) udp(53>" + port + " len=136) zeros(56)");
  EXPECT_EQ(leaves(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=60 off=64 proto=17 id=3) zeros(72)", 2,
                   "eth(gw>ep1) ip4(203.0.113.9>10.244.1.2 ttl=59 off=64 proto=17 id=3) zeros(72)"),
            "");
}

// One sender's endless first fragments push out few others' datagrams, and no state grows.
TEST_F(TranslationFragmentTest, FloodOfFirstsStaysTheFloodersProblem) {
  FragmentTable table([] {
    flow_secret secret;
    flow_secret_init(&secret, 99);
    return secret;
  }());
  const auto fragment = [](uint32_t source, uint32_t id, bool first) {
    parsed p{};
    p.ip_version = 4;
    p.protocol = FL_PROTOCOL_UDP;
    p.source.word[0] = to_be32(source);
    p.destination.word[0] = to_be32(0x0a600010);
    p.fragment_id.raw = id;
    p.is_fragment = 1;
    p.is_first_fragment = first ? 1 : 0;
    p.fragment_offset = first ? 0 : 64;
    p.l3_offset = 14;
    p.l4_offset = 34;
    p.l3_length = 84;
    p.has_ports = first ? 1 : 0;
    p.source_port = to_be16(first ? static_cast<uint16_t>(source) : uint16_t{0});
    return p;
  };
  uint32_t lost = 0;
  for (uint32_t sender = 1; sender <= 200; ++sender) {
    parsed first = fragment(sender, 5, true);
    ASSERT_EQ(table.follow(first, 100), FragmentTable::Outcome::kFollow);
  }
  for (uint32_t id = 0; id < 100000; ++id) {
    parsed first = fragment(0x01010101, id, true);
    ASSERT_EQ(table.follow(first, 101), FragmentTable::Outcome::kFollow);
  }
  for (uint32_t sender = 1; sender <= 200; ++sender) {
    parsed later = fragment(sender, 5, false);
    const FragmentTable::Outcome outcome = table.follow(later, 102);
    lost += outcome == FragmentTable::Outcome::kFollow ? 0 : 1;
    if (outcome == FragmentTable::Outcome::kFollow) {
      EXPECT_EQ(from_be16(later.source_port), sender);
    }
  }
  EXPECT_LE(lost, 12u);
}

}  // namespace
}  // namespace fairlead::core
