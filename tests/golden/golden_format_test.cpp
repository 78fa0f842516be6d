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
  EXPECT_THROW(build_frame("eth(0a:00:00:00:00:01>0a:00:00:00:00:02) ipx(1)", kNoNames),
               std::invalid_argument);
  EXPECT_THROW(build_frame("eth(nobody>gw)", kNoNames), std::invalid_argument);
}

TEST(Rows, ThereAreEnoughAndEveryOneExpectsSomething) {
  const Rows rows = load_rows(FAIRLEAD_ROWS);
  EXPECT_GE(rows.rows.size(), 240u);
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
