#include "controlplane/intent/intent.hpp"

#include <gtest/gtest.h>

namespace fairlead::control {
namespace {

NodeObject node(const std::string& name, const char* cidr) {
  return {.name = name, .internal_ips = {}, .pod_cidrs = {*core::Prefix::parse(cidr)}, .vtep_mac = {}};
}

TEST(Intent, SaysWhetherAnythingChanged) {
  Intent intent;
  EXPECT_TRUE(apply(intent, NodeUpserted{node("a", "10.1.0.0/24")}));
  EXPECT_FALSE(apply(intent, NodeUpserted{node("a", "10.1.0.0/24")}));
  EXPECT_TRUE(apply(intent, NodeUpserted{node("a", "10.2.0.0/24")}));
  EXPECT_EQ(intent.nodes.at("a").pod_cidrs[0].text(), "10.2.0.0/24");
  EXPECT_TRUE(apply(intent, NodeDeleted{"a"}));
  EXPECT_FALSE(apply(intent, NodeDeleted{"a"}));

  EXPECT_FALSE(apply(intent, NetworkChanged{ClusterNetwork{}}));
  ClusterNetwork network;
  network.mode = Mode::kRouted;
  EXPECT_TRUE(apply(intent, NetworkChanged{network}));

  EXPECT_TRUE(apply(intent, PodUpserted{{"web", "a", "n1", "u"}}));
  EXPECT_FALSE(apply(intent, PodDeleted{"a"}));
  EXPECT_TRUE(apply(intent, PodDeleted{"web/a"}));

  core::Endpoint endpoint;
  endpoint.id = 7;
  EXPECT_TRUE(apply(intent, EndpointAttached{endpoint}));
  EXPECT_FALSE(apply(intent, EndpointAttached{endpoint}));
  EXPECT_TRUE(apply(intent, EndpointDetached{7}));
  EXPECT_FALSE(apply(intent, EndpointDetached{7}));

  EXPECT_TRUE(apply(
      intent, HostChanged{{.uplink = "eth0", .uplink_mtu = 9000, .on_link = {}, .local_addresses = {}}}));
}

}  // namespace
}  // namespace fairlead::control
