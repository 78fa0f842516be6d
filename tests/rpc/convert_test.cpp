#include "dataplane/rpc/convert.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>

namespace fairlead::ipc {
namespace {

using core::Family;
using core::IpAddress;

// Random, valid node states: every field takes many values, references need not resolve (convert does not
// follow them).
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  uint64_t below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(engine_); }
  std::string name() {
    std::string text;
    for (uint64_t i = below(12) + 1; i > 0; --i) text += static_cast<char>('a' + below(26));
    return text;
  }
  IpAddress address(Family family) {
    IpAddress address;
    address.family = family;
    for (unsigned i = 0; i < address.bits() / 8; ++i) address.bytes[i] = static_cast<uint8_t>(below(256));
    return address;
  }
  IpAddress address() { return address(below(2) == 0 ? Family::kIpv4 : Family::kIpv6); }
  IpAddress maybe(Family family) { return below(3) == 0 ? IpAddress{} : address(family); }
  core::MacAddress mac() {
    core::MacAddress mac;
    for (uint8_t& byte : mac.bytes) byte = static_cast<uint8_t>(below(256));
    return mac;
  }
  core::Prefix prefix() {
    const IpAddress inside = address();
    return core::Prefix::enclosing(inside, static_cast<uint8_t>(below(inside.bits() + 1)));
  }
  core::Endpoint endpoint() {
    core::Endpoint e;
    e.id = static_cast<uint32_t>(1 + below((1u << 24) - 1));
    e.pod_namespace = name(), e.pod_name = name(), e.container_id = name(), e.interface = name();
    e.host_interface = name(), e.host_ifindex = static_cast<uint32_t>(below(1u << 31));
    e.fast_port = static_cast<core::PortId>(below(65536));
    e.mac = mac();
    for (uint64_t i = below(4); i > 0; --i) e.addresses.push_back(address());
    return e;
  }
  core::Peer peer() {
    core::Peer p;
    p.id = static_cast<core::PeerId>(1 + below(65535));
    p.node = name();
    p.transport = below(2) == 0 ? core::Transport::kRouted : core::Transport::kOverlay;
    p.vtep = maybe(Family::kIpv4), p.alternate_vtep = maybe(Family::kIpv6), p.vtep_mac = mac();
    p.next_hop4 = maybe(Family::kIpv4), p.next_hop6 = maybe(Family::kIpv6);
    for (uint64_t i = below(4); i > 0; --i) p.pod_cidrs.push_back(prefix());
    return p;
  }
  core::RouteTarget target() {
    return {static_cast<core::RouteKind>(below(4)), static_cast<uint32_t>(below(1u << 24))};
  }
  core::NodeSettings settings() {
    core::NodeSettings s;
    s.node = name(), s.mode = name();
    s.encapsulation = below(2) == 0 ? core::Encapsulation::kVxlan : core::Encapsulation::kGeneve;
    s.vni = static_cast<uint32_t>(below(1u << 24));
    s.tunnel_port = static_cast<uint16_t>(1 + below(65535));
    s.vtep4 = maybe(Family::kIpv4), s.vtep6 = maybe(Family::kIpv6), s.vtep_mac = mac();
    s.pod_mtu = static_cast<uint16_t>(68 + below(65000)),
    s.uplink_mtu = static_cast<uint16_t>(68 + below(65000));
    for (uint64_t i = below(4); i > 0; --i) s.cluster_pods.push_back(prefix());
    for (uint64_t i = below(4); i > 0; --i) s.local_pods.push_back(prefix());
    for (uint64_t i = below(4); i > 0; --i) s.cluster_services.push_back(prefix());
    for (uint64_t i = below(4); i > 0; --i) s.node_port_addresses.push_back(address());
    for (uint64_t i = below(4); i > 0; --i) s.no_masquerade.push_back(prefix());
    s.masquerade4 = maybe(Family::kIpv4), s.masquerade6 = maybe(Family::kIpv6);
    s.snat_port_first = static_cast<uint16_t>(1 + below(60000));
    s.snat_port_last = static_cast<uint16_t>(s.snat_port_first + below(5000));
    return s;
  }
  std::shared_ptr<const core::Service> service() {
    auto s = std::make_shared<core::Service>();
    s->id = static_cast<core::ServiceId>(1 + below((1u << 24) - 1));
    s->service_namespace = name(), s->name = name();
    if (below(2) == 0) s->port_name = name();
    s->protocol = std::array<uint8_t, 3>{6, 17, 132}[below(3)];
    s->is_ipv6 = below(2) == 0;
    const Family family = s->is_ipv6 ? Family::kIpv6 : Family::kIpv4;
    for (uint64_t i = below(5); i > 0; --i) {
      const auto kind = static_cast<core::FrontendKind>(below(4));
      s->frontends.push_back({kind, kind == core::FrontendKind::kNodePort ? IpAddress{} : address(family),
                              static_cast<uint16_t>(1 + below(65535))});
    }
    for (uint64_t i = below(9); i > 0; --i) {
      s->backends.push_back({address(family), static_cast<uint16_t>(1 + below(65535)), below(2) == 0,
                             below(2) == 0, below(2) == 0 ? name() : "", below(2) == 0 ? name() : ""});
    }
    for (uint32_t i = 0; i < s->backends.size(); ++i) {
      if (below(2) == 0) s->cluster_backends.push_back(i);
      if (below(2) == 0) s->local_backends.push_back(i);
    }
    s->internal_local = below(2) == 0, s->external_local = below(2) == 0;
    s->affinity_seconds = static_cast<uint32_t>(below(86401));
    for (uint64_t i = below(3); i > 0; --i)
      s->source_ranges.push_back(core::Prefix::enclosing(address(family), static_cast<uint8_t>(below(33))));
    s->reply_path = static_cast<core::ReplyPath>(below(3));
    return s;
  }
  core::NodeState state() {
    core::NodeState s;
    s.generation = below(~0ull);
    s.settings = settings();
    for (uint64_t i = below(20); i > 0; --i) {
      const core::Endpoint e = endpoint();
      s.endpoints[e.id] = e;
    }
    for (uint64_t i = below(20); i > 0; --i) {
      const core::Peer p = peer();
      s.peers[p.id] = p;
    }
    for (uint64_t i = below(60); i > 0; --i) s.routes[prefix()] = target();
    for (uint64_t i = below(20); i > 0; --i) {
      auto made = service();
      s.services[made->id] = std::move(made);
    }
    return s;
  }

 private:
  std::mt19937_64 engine_;
};

// Over the wire and back: what the other process reads.
template <typename Message>
Message sent(const Message& message) {
  Message received;
  EXPECT_TRUE(received.ParseFromString(message.SerializeAsString()));
  return received;
}

TEST(Convert, RandomNodeStatesSurviveTheRoundTrip) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    Dice dice(seed);
    const core::NodeState state = dice.state();
    const Result<core::NodeState> back = from_message(sent(to_message(state)));
    ASSERT_TRUE(back.ok()) << "seed " << seed << ": " << back.error().text();
    ASSERT_TRUE(*back == state) << "seed " << seed;
  }
}

TEST(Convert, RandomDeltasSurviveTheRoundTrip) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Dice dice(seed);
    core::NodeStateDelta delta;
    delta.from_generation = dice.below(100), delta.to_generation = dice.below(100);
    delta.has_settings = dice.below(2) == 0;
    if (delta.has_settings) delta.settings = dice.settings();
    for (int i = 0; i < 5; ++i) {
      delta.upsert_endpoints.push_back(dice.endpoint());
      delta.upsert_peers.push_back(dice.peer());
      delta.upsert_routes.emplace_back(dice.prefix(), dice.target());
      delta.remove_routes.push_back(dice.prefix());
      delta.remove_peers.push_back(static_cast<core::PeerId>(1 + dice.below(65535)));
      delta.remove_endpoints.push_back(static_cast<core::EndpointId>(1 + dice.below((1u << 24) - 1)));
      delta.upsert_services.push_back(dice.service());
      delta.remove_services.push_back(static_cast<core::ServiceId>(1 + dice.below((1u << 24) - 1)));
    }
    const Result<core::NodeStateDelta> back = from_message(sent(to_message(delta)));
    ASSERT_TRUE(back.ok()) << "seed " << seed << ": " << back.error().text();
    EXPECT_EQ(back->from_generation, delta.from_generation);
    EXPECT_EQ(back->to_generation, delta.to_generation);
    EXPECT_EQ(back->has_settings, delta.has_settings);
    EXPECT_TRUE(back->settings == delta.settings);
    EXPECT_TRUE(back->upsert_endpoints == delta.upsert_endpoints);
    EXPECT_TRUE(back->upsert_peers == delta.upsert_peers);
    EXPECT_TRUE(back->upsert_routes == delta.upsert_routes);
    EXPECT_TRUE(back->remove_routes == delta.remove_routes);
    EXPECT_EQ(back->remove_services, delta.remove_services);
    ASSERT_EQ(back->upsert_services.size(), delta.upsert_services.size());
    for (size_t i = 0; i < delta.upsert_services.size(); ++i)
      EXPECT_TRUE(*back->upsert_services[i] == *delta.upsert_services[i]);
    EXPECT_TRUE(back->remove_peers == delta.remove_peers);
    EXPECT_TRUE(back->remove_endpoints == delta.remove_endpoints);
  }
}

// Each row breaks one field of a good state; the error must name the field, what was found and refuse the
// whole.
struct BadField {
  const char* name;
  void (*spoil)(rpc::NodeState&);
  const char* path;
};

TEST(Convert, OneBadFieldIsNamedAndRefusesTheWhole) {
  core::NodeState good;
  good.settings = Dice(1).settings();
  good.endpoints[7] = Dice(2).endpoint();
  good.endpoints[7].id = 7;
  good.endpoints[7].addresses = {*IpAddress::parse("10.0.0.1"), *IpAddress::parse("fd00::1")};
  good.peers[3] = Dice(3).peer();
  good.peers[3].id = 3;
  good.routes[*core::Prefix::parse("10.0.0.0/8")] = {core::RouteKind::kPeer, 3};
  ASSERT_TRUE(from_message(to_message(good)).ok());

  const BadField rows[] = {
      {"address", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_addresses(1, "fd00::zz"); },
       "state.endpoints[0].addresses[1]"},
      {"empty address", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_addresses(0, ""); },
       "state.endpoints[0].addresses[0]"},
      {"endpoint id 0", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_id(0); },
       "state.endpoints[0].id"},
      {"endpoint id too large", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_id(1u << 24); },
       "state.endpoints[0].id"},
      {"two endpoints of one id", [](rpc::NodeState& s) { *s.add_endpoints() = s.endpoints(0); },
       "state.endpoints[1].id"},
      {"mac", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_mac("02:46:4c"); },
       "state.endpoints[0].mac"},
      {"port", [](rpc::NodeState& s) { s.mutable_endpoints(0)->set_fast_port(65536); },
       "state.endpoints[0].fast_port"},
      {"peer id truncates", [](rpc::NodeState& s) { s.mutable_peers(0)->set_id(65536 + 3); },
       "state.peers[0].id"},
      {"transport", [](rpc::NodeState& s) { s.mutable_peers(0)->set_transport("routed"); },
       "state.peers[0].transport"},
      {"cidr with host bits", [](rpc::NodeState& s) { s.mutable_peers(0)->add_pod_cidrs("10.0.0.1/8"); },
       "state.peers[0].pod_cidrs["},
      {"route kind", [](rpc::NodeState& s) { s.mutable_routes(0)->set_kind(""); }, "state.routes[0].kind"},
      {"route twice", [](rpc::NodeState& s) { *s.add_routes() = s.routes(0); }, "state.routes[1].prefix"},
      {"vni", [](rpc::NodeState& s) { s.mutable_settings()->set_vni(1u << 24); }, "state.settings.vni"},
      {"tunnel port 0", [](rpc::NodeState& s) { s.mutable_settings()->set_tunnel_port(0); },
       "state.settings.tunnel_port"},
      {"family", [](rpc::NodeState& s) { s.mutable_settings()->set_vtep4("fd00::1"); },
       "state.settings.vtep4"},
      {"mtu", [](rpc::NodeState& s) { s.mutable_settings()->set_pod_mtu(70000); }, "state.settings.pod_mtu"},
      {"no settings", [](rpc::NodeState& s) { s.clear_settings(); }, "state.settings."},
  };
  for (const BadField& row : rows) {
    rpc::NodeState message = to_message(good);
    row.spoil(message);
    const Result<core::NodeState> read = from_message(message);
    ASSERT_FALSE(read.ok()) << row.name;
    EXPECT_EQ(read.error().code, "FL5060") << row.name;
    EXPECT_EQ(read.error().what.rfind(row.path, 0), 0u) << row.name << ": " << read.error().what;
    EXPECT_NE(read.error().what.find("wanted"), std::string::npos) << row.name;
  }
}

TEST(Convert, FoundTextInErrorsIsShortAndPrintable) {
  rpc::Endpoint message = to_message(Dice(1).endpoint());
  message.set_mac(std::string("\x1b[2J") + std::string(1000, 'x'));
  const Result<core::Endpoint> read = from_message(message);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().what.find('\x1b'), std::string::npos);
  EXPECT_LT(read.error().what.size(), 200u);
}

TEST(Convert, RoutesNameTheirTargets) {
  core::NodeState state;
  state.settings = Dice(1).settings();
  state.endpoints[7] = Dice(2).endpoint();
  state.endpoints[7].id = 7;
  state.endpoints[7].pod_namespace = "default";
  state.endpoints[7].pod_name = "a";
  state.routes[*core::Prefix::parse("10.0.0.7/32")] = {core::RouteKind::kEndpoint, 7};
  EXPECT_EQ(to_message(state).routes(0).target_name(), "default/a");
}

TEST(Convert, CountersNameEveryReasonOnceAndSayWhetherTheyAreConserved) {
  core::Counters counters;
  counters.values[static_cast<size_t>(core::Counter::in)] = 3;
  counters.values[static_cast<size_t>(core::Counter::forwarded)] = 2;
  counters.drops[static_cast<size_t>(core::DropReason::NO_ROUTE)] = 1;
  rpc::CountersReply message = to_message(counters);
  EXPECT_TRUE(message.conserved());
  EXPECT_EQ(message.drops_size(), static_cast<int>(core::DropReason::kCount) - 1);
  std::map<std::string, uint64_t> by_name;
  for (const rpc::NamedCount& row : message.drops()) {
    EXPECT_TRUE(by_name.emplace(row.name(), row.count()).second) << row.name();
    EXPECT_FALSE(row.sentence().empty()) << row.name();
  }
  EXPECT_EQ(by_name.at("NO_ROUTE"), 1u);
  counters.values[static_cast<size_t>(core::Counter::in)] = 4;
  EXPECT_FALSE(to_message(counters).conserved());
}

TEST(Convert, TraceRequestsAreHeldToTheirFields) {
  TraceRequest request;
  request.from_endpoint = 7;
  request.source = *IpAddress::parse("10.0.0.7");
  request.destination = *IpAddress::parse("10.0.1.7");
  const Result<TraceRequest> back = from_message(sent(to_message(request)));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->from_endpoint, 7u);
  EXPECT_EQ(back->destination, request.destination);
  EXPECT_EQ(back->length, request.length);

  rpc::TraceRequest message = to_message(request);
  message.set_destination_port(70000);
  ASSERT_FALSE(from_message(message).ok());
  message = to_message(request);
  message.set_from_endpoint(0);
  ASSERT_FALSE(from_message(message).ok());
  message = to_message(request);
  message.clear_destination();
  ASSERT_FALSE(from_message(message).ok());
}

}  // namespace
}  // namespace fairlead::ipc
