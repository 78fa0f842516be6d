#include "dataplane/underlay/mirror.hpp"

#include "dataplane/base/netlink.hpp"
#include "dataplane/underlay/messages.hpp"
#include "dataplane/underlay/route_table.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string>
#include <utility>
#include <vector>

namespace fairlead {
namespace {

using underlay::PortMap;
using underlay::RouteTable;

using NeighbourKey = std::pair<core::PortId, core::IpAddress>;

constexpr int kEventBufferBytes = 8 * 1024 * 1024;
constexpr unsigned kDumpAttempts = 5;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint64_t kUseEveryNs =
    5 * kSecondNs;  // a fresh neighbour: half of the kernel's shortest reachable time
constexpr uint64_t kRetryEveryNs = 1 * kSecondNs;    // an unresolved one
constexpr uint64_t kForgetAfterNs = 60 * kSecondNs;  // unresolved and nobody asks

constexpr uint16_t kResolvedStates = NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;

struct NeighbourMessage {
  uint32_t ifindex = 0;
  core::IpAddress address;
  uint16_t state = 0;
  core::MacAddress mac;
  bool has_mac = false;
};

std::optional<NeighbourMessage> parse_neighbour(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(ndmsg)) return std::nullopt;
  const auto* header = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
  if (header->ndm_family != AF_INET && header->ndm_family != AF_INET6) return std::nullopt;  // bridge entries
  if ((header->ndm_flags & NTF_PROXY) != 0) return std::nullopt;
  const nlattr* attributes[NDA_MAX + 1] = {};
  collect_attributes(message, sizeof(ndmsg), attributes);
  NeighbourMessage result;
  result.ifindex = static_cast<uint32_t>(header->ndm_ifindex);
  result.state = header->ndm_state;
  result.address = underlay::address_of(attributes[NDA_DST], header->ndm_family);
  if (!result.address) return std::nullopt;
  const nlattr* mac = attributes[NDA_LLADDR];
  result.has_mac = mac != nullptr && mnl_attr_get_payload_len(mac) == result.mac.bytes.size();
  if (result.has_mac)
    std::memcpy(result.mac.bytes.data(), mnl_attr_get_payload(mac), result.mac.bytes.size());
  return result;
}

}  // namespace

struct UnderlayMirror::State {
  struct Wanted {
    uint64_t asked_ns = 0;  // when resolve() was last called, as refresh() sees it
    uint64_t used_ns = 0;   // when the kernel was last told
    bool asked = true;      // since the last refresh()
  };

  NetlinkSocket requests;
  NetlinkSocket events;
  PortMap ports;
  std::map<core::PortId, uint32_t> ifindexes;
  core::Underlay underlay;
  RouteTable routes;
  std::map<uint32_t, unsigned> link_flags;  // of every device: a change may mean silently removed routes
  std::map<NeighbourKey, uint16_t> neighbour_states;
  std::map<NeighbourKey, Wanted> wanted;
  bool changed = false;
  bool reread_routes = false;

  void take(const nlmsghdr& message);
  void take_link(const nlmsghdr& message);
  void take_route(const nlmsghdr& message);
  void take_neighbour(const nlmsghdr& message);

  template <typename Header>
  Result<void> dump(uint16_t type, Header header, const NetlinkVisitor& visit,
                    const std::function<void()>& restart);
  Result<void> read_links();
  Result<void> read_routes();
  Result<void> read_neighbours();
  Result<void> read_all();
  // Tells the kernel that the neighbour is in use: it resolves, or probes when stale.
  Result<void> use(const NeighbourKey& neighbour);
};

UnderlayMirror::UnderlayMirror(std::unique_ptr<State> state) : state_(std::move(state)) {}
UnderlayMirror::~UnderlayMirror() = default;

Result<std::unique_ptr<UnderlayMirror>> UnderlayMirror::open(int netns_fd) {
  auto state = std::make_unique<State>();
  auto requests = NetlinkSocket::open(NETLINK_ROUTE, netns_fd);
  if (!requests) return requests.error();
  state->requests = std::move(*requests);
  auto events = NetlinkSocket::open(NETLINK_ROUTE, netns_fd);
  if (!events) return events.error();
  state->events = std::move(*events);
  state->events.set_receive_buffer(kEventBufferBytes);
  for (const uint32_t group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                               RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}) {
    if (auto done = state->events.subscribe(group); !done) return done.error();
  }
  if (auto done = state->read_all(); !done) return done.error();
  return std::unique_ptr<UnderlayMirror>(new UnderlayMirror(std::move(state)));
}

Result<void> UnderlayMirror::set_ports(std::span<const MirroredPort> ports) {
  State& state = *state_;
  state.ports = {};
  state.ifindexes.clear();
  for (const MirroredPort& port : ports) {
    state.ports.by_ifindex[port.ifindex] = port.port;
    state.ifindexes[port.port] = port.ifindex;
    if (port.is_host_port) state.ports.host_ifindex = port.ifindex;
  }
  std::erase_if(state.wanted,
                [&](const auto& entry) { return !state.ifindexes.contains(entry.first.first); });
  return state.read_all();
}

int UnderlayMirror::poll_fd() const {
  return state_->events.poll_fd();
}

const core::Underlay& UnderlayMirror::current() const {
  return state_->underlay;
}

Result<bool> UnderlayMirror::process_events() {
  State& state = *state_;
  auto outcome = state.events.read_events([&](const nlmsghdr& message) { state.take(message); });
  if (!outcome) return outcome.error();
  if (*outcome == NetlinkEvents::kLost) {
    if (auto done = state.read_all(); !done) return done.error();
  } else if (state.reread_routes) {
    if (auto done = state.read_routes(); !done) return done.error();
  }
  return std::exchange(state.changed, false);
}

void UnderlayMirror::State::take(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return take_link(message);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return take_route(message);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return take_neighbour(message);
    case RTM_DELADDR:
      // Routes that prefer this source address went with it, without a message.
      reread_routes = true;
      return;
    default:
      return;
  }
}

void UnderlayMirror::State::take_link(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(ifinfomsg)) return;
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  if (header->ifi_family != AF_UNSPEC) return;  // a bridge's view of its port
  const auto ifindex = static_cast<uint32_t>(header->ifi_index);
  const bool is_gone = message.nlmsg_type == RTM_DELLINK;
  const unsigned flags = is_gone ? 0 : header->ifi_flags & (IFF_UP | IFF_LOWER_UP);
  // The kernel drops or marks the routes of a link that goes down without a message per route, also of ECMP
  // routes.
  if (const auto known = link_flags.find(ifindex); known != link_flags.end() && known->second != flags) {
    if (routes.uses(ifindex)) reread_routes = true;
  }
  if (is_gone) {
    link_flags.erase(ifindex);
  } else {
    link_flags[ifindex] = flags;
  }

  const auto port = ports.by_ifindex.find(ifindex);
  if (port == ports.by_ifindex.end()) return;
  if (is_gone) {
    changed |= underlay.links.erase(port->second) != 0;
    return;
  }
  const nlattr* attributes[IFLA_MAX + 1] = {};
  collect_attributes(message, sizeof(ifinfomsg), attributes);
  core::UnderlayLink link;
  const nlattr* mac = attributes[IFLA_ADDRESS];
  if (mac != nullptr && mnl_attr_get_payload_len(mac) == link.mac.bytes.size()) {
    std::memcpy(link.mac.bytes.data(), mnl_attr_get_payload(mac), link.mac.bytes.size());
  }
  link.mtu =
      static_cast<uint16_t>(std::min<uint32_t>(attribute_value<uint32_t>(attributes[IFLA_MTU], 1500), 65535));
  link.up = flags == (IFF_UP | IFF_LOWER_UP);
  auto& known = underlay.links[port->second];
  changed |= known != link;
  known = link;
}

void UnderlayMirror::State::take_route(const nlmsghdr& message) {
  auto route = underlay::parse_route(message);
  if (!route) return;
  const core::Prefix prefix = route->prefix;
  if (message.nlmsg_type == RTM_NEWROUTE) {
    routes.add(std::move(*route), message.nlmsg_flags);
  } else {
    routes.remove(*route);
  }
  const auto known = underlay.routes.find(prefix);
  auto best = routes.best(prefix, ports);
  if (!best) {
    if (known == underlay.routes.end()) return;
    underlay.routes.erase(known);
    changed = true;
  } else if (known == underlay.routes.end() || known->second != *best) {
    underlay.routes[prefix] = std::move(*best);
    changed = true;
  }
}

void UnderlayMirror::State::take_neighbour(const nlmsghdr& message) {
  const auto neighbour = parse_neighbour(message);
  if (!neighbour) return;
  const core::PortId port = ports.port_of(neighbour->ifindex);
  if (port == 0) return;
  const NeighbourKey key{port, neighbour->address};
  const bool is_gone = message.nlmsg_type == RTM_DELNEIGH;
  if (is_gone) {
    neighbour_states.erase(key);
  } else {
    neighbour_states[key] = neighbour->state;
  }
  if (!is_gone && (neighbour->state & kResolvedStates) != 0 && neighbour->has_mac) {
    const auto [known, is_new] = underlay.neighbours.try_emplace(key, neighbour->mac);
    if (is_new || known->second != neighbour->mac) {
      known->second = neighbour->mac;
      changed = true;
    }
  } else {
    changed |= underlay.neighbours.erase(key) != 0;
  }
}

// Reads all objects of one kind; starts again (after `restart`) when they changed meanwhile. The last attempt
// counts even then: what it missed comes as events.
template <typename Header>
Result<void> UnderlayMirror::State::dump(uint16_t type, Header header, const NetlinkVisitor& visit,
                                         const std::function<void()>& restart) {
  for (unsigned attempt = 0; attempt < kDumpAttempts; ++attempt) {
    restart();
    NetlinkRequest request(type, 0);
    request.header<Header>() = header;
    auto consistent = requests.dump(request, visit);
    if (!consistent) return consistent.error();
    if (*consistent) break;
  }
  return {};
}

Result<void> UnderlayMirror::State::read_links() {
  const auto before = underlay.links;
  auto done = dump(
      RTM_GETLINK, ifinfomsg{}, [this](const nlmsghdr& message) { take_link(message); },
      [this] {
        underlay.links.clear();
        link_flags.clear();
      });
  changed |= underlay.links != before;
  return done;
}

Result<void> UnderlayMirror::State::read_routes() {
  reread_routes = false;
  RouteTable fresh;
  auto done = dump(
      RTM_GETROUTE, rtmsg{},
      [&fresh](const nlmsghdr& message) {
        // A dump goes in the kernel's order of preference.
        if (auto route = underlay::parse_route(message)) fresh.add(std::move(*route), NLM_F_APPEND);
      },
      [&fresh] { fresh.clear(); });
  if (!done) return done;
  routes = std::move(fresh);
  auto all = routes.all(ports);
  changed |= all != underlay.routes;
  underlay.routes = std::move(all);
  return {};
}

Result<void> UnderlayMirror::State::read_neighbours() {
  const auto before = underlay.neighbours;
  auto done = dump(
      RTM_GETNEIGH, ndmsg{}, [this](const nlmsghdr& message) { take_neighbour(message); },
      [this] {
        underlay.neighbours.clear();
        neighbour_states.clear();
      });
  changed |= underlay.neighbours != before;
  return done;
}

Result<void> UnderlayMirror::State::read_all() {
  // What is queued now is older than what the dumps will show.
  if (auto drained = events.read_events([](const nlmsghdr&) {}); !drained) return drained.error();
  const bool was_changed = changed;
  const auto before = underlay;
  if (auto done = read_links(); !done) return done;
  if (auto done = read_routes(); !done) return done;
  if (auto done = read_neighbours(); !done) return done;
  changed = was_changed || underlay != before;
  return {};
}

Result<void> UnderlayMirror::State::use(const NeighbourKey& neighbour) {
  const auto& [port, address] = neighbour;
  const auto state = neighbour_states.find(neighbour);
  // "In use" would make the kernel forget that an entry is permanent.
  if (state != neighbour_states.end() && (state->second & (NUD_PERMANENT | NUD_NOARP)) != 0) return {};
  NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
  auto& header = request.header<ndmsg>();
  header.ndm_family = address.is_ipv4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(ifindexes.at(port));
  header.ndm_state = NUD_NONE;
  header.ndm_flags = NTF_USE;
  request.put_bytes(NDA_DST, address.bytes.data(), address.bits() / 8);
  // A link that is going away answers so; its event follows.
  return requests.request(request, "ask for neighbour " + address.text(), {ENODEV, ENETDOWN});
}

Result<void> UnderlayMirror::resolve(core::PortId port, const core::IpAddress& address) {
  State& state = *state_;
  if (!state.ifindexes.contains(port)) {
    return Error{"FL3201",
                 "cannot resolve " + address.text() + ": port " + std::to_string(port) + " is not mirrored"};
  }
  if (!address) return Error{"FL3201", "cannot resolve an empty address"};
  const auto [wanted, is_new] = state.wanted.try_emplace({port, address});
  wanted->second.asked = true;
  // Asked before: while the kernel is at it, refresh() is enough; an entry that failed or was flushed is
  // tried at once.
  const auto known = state.neighbour_states.find(wanted->first);
  const bool has_failed = known == state.neighbour_states.end() || (known->second & NUD_FAILED) != 0;
  if (!is_new && !has_failed) return {};
  return state.use(wanted->first);
}

Result<void> UnderlayMirror::refresh(uint64_t now_ns) {
  State& state = *state_;
  Result<void> first_failure;
  for (auto it = state.wanted.begin(); it != state.wanted.end();) {
    auto& [neighbour, wanted] = *it;
    if (wanted.used_ns == 0) wanted.used_ns = now_ns;  // resolve() has told the kernel since the last call
    if (std::exchange(wanted.asked, false)) wanted.asked_ns = now_ns;
    const bool is_resolved = state.underlay.neighbours.contains(neighbour);
    if (!is_resolved && now_ns - wanted.asked_ns >= kForgetAfterNs) {
      it = state.wanted.erase(it);
      continue;
    }
    if (now_ns - wanted.used_ns >= (is_resolved ? kUseEveryNs : kRetryEveryNs)) {
      wanted.used_ns = now_ns;
      if (auto done = state.use(neighbour); !done.ok() && first_failure.ok()) first_failure = done;
    }
    ++it;
  }
  return first_failure;
}

}  // namespace fairlead
