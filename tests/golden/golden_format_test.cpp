// The row language itself: a mistake in it would let mistakes of the forwarder pass.
#include "tests/golden/frame.hpp"
#include "tests/golden/rows.hpp"

#include <gtest/gtest.h>

namespace fairlead::golden {
namespace {

const std::map<std::string, std::string> kNoNames;

TEST(Frame, AnEchoRequestByteForByte) {
  const Frame frame = build_frame(
      "eth(0a:00:00:00:00:01>0a:00:00:00:00:02) ip4(192.0.2.1>192.0.2.2 df id=0x1234) icmp(8 0 id=1 seq=1) "
      "hex(0102030405060708)",
      kNoNames);
  EXPECT_EQ(hex(frame.bytes),
            "0a00000000020a00000000010800"
            "45000024123440004001a4a1c0000201c0000202"
            "0800e7e9000100010102030405060708");
  EXPECT_EQ(internet_checksum(frame.bytes.data() + 14, 20), 0);
  EXPECT_EQ(internet_checksum(frame.bytes.data() + 34, frame.bytes.size() - 34), 0);
}

TEST(Frame, StarMeansAnyValue) {
  const Frame frame = build_frame(
      "eth(0a:00:00:00:00:01>0a:00:00:00:00:02) ip4(1.2.3.4>5.6.7.8) udp(*>53 csum=0x0000)", kNoNames);
  Bytes other = frame.bytes;
  other[34] = 0xaa;
  EXPECT_TRUE(frame.matches(other));
  other[36] ^= 1;
  EXPECT_FALSE(frame.matches(other));
}

TEST(Frame, UnknownLayersAreRefused) {
  EXPECT_THROW((void)build_frame("eth(0a:00:00:00:00:01>0a:00:00:00:00:02) ipx(1)", kNoNames),
               std::invalid_argument);
  EXPECT_THROW((void)build_frame("eth(nobody>gw)", kNoNames), std::invalid_argument);
}

// RFC 9260 6.8; the value is that of another implementation, by which "123456789" has e3069283.
TEST(Frame, SctpChecksumIsCrc32c) {
  const Frame without = build_frame("sctp(1>2) \"x\"", kNoNames);
  const Frame with = build_frame("sctp(1>2 crc) \"x\"", kNoNames);
  EXPECT_EQ(hex(without.bytes), "00010002010203040000000078");
  EXPECT_EQ(hex(with.bytes), "000100020102030484929d8978");
}

TEST(Frame, PartialChecksumIsThePseudoHeadersSum) {
  const Frame frame = build_frame("ip4(10.0.0.1>10.0.0.2) udp(1>2 csum=partial) \"x\"", kNoNames);
  // 0a00 + 0001 + 0a00 + 0002 + 17 + 9
  EXPECT_EQ(frame.bytes[26] << 8 | frame.bytes[27], 0x141d);
}

TEST(Variables, AreBoundAtFirstSightAndThenMeanThat) {
  const Names names{{"snat", "61000-65535"}};
  const auto sent = [&](const char* port) {
    return build_frame(std::string("ip4(192.0.2.1>198.51.100.9) udp(") + port + ">53) \"q\"", kNoNames).bytes;
  };
  const char* const text = "ip4(192.0.2.1>198.51.100.9) udp($p:snat>53) \"q\"";
  Bindings bindings;
  EXPECT_FALSE(match_frame(text, names, bindings, sent("60999")));
  EXPECT_TRUE(bindings.empty());
  EXPECT_TRUE(match_frame(text, names, bindings, sent("61000")));
  EXPECT_EQ(bindings.at("$p"), "61000");
  EXPECT_FALSE(match_frame(text, names, bindings, sent("61001"))) << "it means 61000 now";
  EXPECT_FALSE(
      match_frame("ip4(192.0.2.1>198.51.100.9) udp($q:snat!p>53) \"q\"", names, bindings, sent("61000")))
      << "two ports that must differ";
  EXPECT_TRUE(
      match_frame("ip4(192.0.2.1>198.51.100.9) udp($q:snat!p>53) \"q\"", names, bindings, sent("61001")));
  // What is bound is part of the frame, in its checksum, too.
  EXPECT_EQ(build_frame("ip4(192.0.2.1>198.51.100.9) udp($q>53) \"q\"", names, bindings).bytes,
            sent("61001"));
}

TEST(Variables, OneOfSeveralAddressesAndTheEndpointThatHasIt) {
  const Names names{{"ep@10.0.0.2", "02:46:4c:00:00:02"}, {"ep@10.0.0.3", "02:46:4c:00:00:03"}};
  const auto sent = [&](const char* endpoint, const char* address) {
    return build_frame(std::string("eth(02:00:00:00:00:01>02:46:4c:00:00:0") + endpoint + ") ip4(10.0.0.1>" +
                           address + ") tcp(1>2)",
                       names)
        .bytes;
  };
  const char* const text = "eth(02:00:00:00:00:01>ep$b) ip4(10.0.0.1>$b:10.0.0.2|10.0.0.3) tcp(1>2)";
  Bindings bindings;
  EXPECT_FALSE(match_frame(text, names, bindings, sent("2", "10.0.0.3"))) << "the other endpoint's MAC";
  EXPECT_FALSE(match_frame(text, names, bindings, sent("4", "10.0.0.4"))) << "none of them";
  EXPECT_TRUE(match_frame(text, names, bindings, sent("3", "10.0.0.3")));
  EXPECT_EQ(bindings.at("$b"), "10.0.0.3");
}

TEST(Variables, ValuesThatNothingIsBoundToAreLeftOpen) {
  const Frame frame = build_frame("ip4(10.0.0.1>10.0.0.2) udp(1>$p)", kNoNames);
  ASSERT_EQ(frame.open.size(), 1u);
  EXPECT_EQ(frame.open[0].name, "$p");
  EXPECT_EQ(frame.open[0].at, 22u);
}

std::string refusal(const std::string& text) {
  Rows rows;
  try {
    read_rows(text, "x.rows", rows);
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "accepted";
}

TEST(Rows, MistakesAreRefusedWithTheirLine) {
  const std::string world = "world w\n  service 1 default/web tcp cluster=10.96.0.1:80\nend\n";
  EXPECT_EQ(refusal(world + "row r\nstate w\nwait 5\n"), "accepted");
  EXPECT_EQ(refusal("world w\n"), "x.rows:1: the world w has no end");
  EXPECT_EQ(refusal("hold\n"), "x.rows:1: expected row or world, found hold");
  EXPECT_EQ(refusal(world + "row r\nstate v\n"), "x.rows:5: no world is called v");
  EXPECT_EQ(refusal(world + "row r\nstate w\ndrop HAIRPIN\n"), "x.rows:6: drop without a packet before it");
  EXPECT_EQ(refusal(world + "row r\nin nowhere eth()\n"), "x.rows:5: no port is called nowhere");
  EXPECT_EQ(refusal(world + "row r\nin host udp(1>2)\nor host udp(1>2)\n"),
            "x.rows:6: or without an out before it");
  EXPECT_EQ(refusal(world + "row r\nwait 0\n"), "x.rows:5: wait how long?");
  EXPECT_EQ(refusal(world + "row r\nin trunk gso=100\n"), "x.rows:5: a packet without a frame");
  EXPECT_EQ(refusal("world w\n  backend 1 10.0.0.1:80\nend\n"), "x.rows:2: no service 1");
  EXPECT_EQ(refusal("world w\n  service 1 default/web gre\nend\n"), "x.rows:2: no protocol is called gre");
  EXPECT_EQ(refusal("world w\n  service 1 default/web tcp cluster=10.96.0.1\nend\n"),
            "x.rows:2: no port in 10.96.0.1");
  EXPECT_EQ(refusal("world w\n  service 1 default/web tcp colour=blue\nend\n"),
            "x.rows:2: unknown key for a service: colour");
  EXPECT_EQ(refusal(world + "world v extends w\n  no-backend 1 10.0.0.1:80\nend\n"),
            "x.rows:5: no backend 10.0.0.1:80");
}

TEST(World, SaysServices) {
  Rows rows;
  read_rows(
      "world w\n"
      "  services 10.96.0.0/16\n  node-ports 192.0.2.1\n  masquerade 192.0.2.1 2001:db8::1 "
      "ports=61000-61003\n"
      "  service 1 default/web:http tcp cluster=10.96.0.1:80 node=30080 affinity=60 external-local "
      "ranges=192.0.2.0/24\n"
      "  backend 1 10.244.1.2:8080 local\n  backend 1 10.244.2.2:8080 terminating\n"
      "end\n"
      "world v extends w\n  no-backend 1 10.244.1.2:8080\nend\n",
      "x.rows", rows);
  const core::NodeState state = node_state_of(rows.states.at("w"), 1);
  EXPECT_EQ(core::validate(state), "");
  EXPECT_EQ(state.settings.snat_port_first, 61000);
  EXPECT_EQ(state.settings.snat_port_last, 61003);
  ASSERT_EQ(state.services.size(), 1u);
  const core::Service& service = *state.services.at(1);
  EXPECT_EQ(core::name_of(service), "default/web:http");
  EXPECT_EQ(service.frontends.size(), 2u);
  EXPECT_EQ(service.affinity_seconds, 60u);
  EXPECT_TRUE(service.external_local);
  EXPECT_EQ(service.cluster_backends, std::vector<uint32_t>{0});
  EXPECT_EQ(service.local_backends, std::vector<uint32_t>{0});
  EXPECT_TRUE(service.backends[1].serving);
  EXPECT_TRUE(node_state_of(rows.states.at("v"), 1).services.at(1)->cluster_backends.empty());
}

TEST(Rows, ThereAreEnoughAndEveryOneExpectsSomething) {
  const Rows rows = load_rows(FAIRLEAD_ROWS);
  EXPECT_GE(rows.rows.size(), 530u);
  for (const Row& row : rows.rows) {
    EXPECT_FALSE(row.state.empty()) << row.name;
    EXPECT_FALSE(row.stimuli.empty()) << row.name;
    for (const Stimulus& stimulus : row.stimuli) {
      if (stimulus.frame.empty()) continue;
      EXPECT_FALSE(stimulus.expected.empty()) << row.name << " line " << stimulus.line;
    }
  }
}

}  // namespace
}  // namespace fairlead::golden
