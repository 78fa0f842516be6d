#include "dataplane/daemon/options.hpp"

#include <gtest/gtest.h>

namespace fairlead::daemon {
namespace {

TEST(Options, ReadsPorts) {
  const Result<Options> options =
      parse_options({"--uplink", "eth0", "--uplink", "eth1,driver=af_packet", "--uplink",
                     "x,driver=net_memif0,role=server,id=1", "--fast-port", "net_memif1,role=server",
                     "--fast-port", "net_memif2,role=server", "--trunk", "t", "--host", "h"});
  ASSERT_TRUE(options.ok()) << options.error().text();
  ASSERT_EQ(options->uplinks.size(), 3u);
  EXPECT_EQ(options->uplinks[0].id, 1u);
  EXPECT_EQ(options->uplinks[0].driver, "auto");
  EXPECT_EQ(options->uplinks[1].id, 4u);
  EXPECT_EQ(options->uplinks[1].driver, "af_packet");
  EXPECT_EQ(options->uplinks[2].id, 5u);
  EXPECT_EQ(options->uplinks[2].driver, "devargs");
  EXPECT_EQ(options->uplinks[2].device, "net_memif0,role=server,id=1");
  EXPECT_EQ(options->fast_ports[1].id, 17u);
  EXPECT_EQ(options->trunk, "t");
  EXPECT_EQ(options->flow_capacity, 262144u);
}

TEST(Options, RefusesWhatItDoesNotKnow) {
  struct Row {
    std::vector<std::string> arguments;
    const char* text;
  };
  const Row rows[] = {
      {{}, "--uplink"},
      {{"--uplink", "eth0", "--workers", "-1"}, "whole number from 1 to 64"},
      {{"--uplink", "eth0", "--workers", "0"}, "whole number from 1 to 64"},
      {{"--uplink", "eth0", "--flow-capacity", "1e6"}, "whole number"},
      {{"--uplink", "eth0", "--poling", "busy"}, "did you mean: --polling"},
      {{"--uplink", "eth0", "--polling", "lazy"}, "adaptive|busy"},
      {{"--uplink", "a-name-that-is-too-long"}, "no name a network device can have"},
      {{"--uplink", "eth0/1"}, "no name a network device can have"},
      {{"--uplink", "eth0,drver=af_xdp"}, ",driver="},
      {{"--uplink", "eth0,driver="}, ",driver="},
      {{"--uplink", "eth0", "--uplink", "eth0"}, "same device"},
      {{"--uplink", "fltrunk"}, "same device"},
      {{"--uplink", "eth0", "extra"}, "\"extra\" is no option"},
      {{"--uplink", "eth0", "--engine", "vpp"}, "dpdk|memory"},
  };
  for (const Row& row : rows) {
    const Result<Options> options = parse_options(row.arguments);
    ASSERT_FALSE(options.ok()) << row.text;
    EXPECT_EQ(options.error().code, "FL6001");
    EXPECT_NE(options.error().text().find(row.text), std::string::npos) << options.error().text();
  }
}

}  // namespace
}  // namespace fairlead::daemon
