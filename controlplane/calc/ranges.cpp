#include "controlplane/calc/ranges.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace fairlead::control {
namespace {

using core::IpAddress;
using core::Prefix;

struct Claim {
  const std::string* node;
  std::size_t index;  // within the node's list
  Prefix prefix;
  bool is_held;  // already in `previous`
};

// Families apart, then by the bits: what lies inside a prefix is one run.
struct ByAddress {
  bool operator()(const IpAddress& a, const IpAddress& b) const {
    return std::tie(a.family, a.bytes) < std::tie(b.family, b.bytes);
  }
  bool operator()(const Prefix& a, const Prefix& b) const {
    return std::tie(a.address.family, a.address.bytes, a.length) <
           std::tie(b.address.family, b.address.bytes, b.length);
  }
};

// The granted ranges, none overlapping another, so that only the neighbours of a new one can overlap it.
class Grants {
 public:
  // The range that overlaps and its node; nullptr, and granted, when there is none.
  const std::pair<const Prefix, const std::string*>* grant(const Prefix& prefix, const std::string& node) {
    const auto after = granted_.lower_bound(prefix);
    if (after != granted_.end() && after->first.overlaps(prefix)) return &*after;
    if (after != granted_.begin() && std::prev(after)->first.overlaps(prefix)) return &*std::prev(after);
    granted_.emplace_hint(after, prefix, &node);
    return nullptr;
  }

 private:
  std::map<Prefix, const std::string*, ByAddress> granted_;
};

using AddressOwners = std::map<IpAddress, std::string, ByAddress>;

std::set<std::pair<std::string, Prefix>> holdings(const core::NodeState& previous) {
  std::set<std::pair<std::string, Prefix>> held;
  for (const Prefix& prefix : previous.settings.local_pods) held.emplace(previous.settings.node, prefix);
  for (const auto& [id, peer] : previous.peers) {
    for (const Prefix& prefix : peer.pod_cidrs) held.emplace(peer.node, prefix);
  }
  return held;
}

// Addresses that must never be taken for a pod's: with them swallowed, the nodes lose each other.
AddressOwners node_addresses(const Intent& intent) {
  AddressOwners addresses;
  for (const auto& [name, node] : intent.nodes) {
    for (const IpAddress& address : node.internal_ips) addresses.emplace(address, "node/" + name);
  }
  return addresses;
}

std::string first_inside(const AddressOwners& addresses, const Prefix& prefix) {
  const auto at = addresses.lower_bound(prefix.address);
  if (at == addresses.end() || !prefix.contains(at->first)) return {};
  return prefix.text() + " contains " + at->first.text() + " of " + at->second;
}

}  // namespace

std::map<std::string, std::vector<Prefix>> assign_ranges(const Intent& intent,
                                                         const core::NodeState& previous,
                                                         std::vector<Refusal>& refusals) {
  const auto held = holdings(previous);
  const auto addresses = node_addresses(intent);
  std::vector<Claim> claims;
  for (const auto& [name, node] : intent.nodes) {
    for (std::size_t i = 0; i < node.pod_cidrs.size(); ++i) {
      claims.push_back({&name, i, node.pod_cidrs[i], held.contains({name, node.pod_cidrs[i]})});
    }
  }
  std::stable_sort(claims.begin(), claims.end(),
                   [](const Claim& a, const Claim& b) { return a.is_held > b.is_held; });

  Grants grants;
  std::vector<Claim> granted;
  for (const Claim& claim : claims) {
    std::string why = first_inside(addresses, claim.prefix);
    for (const Prefix& service : intent.network.services) {
      if (why.empty() && service.overlaps(claim.prefix)) {
        why = claim.prefix.text() + " overlaps spec.addressing.services " + service.text();
      }
    }
    if (why.empty()) {
      if (const auto* other = grants.grant(claim.prefix, *claim.node)) {
        why = claim.prefix.text() + " overlaps " + other->first.text() + " of node/" + *other->second;
      }
    }
    if (why.empty()) {
      granted.push_back(claim);
    } else {
      refusals.push_back({"FL1030", "node/" + *claim.node,
                          "spec.podCIDRs[" + std::to_string(claim.index) + "]", std::move(why)});
    }
  }
  // Back in the order of the Node, whoever was granted first.
  std::sort(granted.begin(), granted.end(), [](const Claim& a, const Claim& b) {
    return std::tie(*a.node, a.index) < std::tie(*b.node, b.index);
  });
  std::map<std::string, std::vector<Prefix>> owned;
  for (const Claim& claim : granted) owned[*claim.node].push_back(claim.prefix);
  return owned;
}

}  // namespace fairlead::control
