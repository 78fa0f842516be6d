#include "dataplane/base/netlink.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <set>
#include <thread>
#include <unistd.h>

namespace fairlead {
namespace {

// A network namespace of its own, held by a descriptor only: nothing to clean up when the test dies.
class NetlinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::thread([this] {
      if (unshare(CLONE_NEWNET) == 0) netns_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    }).join();
    if (netns_ < 0) GTEST_SKIP() << "needs CAP_SYS_ADMIN to make a network namespace";
    auto opened = NetlinkSocket::open(NETLINK_ROUTE, netns_);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    socket_ = std::move(*opened);
  }
  void TearDown() override {
    if (netns_ >= 0) close(netns_);
  }

  static NetlinkRequest new_veth(const char* name, const char* peer) {
    NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    request.header<ifinfomsg>();
    request.put_text(IFLA_IFNAME, name);
    {
      auto info = request.nest(IFLA_LINKINFO);
      request.put_text(IFLA_INFO_KIND, "veth");
      auto data = request.nest(IFLA_INFO_DATA);
      auto other_end = request.nest(1 /* VETH_INFO_PEER */);
      request.header<ifinfomsg>();
      request.put_text(IFLA_IFNAME, peer);
    }
    return request;
  }

  std::set<std::string> link_names() {
    std::set<std::string> names;
    NetlinkRequest request(RTM_GETLINK, 0);
    request.header<ifinfomsg>();
    auto done = socket_.dump(request, [&](const nlmsghdr& message) {
      const nlattr* attributes[IFLA_MAX + 1] = {};
      collect_attributes(message, sizeof(ifinfomsg), attributes);
      names.insert(attribute_text(attributes[IFLA_IFNAME]));
    });
    EXPECT_TRUE(done.ok());
    return names;
  }

  int netns_ = -1;
  NetlinkSocket socket_;
};

TEST_F(NetlinkTest, RequestsWithNestsAreUnderstoodAndDumpsSeeTheResult) {
  EXPECT_EQ(link_names(), (std::set<std::string>{"lo"}));
  auto request = new_veth("left", "right");
  auto made = socket_.request(request, "make a veth pair");
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(link_names(), (std::set<std::string>{"lo", "left", "right"}));
  EXPECT_EQ(if_nametoindex("left"), 0u) << "the calling thread must stay in its own namespace";
}

TEST_F(NetlinkTest, RefusalSaysWhatAndTolerationAcceptsIt) {
  auto first = new_veth("left", "right");
  ASSERT_TRUE(socket_.request(first, "make a veth pair").ok());
  auto second = new_veth("left", "right");
  auto refused = socket_.request(second, "make a veth pair");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3003");
  EXPECT_NE(refused.error().what.find("cannot make a veth pair: File exists"), std::string::npos)
      << refused.error().what;
  auto third = new_veth("left", "right");
  EXPECT_TRUE(socket_.request(third, "make a veth pair", {EEXIST}).ok());
}

TEST_F(NetlinkTest, TheKernelsOwnWordsArePassedOn) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.header<ifinfomsg>();
  request.put_text(IFLA_IFNAME, "no/slash");  // refused by name validation
  {
    auto info = request.nest(IFLA_LINKINFO);
    request.put_text(IFLA_INFO_KIND, "no-such-kind");
  }
  auto ack = socket_.transact(request);
  ASSERT_TRUE(ack.ok());
  EXPECT_NE(ack->error_number, 0);

  NetlinkRequest unknown(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  unknown.header<ifinfomsg>();
  unknown.put_text(IFLA_IFNAME, "fine");
  {
    auto info = unknown.nest(IFLA_LINKINFO);
    unknown.put_text(IFLA_INFO_KIND, "no-such-kind");
  }
  ack = socket_.transact(unknown);
  ASSERT_TRUE(ack.ok());
  EXPECT_EQ(ack->error_number, EOPNOTSUPP);
  EXPECT_EQ(ack->kernel_text, "Unknown device type");
}

TEST_F(NetlinkTest, EventsArriveAndAFullBufferIsReportedAsLoss) {
  auto opened = NetlinkSocket::open(NETLINK_ROUTE, netns_);
  ASSERT_TRUE(opened.ok());
  auto events = std::move(*opened);
  ASSERT_TRUE(events.subscribe(RTNLGRP_LINK).ok());
  auto request = new_veth("left", "right");
  ASSERT_TRUE(socket_.request(request, "make a veth pair").ok());
  pollfd ready{events.poll_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, 5000), 1);
  unsigned seen = 0;
  auto outcome =
      events.read_events([&](const nlmsghdr& message) { seen += message.nlmsg_type == RTM_NEWLINK; });
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome, NetlinkEvents::kDrained);
  EXPECT_GE(seen, 2u);

  events.set_receive_buffer(4096);
  for (int i = 0; i < 50; ++i) {
    auto more = new_veth(("l" + std::to_string(i)).c_str(), ("r" + std::to_string(i)).c_str());
    ASSERT_TRUE(socket_.request(more, "make a veth pair").ok());
  }
  outcome = events.read_events([](const nlmsghdr&) {});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome, NetlinkEvents::kLost);
  outcome = events.read_events([](const nlmsghdr&) {});
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome, NetlinkEvents::kDrained);
}

TEST(Netlink, ABadNamespaceIsAnError) {
  auto opened = NetlinkSocket::open(NETLINK_ROUTE, 0x7fffffff);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "FL3001");
}

TEST(Netlink, ShortAttributesGiveTheFallback) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.header<ifinfomsg>();
  request.put_u8(IFLA_MTU, 7);
  const nlattr* attributes[IFLA_MAX + 1] = {};
  collect_attributes(*request.message(), sizeof(ifinfomsg), attributes);
  EXPECT_EQ(attribute_value<uint32_t>(attributes[IFLA_MTU], 1500), 1500u);
  EXPECT_EQ(attribute_value<uint8_t>(attributes[IFLA_MTU]), 7u);
  EXPECT_EQ(attribute_text(attributes[IFLA_IFNAME]), "");
}

}  // namespace
}  // namespace fairlead
