#include "dataplane/core/choice_hash.hpp"
#include "dataplane/core/steps/service.hpp"
#include "dataplane/core/steps/still_choosable.hpp"

#include <algorithm>

namespace fairlead::core::steps {

namespace {

using List = ServiceView::List;

bool contains(const std::vector<Prefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& prefix) { return prefix.contains(address); });
}

// May a client use this frontend at all?
Verdict admit(const Walk& walk, const ServiceView& view, FrontendKind kind, bool inside) {
  if (inside) return Verdict::go_on();
  if (kind == FrontendKind::kClusterIp) return Verdict::drop(DropReason::CLUSTER_IP_FROM_OUTSIDE);
  if (kind == FrontendKind::kLoadBalancer && view.has_source_ranges() &&
      !contains(view.service().source_ranges, address_of(walk.p.source, walk.p.ip_version))) {
    return Verdict::drop(DropReason::SOURCE_RANGE);
  }
  return Verdict::go_on();
}

// The backend of a new connection, from a list that is not empty.
uint32_t choose(Walk& walk, const ServiceView& view, List list, const ServiceMemory& memory) {
  const uint32_t timeout = view.affinity_seconds();
  if (timeout == 0 || memory.affinity == nullptr) return view.choose(list, choice_of(walk.p));
  const uint64_t key = memory.affinity->key(walk.p.source, view.service_id());
  const uint32_t found = memory.affinity->find(key, timeout, memory.now_seconds);
  uint32_t backend = found != 0 ? view.find_in(list, found) : ServiceView::kNone;
  walk.choice.by_affinity = backend != ServiceView::kNone;
  if (!walk.choice.by_affinity) backend = view.choose(list, choice_of(walk.p));
  walk.choice.affinity = {key, found, view.id(backend), timeout};
  return backend;
}

// Replies must come back through this node: where the backend would send them straight to the client, from an
// address that the client has not spoken to. That is a backend elsewhere for every client but a pod here (to
// which all ways lead through us), unless it is outside and the Service returns directly; and a client that
// is its own backend.
bool needs_return(const Walk& walk, const ServiceView& view, bool inside) {
  if (walk.translation.destination == walk.p.source) return true;
  if (view.is_local(walk.choice.backend) || walk.side.kind() == Side::kEndpoint) return false;
  return inside || (!walk.choice.is_local_only && view.reply_path() == ReplyPath::kThisNode);
}

}  // namespace

bool hold_affinity(const Walk& walk, const ServiceMemory& memory) {
  const AffinityMark& mark = walk.choice.affinity;
  return mark.timeout_seconds == 0 ||
         memory.affinity->hold(mark.key, mark.found, mark.backend, mark.timeout_seconds,
                               memory.now_seconds) == mark.backend;
}

bool is_inside(const Walk& walk, const Snapshot& snapshot) {
  if (walk.origin.kind() == Side::kEndpoint || walk.origin.kind() == Side::kHost) return true;
  return walk.origin.kind() == Side::kPeer &&
         contains(*snapshot.cluster_pods, address_of(walk.p.source, walk.p.ip_version));
}

Verdict choose_backend(Walk& walk, const Snapshot& snapshot, const ServiceMemory& memory) {
  const parsed& p = walk.p;
  const uint16_t port = p.has_ports != 0 ? from_be16(p.destination_port) : uint16_t{0};
  const Frontends::Found found = snapshot.frontends.find(p.destination, port, p.protocol, p.ip_version);
  const bool inside = is_inside(walk, snapshot);
  if (found.entry == nullptr) {
    if (!found.is_service_address) return Verdict::go_on();
    // Outsiders are told nothing about the cluster's own range, not even where nothing is.
    return found.is_in_range && !inside ? Verdict::drop(DropReason::CLUSTER_IP_FROM_OUTSIDE)
                                        : Verdict::refuse(DropReason::NO_SERVICE);
  }
  const ServiceView& view = *found.entry->view;
  view.fetch();
  const FrontendKind kind = found.entry->kind;
  walk.choice.service = view.service_id();
  walk.choice.kind = kind;
  if (const Verdict verdict = admit(walk, view, kind, inside); !verdict.goes_on()) return verdict;

  walk.choice.is_local_only =
      kind == FrontendKind::kClusterIp ? view.internal_local() : view.external_local() && !inside;
  const List list = walk.choice.is_local_only ? List::kLocal : List::kCluster;
  if (view.is_empty(list)) {
    return view.is_empty(List::kCluster) ? Verdict::refuse(DropReason::NO_BACKEND)
                                         : Verdict::drop(DropReason::NO_LOCAL_BACKEND);
  }
  walk.choice.backend = choose(walk, view, list, memory);
  walk.translation.translates_destination = true;
  walk.translation.destination = view.address(walk.choice.backend);
  walk.translation.destination_port = view.port(walk.choice.backend);
  walk.choice.needs_return = needs_return(walk, view, inside);
  return Verdict::go_on();
}

bool still_choosable(const ServiceView& view, const ip_address& backend, be16 port, uint32_t* index) {
  *index = view.find(backend, port);
  if (*index == ServiceView::kNone) return false;
  return view.protocol() != FL_PROTOCOL_UDP || view.is_serving(*index);
}

bool still_choosable(const Snapshot& snapshot, const FlowEnds& ends, ServiceChoice* choice) {
  if (!snapshot.frontends.may_concern(ends.frontend, ends.ip_version)) return !ends.is_translated();
  const Frontends::Found found =
      snapshot.frontends.find(ends.frontend, from_be16(ends.frontend_port), ends.protocol, ends.ip_version);
  if (found.entry == nullptr) return !ends.is_translated() && !found.is_service_address;
  uint32_t index = 0;
  if (!still_choosable(*found.entry->view, ends.backend, ends.backend_port, &index)) return false;
  choice->service = found.entry->view->service_id();
  choice->kind = found.entry->kind;
  choice->backend = index;
  return true;
}

}  // namespace fairlead::core::steps
