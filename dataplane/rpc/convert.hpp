#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <string_view>

namespace fairlead::ipc {

// Core values <-> messages. Reading is strict: an address, number or word that is not exactly what the field
// may hold is an error FL5060 that names the field ("endpoints[3].addresses[0]"), what was found and what was
// wanted. Nothing is half-converted.

[[nodiscard]] rpc::Settings to_message(const core::NodeSettings& settings);
[[nodiscard]] rpc::Endpoint to_message(const core::Endpoint& endpoint);
[[nodiscard]] rpc::Peer to_message(const core::Peer& peer);
[[nodiscard]] rpc::Route to_message(const core::Prefix& prefix, const core::RouteTarget& target);
[[nodiscard]] rpc::Service to_message(const core::Service& service);
// With target_name filled in for people: default/a, node-2.
[[nodiscard]] rpc::NodeState to_message(const core::NodeState& state);
[[nodiscard]] rpc::NodeStateDelta to_message(const core::NodeStateDelta& delta);
// Everything but the Services.
[[nodiscard]] rpc::NodeState to_message_without_services(const core::NodeState& state);
[[nodiscard]] rpc::NodeStateDelta to_message_without_services(const core::NodeStateDelta& delta);

// References are not followed here: core::validate() and core::apply() do that.
[[nodiscard]] Result<core::Endpoint> from_message(const rpc::Endpoint& message,
                                                  std::string_view where = "endpoint");
[[nodiscard]] Result<core::NodeState> from_message(const rpc::NodeState& message);
[[nodiscard]] Result<core::NodeStateDelta> from_message(const rpc::NodeStateDelta& message);

[[nodiscard]] rpc::Port to_message(const PortStatus& port);
[[nodiscard]] rpc::Flow to_message(const FlowRecord& flow);
[[nodiscard]] rpc::TraceResult to_message(
    const Trace& trace);  // pushed_header_text: decoded, one header a line
[[nodiscard]] rpc::TraceRequest to_message(const TraceRequest& request);
[[nodiscard]] Result<TraceRequest> from_message(const rpc::TraceRequest& message);
[[nodiscard]] Result<FlowFilter> from_message(const rpc::FlowsRequest& message);

// Every counter and every drop reason but NONE, also at zero, with their sentences; stage "forwarder".
[[nodiscard]] rpc::CountersReply to_message(const core::Counters& counters);

[[nodiscard]] rpc::Error to_message(const Error& error);
[[nodiscard]] Error from_message(const rpc::Error& message);

[[nodiscard]] std::string_view text(core::Encapsulation encapsulation);  // VXLAN | Geneve
[[nodiscard]] std::string_view text(core::Transport transport);          // Routed | Overlay
[[nodiscard]] std::string_view text(core::RouteKind kind);               // Endpoint | Peer | Host | Blackhole
[[nodiscard]] std::string_view text(
    core::FrontendKind kind);  // ClusterIP | NodePort | LoadBalancer | ExternalIP
[[nodiscard]] std::string_view text(core::ReplyPath path);  // ThisNode | Geneve | IPIP
[[nodiscard]] std::string_view text(PortKind kind);         // Uplink | Trunk | Host | Fast

}  // namespace fairlead::ipc
