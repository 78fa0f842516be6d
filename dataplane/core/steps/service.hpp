#pragma once

#include "dataplane/core/affinity.hpp"
#include "dataplane/core/walk.hpp"

#include <cstdint>

namespace fairlead::core::steps {

// What the step `service` remembers of earlier connections.
struct ServiceMemory {
  AffinityTable* affinity = nullptr;  // null: nothing
  uint32_t now_seconds = 0;
};

// Is the client inside of the cluster? A pod of ours, this node itself (its own processes), and another
// node's pod; not another node's host, whose own node answers for it.
//
// Reads: walk.side, walk.origin, snapshot.cluster_pods
[[nodiscard]] bool is_inside(const Walk& walk, const Snapshot& snapshot);

// Remembers the client's backend, when the connection has been judged and goes. False: another worker has
// sent the client elsewhere meanwhile, so that this connection shall be judged again.
//
// Reads: walk.choice. Writes: the affinity table
[[nodiscard]] bool hold_affinity(const Walk& walk, const ServiceMemory& memory);

// The packet is to an address that has to do with Services: what service() does then.
[[nodiscard]] Verdict choose_backend(Walk& walk, const Snapshot& snapshot, const ServiceMemory& memory);

// Was a Service addressed, and which of its backends gets the connection?
//
// A packet to nobody's Service goes on untouched: the first test is a bit. An address of Services is answered
// for here or nowhere: neither the host's stack nor the wire sees what no Service takes. NodePorts are at
// addresses of the node, whose other ports are the host's.
//
// Judged in this order: is there a Service, may the client use this kind of frontend, is there a backend in
// the list that the traffic policy asks for (service.hpp), had the client one within the affinity's timeout.
//
// Reads:  walk.p, walk.origin; snapshot.frontends, cluster_pods; the affinity table
// Writes: walk.choice, walk.translation (destination)
// Drops:  NO_SERVICE (answered), NO_BACKEND (answered), NO_LOCAL_BACKEND, SOURCE_RANGE,
// CLUSTER_IP_FROM_OUTSIDE Source: kube-proxy; https://kubernetes.io/docs/reference/networking/virtual-ips/
[[nodiscard]] inline Verdict service(Walk& walk, const Snapshot& snapshot, const ServiceMemory& memory) {
  if (!snapshot.frontends.may_concern(walk.p.destination, walk.p.ip_version)) [[likely]] {
    return Verdict::go_on();
  }
  return choose_backend(walk, snapshot, memory);
}

// Is this one of the step's refusals for a Service's own reasons?
[[nodiscard]] inline bool is_service_refusal(DropReason reason) {
  return reason == DropReason::NO_BACKEND || reason == DropReason::NO_LOCAL_BACKEND ||
         reason == DropReason::SOURCE_RANGE || reason == DropReason::CLUSTER_IP_FROM_OUTSIDE;
}

}  // namespace fairlead::core::steps
