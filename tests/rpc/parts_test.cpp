#include "dataplane/rpc/parts.hpp"

#include "dataplane/rpc/convert.hpp"

#include <gtest/gtest.h>

namespace fairlead::ipc {
namespace {

std::shared_ptr<const core::Service> service(core::ServiceId id, size_t backends = 3) {
  auto s = std::make_shared<core::Service>();
  s->id = id;
  s->service_namespace = "default";
  s->name = "web-" + std::to_string(id);
  s->protocol = 6;
  s->frontends = {{core::FrontendKind::kClusterIp, core::IpAddress::parse("10.96.0.1").value(),
                   static_cast<uint16_t>(id)}};
  for (size_t i = 0; i < backends; ++i) {
    s->backends.push_back({core::IpAddress::parse("10.244.0." + std::to_string(i + 1)).value(), 80, true,
                           false, "pod/default/web-" + std::to_string(i), "n2"});
    s->cluster_backends.push_back(static_cast<uint32_t>(i));
  }
  return s;
}

core::NodeState state_of(uint32_t services) {
  core::NodeState state;
  state.generation = 5;
  state.settings.node = "n1";
  state.routes[core::Prefix::parse("10.1.0.0/24").value()] = {core::RouteKind::kBlackhole, 0};
  for (core::ServiceId id = 1; id <= services; ++id) state.services[id * 3] = service(id * 3);
  return state;
}

TEST(Parts, AChangeInPartsIsTheChange) {
  const core::NodeState state = state_of(100);
  const core::NodeStateDelta delta = core::diff({}, state);
  DeltaParts parts;
  size_t next = 0, sent = 0;
  for (;;) {
    rpc::PublishRequest request;
    *request.mutable_delta() = next_part(delta, next, 2000);
    request.set_more(next < delta.upsert_services.size());
    EXPECT_LT(request.ByteSizeLong(), 3000u);
    ++sent;
    const auto whole = parts.add(request);
    ASSERT_TRUE(whole.ok()) << whole.error().text();
    ASSERT_EQ(whole->has_value(), !request.more());
    if (!whole->has_value()) continue;
    core::NodeState applied;
    EXPECT_EQ(core::apply(applied, **whole), "");
    EXPECT_EQ(applied, state);
    break;
  }
  EXPECT_GT(sent, 5u);
}

TEST(Parts, APartOfAnotherChangeBeginsAnew) {
  DeltaParts parts;
  rpc::PublishRequest first, second;
  first.mutable_delta()->set_to_generation(7);
  *first.mutable_delta()->add_upsert_services() = to_message(*service(1));
  first.set_more(true);
  second.mutable_delta()->set_to_generation(8);
  *second.mutable_delta()->add_upsert_services() = to_message(*service(2));
  EXPECT_FALSE(parts.add(first)->has_value());
  const auto whole = parts.add(second);
  ASSERT_TRUE(whole.ok() && whole->has_value());
  ASSERT_EQ((*whole)->upsert_services.size(), 1u) << "what was begun is forgotten";
  EXPECT_EQ((*whole)->upsert_services[0]->id, 2u);
  first.mutable_delta()->mutable_upsert_services(0)->set_protocol(0);
  EXPECT_FALSE(parts.add(first).ok());
}

TEST(Parts, AStateInPagesIsTheState) {
  const core::NodeState state = state_of(100);
  StatePages pages;
  int asked = 0;
  for (bool done = false; !done; ++asked) {
    const rpc::NodeState page = page_of(state, pages.next(), 2000);
    EXPECT_LT(page.ByteSizeLong(), 3000u);
    const auto whole = pages.add(page);
    ASSERT_TRUE(whole.ok()) << whole.error().text();
    done = *whole;
  }
  EXPECT_GT(asked, 5);
  EXPECT_EQ(pages.take(), state);
  EXPECT_EQ(page_of(state, {}).more_services_after(), 0u) << "a small one comes at once";
  rpc::StateRequest without;
  without.set_without_services(true);
  EXPECT_EQ(page_of(state, without).services_size(), 0);
  rpc::StateRequest one;
  one.set_service("default/web-30");
  ASSERT_EQ(page_of(state, one, 2000).services_size(), 1);
  EXPECT_EQ(page_of(state, one, 2000).services(0).id(), 30u);
}

TEST(Parts, AStateThatChangesBetweenPagesIsReadAnew) {
  core::NodeState state = state_of(100);
  StatePages pages;
  ASSERT_FALSE(*pages.add(page_of(state, pages.next(), 2000)));
  state.generation = 6;
  state.services.erase(3);
  ASSERT_FALSE(*pages.add(page_of(state, pages.next(), 2000)));
  EXPECT_EQ(pages.next().services_after(), 0u);
  while (!*pages.add(page_of(state, pages.next(), 2000))) {
  }
  EXPECT_EQ(pages.take(), state);
}

}  // namespace
}  // namespace fairlead::ipc
