#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/words.hpp"

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <sstream>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;
using core::Family;
using core::IpAddress;

constexpr uint32_t kUplinkPort = 1;
constexpr uint8_t kIcmp = 1, kTcp = 6, kIcmpv6 = 58;

// One end of the hypothetical packet: a pod with all its addresses, or one address.
struct End {
  const rpc::Endpoint* endpoint = nullptr;  // of this node
  std::string remote;                       // default/b on node-2
  std::vector<IpAddress> addresses;
  std::optional<uint16_t> port;
  std::optional<uint8_t> protocol = {};  // of a Service's port
};

Error wrong_use(const std::string& what, const std::string& fix) {
  return {"FL6001", what, fix};
}

const rpc::Endpoint* endpoint_with(const rpc::NodeState& state, const IpAddress& address) {
  for (const rpc::Endpoint& endpoint : state.endpoints()) {
    for (const std::string& text : endpoint.addresses()) {
      if (IpAddress::parse(text) == address) return &endpoint;
    }
  }
  return nullptr;
}

// The agent may know a pod of another node by its Pod object.
Result<End> find_remote_pod(const rpc::NodeState& state, const Session& session, const std::string& name,
                            End end) {
  rpc::Request request;
  request.mutable_find_pod()->set_pod_namespace(name.substr(0, name.find('/')));
  request.mutable_find_pod()->set_pod_name(name.substr(name.find('/') + 1));
  const Result<rpc::Response> found = session.ask_agent(request, Answer::kPod);
  if (!found) {
    return Error{
        "FL6005",
        "no pod " + name + " is attached to this node (" + state.settings().node() +
            "), and the agent cannot say where it is: " + found.error().what,
        "fairlead get endpoints lists the pods of this node; for one of another node give its address"};
  }
  end.remote = name + (found->pod().node().empty() ? "" : " on " + found->pod().node());
  for (const std::string& text : found->pod().addresses()) {
    if (const auto address = IpAddress::parse(text)) end.addresses.push_back(*address);
  }
  return end;
}

// pod/NAMESPACE/NAME[:PORT] or pod/NAME[:PORT].
Result<End> find_pod(const rpc::NodeState& state, const Session& session, std::string name) {
  End end;
  if (const size_t colon = name.rfind(':'); colon != std::string::npos) {
    const Result<uint64_t> port =
        parse_number(std::string_view(name).substr(colon + 1), 1, 65'535, "the port of --to");
    if (!port) return port.error();
    end.port = static_cast<uint16_t>(*port);
    name.erase(colon);
  }
  if (name.find('/') == std::string::npos) name = session.line().text("namespace") + "/" + name;
  for (const rpc::Endpoint& endpoint : state.endpoints()) {
    if (pod_name(endpoint) != name) continue;
    end.endpoint = &endpoint;
    for (const std::string& text : endpoint.addresses()) {
      if (const auto address = IpAddress::parse(text)) end.addresses.push_back(*address);
    }
    return end;
  }
  return find_remote_pod(state, session, name, end);
}

// "svc/shop/web:http" in its parts; the port is a number or a name, and may be absent.
struct ServiceName {
  std::string name, port;  // shop/web
};
std::optional<ServiceName> service_of(const Session& session, const std::string& flag) {
  std::string text = session.line().text(flag);
  if (!text.starts_with("svc/")) return std::nullopt;
  ServiceName service{text.substr(4), ""};
  if (const size_t colon = service.name.find(':'); colon != std::string::npos) {
    service.port = service.name.substr(colon + 1);
    service.name.erase(colon);
  }
  if (service.name.find('/') == std::string::npos)
    service.name = session.line().text("namespace") + "/" + service.name;
  return service;
}

// The address a client in the cluster would use: its ClusterIP, or what else it answers on.
const rpc::Frontend* frontend_of(const rpc::Service& service) {
  for (const rpc::Frontend& frontend : service.frontends()) {
    if (!frontend.address().empty()) return &frontend;
  }
  return nullptr;
}

Result<End> find_service(const rpc::NodeState& state, const Session& session, const ServiceName& wanted) {
  std::optional<uint8_t> protocol;
  if (session.line().given("protocol")) {
    const Result<uint8_t> given = parse_protocol(session.line().text("protocol"));
    if (!given) return given.error();
    protocol = *given;
  }
  End end;
  std::string ports;  // what there is, for the message
  for (const rpc::Service& service : state.services()) {
    const rpc::Frontend* frontend = frontend_of(service);
    if (frontend == nullptr || service.service_namespace() + "/" + service.name() != wanted.name) continue;
    const std::string number = std::to_string(frontend->port());
    const std::string port = (service.port_name().empty() ? number : service.port_name()) + "/" +
                             protocol_name(service.protocol());
    if (ports.find(port) == std::string::npos) ports += (ports.empty() ? "" : ", ") + port;
    if (!wanted.port.empty() && wanted.port != number && wanted.port != service.port_name()) continue;
    if (protocol && *protocol != service.protocol()) continue;
    // Both families of one port; of several ports the first.
    const bool is_same = !end.port || (*end.port == frontend->port() && *end.protocol == service.protocol());
    const auto address = IpAddress::parse(frontend->address());
    if (!is_same || !address) continue;
    end.port = static_cast<uint16_t>(frontend->port());
    end.protocol = static_cast<uint8_t>(service.protocol());
    end.addresses.push_back(*address);
  }
  if (end.port) return end;
  if (ports.empty()) {
    return Error{"FL6002", "no Service " + wanted.name + " is programmed on this node",
                 "fairlead get services -o wide lists them, and what is refused"};
  }
  return Error{"FL6002", "Service " + wanted.name + " has no such port", "it has " + ports};
}

Result<End> find_end(const rpc::NodeState& state, const Session& session, const std::string& flag) {
  const std::string& text = session.line().text(flag);
  if (text.empty())
    return wrong_use("--" + flag + " is missing", "usage: fairlead trace --from SOURCE --to TARGET");
  if (text.starts_with("pod/")) return find_pod(state, session, text.substr(4));
  if (const auto service = service_of(session, flag)) {
    if (flag == "from")
      return wrong_use("--from " + text + ": packets do not come from a Service",
                       "name the client: pod/default/a");
    return find_service(state, session, *service);
  }
  const std::optional<AddressAndPort> given = parse_address_and_port(text);
  if (!given) {
    return wrong_use(
        "--" + flag + " \"" + text +
            "\" is neither pod/NAMESPACE/NAME, svc/NAMESPACE/NAME:PORT nor an address",
        "pod/default/web, svc/default/web:80, 10.244.1.7, 10.244.1.7:80, fd00::7 or [fd00::7]:80");
  }
  return End{endpoint_with(state, given->address), "", {given->address}, given->port};
}

const IpAddress* address_of(const End& end, Family family) {
  const auto found = std::find_if(end.addresses.begin(), end.addresses.end(),
                                  [family](const IpAddress& address) { return address.family == family; });
  return found == end.addresses.end() ? nullptr : &*found;
}

Result<rpc::TraceRequest> make_request(const Session& session, const End& from, const End& to) {
  const CommandLine& line = session.line();
  const IpAddress* source = nullptr;
  const IpAddress* destination = nullptr;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (line.given("family") && (line.text("family") == "6") != (family == Family::kIpv6)) continue;
    source = address_of(from, family);
    destination = address_of(to, family);
    if (source != nullptr && destination != nullptr) break;
  }
  if (source == nullptr || destination == nullptr) {
    return Error{"FL6006", "--from and --to have no address of the same family",
                 line.given("family") ? "try it without --family" : "name addresses instead of pods"};
  }
  uint8_t protocol = to.port ? kTcp : destination->is_ipv6() ? kIcmpv6 : kIcmp;
  if (to.protocol) protocol = *to.protocol;
  if (line.given("protocol")) {
    const Result<uint8_t> given = parse_protocol(line.text("protocol"));
    if (!given) return given.error();
    protocol = *given == kIcmp && destination->is_ipv6() ? kIcmpv6 : *given;
  }
  rpc::TraceRequest request;
  if (from.endpoint != nullptr)
    request.set_from_endpoint(from.endpoint->id());
  else
    request.set_from_port(kUplinkPort);
  request.set_source(source->text());
  request.set_destination(destination->text());
  request.set_protocol(protocol);
  if (has_ports(protocol)) {
    request.set_source_port(static_cast<uint32_t>(from.port ? *from.port : line.number("source-port")));
    request.set_destination_port(to.port.value_or(80));
  }
  request.set_length(static_cast<uint32_t>(line.number("length")));
  request.set_ttl(static_cast<uint32_t>(line.number("ttl")));
  return request;
}

std::string name_of(const End& end, const std::string& address, uint32_t port) {
  std::string text = address_and_port(address, port);
  if (end.endpoint == nullptr && end.remote.empty()) return text;
  return "pod " + (end.endpoint != nullptr ? pod_name(*end.endpoint) : end.remote) + " (" + text + ")";
}

std::string hex_dump(const std::string& bytes) {
  std::string text;
  for (size_t row = 0; row < bytes.size(); row += 16) {
    char piece[16];
    std::snprintf(piece, sizeof(piece), "%04x ", static_cast<unsigned>(row & 0xffff));
    text += std::string("    ") + piece;
    for (size_t i = row; i < std::min(row + 16, bytes.size()); ++i) {
      std::snprintf(piece, sizeof(piece), " %02x", static_cast<unsigned>(static_cast<uint8_t>(bytes[i])));
      text += piece;
    }
    text += "\n";
  }
  return text;
}

std::string indented(const std::string& lines) {
  std::string text;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) text += "    " + line + "\n";
  return text;
}

void print_trace(Session& session, const rpc::TraceResult& trace, const std::string& headline) {
  session.out() << headline << "\n\n";
  Table table({{"STEP"}, {"DECIDED BY"}, {"WHAT"}}, false);
  for (const rpc::TraceStep& step : trace.steps()) table.add({step.step(), step.object(), step.text()});
  session.out() << table.text() << "\n" << session.bold("verdict") << "  ";
  const std::string reason = trace.drop_reason().empty() ? "" : " " + trace.drop_reason();
  const std::string port = trace.port().empty() ? "" : " by port " + trace.port();
  const bool is_drop = trace.verdict() == "drop";
  session.out() << (is_drop ? session.red(trace.verdict() + reason) : session.green(trace.verdict()) + reason)
                << port << "\n";
  if (trace.pushed_header().empty()) return;
  session.out() << "\n"
                << session.bold("header") << "   " << trace.pushed_header().size()
                << " bytes in front of the packet\n"
                << indented(trace.pushed_header_text()) << session.dim(hex_dump(trace.pushed_header()));
}

}  // namespace

Exit run_trace(Session& session) {
  const std::optional<ServiceName> service = service_of(session, "to");
  const Result<rpc::NodeState> answer = session.ask_state(service.has_value(), service ? service->name : "");
  if (!answer) return session.fail(answer.error());
  const rpc::NodeState& state = *answer;
  const Result<End> from = find_end(state, session, "from");
  if (!from) return session.fail(from.error());
  const Result<End> to = find_end(state, session, "to");
  if (!to) return session.fail(to.error());
  const Result<rpc::TraceRequest> wanted = make_request(session, *from, *to);
  if (!wanted) return session.fail(wanted.error());

  rpc::Request request;
  *request.mutable_trace() = *wanted;
  const Result<rpc::Response> response = session.ask_dataplane(request, Answer::kTrace);
  if (!response) return session.fail(response.error());
  if (session.is_structured()) {
    Json json{{"request", to_json(*wanted)}};
    json.update(to_json(response->trace()));
    session.print(json);
    return kOk;
  }
  print_trace(session, response->trace(),
              "from " + name_of(*from, wanted->source(), wanted->source_port()) +
                  (from->endpoint == nullptr ? " at the uplink" : "") + " to " +
                  (service ? "svc " + service->name + " (" +
                                 address_and_port(wanted->destination(), wanted->destination_port()) + ")"
                           : name_of(*to, wanted->destination(), wanted->destination_port())) +
                  ", " + protocol_name(wanted->protocol()) + ", " + std::to_string(wanted->length()) +
                  " bytes, TTL " + std::to_string(wanted->ttl()));
  return kOk;
}

}  // namespace fairlead::cli
