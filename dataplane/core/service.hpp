#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/core/name.hpp"

#include <cstdint>
#include <string>
#include <vector>

// A Service as the packet path needs it: kube-proxy's contract as values, everything chosen that does not
// depend on a packet.

namespace fairlead::core {

// 1 .. 2^24-1; one port of one Service in one address family. Stable while the agent lives. 0 is "none".
using ServiceId = uint32_t;

// More endpoints than any Service has that works; wrong_with() refuses them.
inline constexpr size_t kBackendsMax = 10'000;

// One endpoint of a Service.
struct Backend {
  IpAddress address;
  uint16_t port = 0;
  // Serving (ready, or terminating but still serving): a datagram flow may stay. A stream may stay as long as
  // the backend is listed at all.
  bool serving = true;
  bool local = false;  // on this node: a pod here, or one of this node's own addresses
  Name object;         // pod/namespace/name of its targetRef; empty where there is none
  Name node;           // its nodeName; empty where unknown

  bool operator==(const Backend&) const = default;
};

enum class FrontendKind : uint8_t {
  kClusterIp,
  kNodePort,      // `address` is absent: each of NodeSettings::node_port_addresses of the Service's family
  kLoadBalancer,  // status.loadBalancer.ingress[].ip with ipMode VIP
  kExternalIp,
};

// An address and port that the Service answers on.
struct Frontend {
  FrontendKind kind = FrontendKind::kClusterIp;
  IpAddress address;
  uint16_t port = 0;

  bool operator==(const Frontend&) const = default;
};

// How a backend on another node gets a packet that came from outside the cluster.
enum class ReplyPath : uint8_t {
  kThisNode,  // source translated to this node, so that replies come back here
  kGeneve,    // direct server return: the frontend travels as a Geneve option
  kIpInIp,    // direct server return: the original packet travels inside IPIP or IP6IP6
};

// One port of a Service in one address family.
//
// New connections choose from a list of indices into `backends`:
// - to the ClusterIP: `local_backends` with internal_local, otherwise `cluster_backends`;
// - to another frontend: with external_local, `local_backends` for who is outside the cluster and
//   `cluster_backends` for pods and for this node's own processes; otherwise `cluster_backends`.
// `cluster_backends` is after topology hints; both are after the fallback from ready endpoints to those that
// are serving and terminating.
// An empty list: a refusal (TCP reset, ICMP port unreachable) when `cluster_backends` is empty as well,
// otherwise a silent drop, as kube-proxy has it.
//
// With external_local the source is kept; otherwise traffic from outside is translated as `reply_path` says.
struct Service {
  ServiceId id = 0;
  std::string service_namespace;
  std::string name;
  std::string port_name;  // empty for an unnamed port
  uint8_t protocol = 0;   // 6, 17, 132
  bool is_ipv6 = false;
  std::vector<Frontend> frontends;
  std::vector<Backend> backends;                           // by address and port, each once
  std::vector<uint32_t> cluster_backends, local_backends;  // ascending
  bool internal_local = false;                             // internalTrafficPolicy: Local
  bool external_local = false;                             // externalTrafficPolicy: Local
  uint32_t affinity_seconds = 0;                           // sessionAffinity: ClientIP; 0: none
  std::vector<Prefix> source_ranges;  // loadBalancerSourceRanges of the family; empty: everybody
  ReplyPath reply_path = ReplyPath::kThisNode;

  bool operator==(const Service&) const = default;
};

// "default/web:http" or, without a port name, "default/web".
[[nodiscard]] std::string name_of(const Service& service);

// Empty when the value is one that the packet path may use; otherwise what is wrong with it.
[[nodiscard]] std::string wrong_with(const Service& service);

}  // namespace fairlead::core
