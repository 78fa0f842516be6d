#include "dataplane/base/diagnostic.hpp"
#include "tools/cli/listing.hpp"
#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/words.hpp"

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ",") + text;
  return all;
}

Exit get_endpoints(Session& session) {
  const Result<rpc::NodeState> state = session.ask_state(false);
  if (!state) return session.fail(state.error());
  Listing listing(session, "endpoint",
                  {{"NAMESPACE"},
                   {"POD"},
                   {"ID", true},
                   {"ADDRESSES"},
                   {"MAC", false, true},
                   {"INTERFACE", false, true},
                   {"HOST-INTERFACE", false, true},
                   {"CONTAINER", false, true}});
  const std::string& wanted = session.line().text("namespace");
  for (const rpc::Endpoint& endpoint : state->endpoints()) {
    if (!wanted.empty() && endpoint.pod_namespace() != wanted) continue;
    listing.add({pod_name(endpoint), endpoint.pod_name(), std::to_string(endpoint.id())}, endpoint,
                {endpoint.pod_namespace(), endpoint.pod_name(), std::to_string(endpoint.id()),
                 joined(endpoint.addresses()), endpoint.mac(), endpoint.interface(),
                 endpoint.host_interface(), endpoint.container_id().substr(0, 12)});
  }
  return listing.print();
}

// How a route's packets leave: "VXLAN to 192.0.2.2", "by 192.0.2.2".
std::string way_of(const rpc::Route& route, const rpc::NodeState& state) {
  if (route.kind() != "Peer") return "";
  for (const rpc::Peer& peer : state.peers()) {
    if (peer.id() != route.target()) continue;
    if (peer.transport() == "Overlay") return state.settings().encapsulation() + " to " + peer.vtep();
    const bool is_ipv6 = route.prefix().find(':') != std::string::npos;
    return "routed by " + (is_ipv6 ? peer.next_hop6() : peer.next_hop4());
  }
  return "";
}

Exit get_routes(Session& session) {
  const Result<rpc::NodeState> state = session.ask_state(false);
  if (!state) return session.fail(state.error());
  Listing listing(session, "route", {{"PREFIX"}, {"KIND"}, {"TARGET"}, {"WAY"}, {"ID", true, true}});
  for (const rpc::Route& route : state->routes()) {
    listing.add({route.prefix()}, route,
                {route.prefix(), route.kind(), route.target_name(), way_of(route, *state),
                 std::to_string(route.target())});
  }
  return listing.print();
}

Exit get_neighbours(Session& session) {
  rpc::Request request;
  request.mutable_get_neighbours();
  const Result<rpc::Response> response = session.ask_dataplane(request, Answer::kNeighbours);
  if (!response) return session.fail(response.error());
  Listing listing(session, "neighbour", {{"ADDRESS"}, {"MAC"}, {"PORT", true}, {"STATE"}});
  for (const rpc::Neighbour& row : response->neighbours().neighbours()) {
    listing.add({row.address()}, row, {row.address(), row.mac(), std::to_string(row.port()), row.state()});
  }
  return listing.print();
}

Exit get_flows(Session& session) {
  rpc::Request request;
  rpc::FlowsRequest& wanted = *request.mutable_get_flows();
  const CommandLine& line = session.line();
  if (line.given("address")) {
    if (!core::IpAddress::parse(line.text("address"))) {
      return session.fail("--address \"" + line.text("address") + "\" is no IPv4 or IPv6 address", "",
                          "FL6001");
    }
    wanted.set_address(line.text("address"));
  }
  if (line.given("port")) wanted.set_port(static_cast<uint32_t>(line.number("port")));
  if (line.given("protocol")) {
    const Result<uint8_t> protocol = parse_protocol(line.text("protocol"));
    if (!protocol) return session.fail(protocol.error());
    wanted.set_protocol(*protocol);
  }
  wanted.set_limit(static_cast<uint32_t>(line.number("limit")));
  const Result<rpc::Response> response = session.ask_dataplane(request, Answer::kFlows);
  if (!response) return session.fail(response.error());
  Listing listing(session, "flow",
                  {{"PROTOCOL"},
                   {"SOURCE"},
                   {"DESTINATION"},
                   {"STATE"},
                   {"PACKETS", true},
                   {"REPLIES", true},
                   {"BYTES", true},
                   {"IDLE", true},
                   {"OUT", false, true},
                   {"REPLY-OUT", false, true}});
  for (const rpc::Flow& flow : response->flows().flows()) {
    const std::string source = address_and_port(flow.source(), flow.source_port());
    const std::string destination = address_and_port(flow.destination(), flow.destination_port());
    const std::string protocol = protocol_name(flow.protocol());
    listing.add({protocol + "/" + source + "/" + destination}, flow,
                {protocol, source, destination, flow.state(), grouped(flow.packets_original()),
                 grouped(flow.packets_reply()), bytes_text(flow.bytes_original() + flow.bytes_reply()),
                 duration_text(flow.idle_seconds()), flow.original_out(), flow.reply_out()});
  }
  return listing.print(response->flows().truncated());
}

Exit get_ports(Session& session) {
  rpc::Request request;
  request.mutable_get_ports();
  const Result<rpc::Response> response = session.ask_dataplane(request, Answer::kPorts);
  if (!response) return session.fail(response.error());
  Listing listing(session, "port",
                  {{"ID", true},
                   {"KIND"},
                   {"DEVICE"},
                   {"DRIVER"},
                   {"LINK"},
                   {"MTU", true},
                   {"RX", true},
                   {"TX", true},
                   {"RX-BYTES", true, true},
                   {"TX-BYTES", true, true},
                   {"RX-MISSED", true, true},
                   {"TX-DROPPED", true, true},
                   {"MAC", false, true},
                   {"NOTE", false, true}});
  for (const rpc::Port& port : response->ports().ports()) {
    listing.add({port.device(), std::to_string(port.id())}, port,
                {std::to_string(port.id()), port.kind(), port.device(), port.driver(),
                 port.up() ? "up" : "down", std::to_string(port.mtu()), grouped(port.rx_packets()),
                 grouped(port.tx_packets()), bytes_text(port.rx_bytes()), bytes_text(port.tx_bytes()),
                 grouped(port.rx_missed()), grouped(port.tx_dropped()), port.mac(), port.note()});
  }
  return listing.print();
}

struct Kind {
  std::string_view name, singular;
  Exit (*run)(Session& session);
};
constexpr Kind kKinds[] = {{"endpoints", "endpoint", get_endpoints},
                           {"routes", "route", get_routes},
                           {"neighbours", "neighbour", get_neighbours},
                           {"services", "service", get_services},
                           {"backends", "backend", get_backends},
                           {"flows", "flow", get_flows},
                           {"ports", "port", get_ports}};

}  // namespace

Exit run_get(Session& session) {
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) {
    if (session.word(0) == kind.name || session.word(0) == kind.singular) return kind.run(session);
    names.push_back(kind.name);
  }
  const std::string_view close = nearest(session.word(0), names);
  return session.fail("there is nothing called \"" + session.word(0) + "\" to get",
                      close.empty() ? "one of endpoints, services, backends, routes, neighbours, flows, ports"
                                    : "did you mean: fairlead get " + std::string(close),
                      "FL6001");
}

}  // namespace fairlead::cli
