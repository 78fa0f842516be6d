#include "dataplane/core/snapshot_builder.hpp"

// The FIB part of SnapshotBuilder: which next hop each prefix has.
//
// Three layers, the first that knows a prefix decides: routes of NodeState; the cluster's and this node's pod
// ranges, which lead nowhere unless a NodeState route says so; the kernel's underlay routes, unless a pod
// route covers them. The longest prefix over all layers wins a lookup.

namespace fairlead::core {

namespace {

uint32_t word4(const IpAddress& address) {
  return __builtin_bswap32(address.ipv4_wire());
}

}  // namespace

uint32_t SnapshotBuilder::fib_get(const Prefix& prefix) const {
  return prefix.address.is_ipv4() ? fib4_.get(word4(prefix.address), prefix.length)
                                  : fib6_.get(Ipv6Words::load(prefix.address.bytes.data()), prefix.length);
}

bool SnapshotBuilder::fib_set(const Prefix& prefix, uint32_t next_hop) {
  if (prefix.address.is_ipv4()) {
    const uint32_t address = word4(prefix.address);
    return next_hop != kNoNextHop ? fib4_.set(address, prefix.length, next_hop)
                                  : fib4_.clear(address, prefix.length);
  }
  const Ipv6Words address = Ipv6Words::load(prefix.address.bytes.data());
  return next_hop != kNoNextHop ? fib6_.set(address, prefix.length, next_hop)
                                : fib6_.clear(address, prefix.length);
}

bool SnapshotBuilder::covered_by_node_route(const Prefix& prefix) const {
  for (int length = prefix.length; length >= 0; --length) {
    const Prefix above = Prefix::enclosing(prefix.address, static_cast<uint8_t>(length));
    if (implicit_.contains(above)) return true;
    const auto route = node_.routes.find(above);
    if (route != node_.routes.end() && route->second.kind != RouteKind::kHost) return true;
  }
  return false;
}

uint32_t SnapshotBuilder::group_next_hop(const Group& group) {
  const auto known = group_next_hops_.find(group);
  if (known != group_next_hops_.end()) return known->second;
  Definition definition;
  definition.kind = NextHopKind::kGateway;
  definition.group = group;
  const uint32_t index = add_next_hop(std::move(definition));
  group_next_hops_[group] = index;
  return index;
}

uint32_t SnapshotBuilder::effective(const Prefix& prefix) {
  const auto route = node_.routes.find(prefix);
  if (route != node_.routes.end()) {
    const auto [kind, target] = route->second;
    switch (kind) {
      case RouteKind::kEndpoint:
        return endpoint_next_hops_.at(target);
      case RouteKind::kPeer:
        return peer_next_hops_.at({static_cast<PeerId>(target), prefix.address.family});
      case RouteKind::kHost:
        return kHostNextHop;
      case RouteKind::kBlackhole:
        return kBlackholeNextHop;
    }
  }
  if (implicit_.contains(prefix)) {
    for (const Prefix& local : node_.settings.local_pods) {
      if (local == prefix) return kBlackholeNextHop;
    }
    return kUnreachableNextHop;
  }
  const auto underlay = underlay_.routes.find(prefix);
  if (underlay == underlay_.routes.end()) return kNoNextHop;
  if (underlay->second.kind == UnderlayRouteKind::kLocal) return kHostNextHop;
  if (covered_by_node_route(prefix)) return kNoNextHop;
  if (underlay->second.kind == UnderlayRouteKind::kUnreachable || underlay->second.next_hops.empty()) {
    return kUnreachableNextHop;
  }
  return group_next_hop(underlay->second.next_hops);
}

void SnapshotBuilder::refresh_prefix(const Prefix& prefix) {
  const uint32_t before = fib_get(prefix);
  const uint32_t now = effective(prefix);
  if (before == now) return;
  if (!fib_set(prefix, now))
    return;  // the address space for the trie is used up: the shorter prefix still decides
  // Flows that went the old way must ask again: by this prefix, or, when it is new, by the one that covered
  // it.
  if (!bulk_) {
    if (before != kNoNextHop) {
      judge_again(before);
    } else {
      for (int length = prefix.length - 1; length >= 0; --length) {
        const uint32_t above = fib_get(Prefix::enclosing(prefix.address, static_cast<uint8_t>(length)));
        if (above == kNoNextHop) continue;
        judge_again(above);
        break;
      }
    }
  }
  const auto count = [&](uint32_t index, int change) {
    if (index == kNoNextHop || definitions_[index].kind != NextHopKind::kGateway) return;
    Definition& definition = definitions_[index];
    definition.references += static_cast<uint32_t>(change);
    if (definition.references != 0) return;
    group_next_hops_.erase(definition.group);
    remove_next_hop(index);
  };
  count(now, 1);
  count(before, -1);
}

void SnapshotBuilder::refresh_prefix_and_below(const Prefix& prefix) {
  refresh_prefix(prefix);
  // Underlay routes inside: a pod route above them hides them, without one they show again.
  for (auto at = underlay_.routes.lower_bound(prefix); at != underlay_.routes.end(); ++at) {
    if (at->first.address.family == prefix.address.family && !prefix.contains(at->first.address)) break;
    if (at->first.address.family == prefix.address.family && at->first.length > prefix.length)
      refresh_prefix(at->first);
  }
}

}  // namespace fairlead::core
