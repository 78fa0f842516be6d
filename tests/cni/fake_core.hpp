#pragma once

#include "controlplane/agent/agent_core.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fairlead::control {

// The agent's core without dataplane: keeps endpoints in its intent and answers as the test tells it to.
class FakeCore final : public AgentCore {
 public:
  explicit FakeCore(boost::asio::io_context& io) : io_(io) { intent_.host.uplink_mtu = 1500; }

  const std::string& node() const override { return node_; }
  const std::vector<core::Prefix>& pod_cidrs() const override { return cidrs; }
  uint16_t pod_mtu() const override { return mtu; }
  const Intent& intent() const override { return intent_; }

  void attach(core::Endpoint endpoint, uint32_t, Done done) override {
    ++attached;
    for (const auto& [id, other] : intent_.endpoints) {
      if (id == endpoint.id) continue;
      EXPECT_NE(other.host_ifindex, endpoint.host_ifindex);
      EXPECT_NE(other.addresses, endpoint.addresses);
    }
    intent_.endpoints[endpoint.id] = endpoint;
    boost::asio::post(io_, [this, done] {
      if (during_attach) during_attach();
      done(refuse_attach ? Result<void>(*refuse_attach) : Result<void>());
    });
  }
  void detach(core::EndpointId id, Done done) override {
    intent_.endpoints.erase(id);
    boost::asio::post(io_, [done] { done({}); });
  }

  std::vector<core::Prefix> cidrs = {*core::Prefix::parse("10.244.1.0/24"),
                                     *core::Prefix::parse("fd00:1::/64")};
  uint16_t mtu = 1450;
  std::optional<Error> refuse_attach;
  std::function<void()> during_attach;
  size_t attached = 0;

 private:
  boost::asio::io_context& io_;
  std::string node_ = "node-1";
  Intent intent_;
};

}  // namespace fairlead::control
