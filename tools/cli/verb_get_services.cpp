#include "tools/cli/listing.hpp"
#include "tools/cli/verbs.hpp"
#include "tools/cli/words.hpp"

#include <map>
#include <ostream>
#include <set>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;

std::string name_of(const rpc::Service& service) {
  return service.service_namespace() + "/" + service.name();
}

// "80/tcp", "[fd00::a]:80" and so on: where it answers, by kind.
std::string frontends_of(const rpc::Service& service, std::string_view kind) {
  std::string text;
  for (const rpc::Frontend& frontend : service.frontends()) {
    if (frontend.kind() != kind) continue;
    text += (text.empty() ? "" : ",") +
            (frontend.address().empty() ? std::to_string(frontend.port()) : frontend.address());
  }
  return text;
}

std::string port_of(const rpc::Service& service) {
  std::string port = "?";
  for (const rpc::Frontend& frontend : service.frontends()) {
    if (frontend.kind() != "NodePort") port = std::to_string(frontend.port());
  }
  const std::string name = service.port_name().empty() ? "" : service.port_name() + ":";
  return name + port + "/" + protocol_name(service.protocol());
}

std::string external_of(const rpc::Service& service) {
  std::string text = frontends_of(service, "LoadBalancer");
  const std::string own = frontends_of(service, "ExternalIP");
  return text + (text.empty() || own.empty() ? "" : ",") + own;
}

std::string affinity_of(const rpc::Service& service) {
  return service.affinity_seconds() == 0 ? "" : "ClientIP " + duration_text(service.affinity_seconds());
}

std::string policy_of(const rpc::Service& service) {
  return std::string(service.internal_local() ? "Local" : "Cluster") + "/" +
         (service.external_local() ? "Local" : "Cluster");
}

// "FL1036 spec.clusterIPs[0]: ..." of the Service, one after the other.
std::string reasons_of(const std::vector<const rpc::Refusal*>& refusals) {
  std::string text;
  for (const rpc::Refusal* refusal : refusals) {
    text += (text.empty() ? "" : "; ") + refusal->code() + " " +
            (refusal->object() == "service/" + refusal->service() ? "" : refusal->object() + " ") +
            refusal->field() + ": " + refusal->reason();
  }
  return text;
}

Json reasons_json(const std::vector<const rpc::Refusal*>& refusals) {
  Json list = Json::array();
  for (const rpc::Refusal* refusal : refusals) list.push_back(to_json(*refusal));
  return list;
}

}  // namespace

Exit get_services(Session& session) {
  const Result<rpc::NodeState> state = session.ask_state(true);
  if (!state) return session.fail(state.error());
  // What is not programmed only the agent knows; without it what is programmed is shown all the same.
  rpc::Request request;
  request.mutable_get_refusals();
  const Result<rpc::Response> answer = session.ask_agent(request, Answer::kRefusals);
  std::map<std::string, std::vector<const rpc::Refusal*>> refused;
  if (answer) {
    for (const rpc::Refusal& refusal : answer->refusals().refusals())
      refused[refusal.service()].push_back(&refusal);
  } else if (session.format() == Format::kWide || session.is_structured()) {
    session.err() << "note: what is refused is not known: " << answer.error().what << "\n";
  }

  Listing listing(session, "service",
                  {{"NAMESPACE"},
                   {"NAME"},
                   {"PORT"},
                   {"CLUSTER-IP"},
                   {"EXTERNAL"},
                   {"NODE-PORT", true},
                   {"BACKENDS", true},
                   {"LOCAL", true},
                   {"POLICY", false, true},
                   {"AFFINITY", false, true},
                   {"REPLY-PATH", false, true},
                   {"ID", true, true},
                   {"REFUSED", false, true}});
  const std::string& wanted = session.line().text("namespace");
  std::set<std::string> shown;
  static const std::vector<const rpc::Refusal*> kNone;
  for (const rpc::Service& service : state->services()) {
    if (!wanted.empty() && service.service_namespace() != wanted) continue;
    const std::string name = name_of(service);
    // With its first row.
    const bool is_first = shown.insert(name).second;
    const auto found = refused.find(name);
    const auto& reasons = is_first && found != refused.end() ? found->second : kNone;
    const std::vector<std::string> names = {
        name + (service.port_name().empty() ? "" : ":" + service.port_name()), name, service.name(),
        std::to_string(service.id())};
    if (!listing.is_wanted(names)) continue;
    Json item = to_json(service);
    item["refusals"] = reasons_json(reasons);
    listing.add(
        names, std::move(item),
        {service.service_namespace(), service.name(), port_of(service), frontends_of(service, "ClusterIP"),
         external_of(service), frontends_of(service, "NodePort"),
         std::to_string(service.cluster_backends_size()) + "/" + std::to_string(service.backends_size()),
         std::to_string(service.local_backends_size()), policy_of(service), affinity_of(service),
         service.reply_path(), std::to_string(service.id()), reasons_of(reasons)});
  }
  // What is refused whole has no row in the state.
  for (const auto& [name, reasons] : refused) {
    const std::string space = name.substr(0, name.find('/'));
    if (shown.contains(name) || (!wanted.empty() && space != wanted)) continue;
    const std::string own = name.substr(name.find('/') + 1);
    listing.add({name, own},
                Json{{"service_namespace", space}, {"name", own}, {"refusals", reasons_json(reasons)}},
                {space, own, "", "", "", "", "0/0", "0", "", "", "", "", reasons_of(reasons)});
  }
  if (answer && answer->refusals().total() > static_cast<uint64_t>(answer->refusals().refusals_size())) {
    session.err() << "note: " << grouped(answer->refusals().total()) << " entries are refused, the first "
                  << grouped(static_cast<uint64_t>(answer->refusals().refusals_size())) << " are shown\n";
  }
  return listing.print();
}

Exit get_backends(Session& session) {
  const Result<rpc::NodeState> state = session.ask_state(true);
  if (!state) return session.fail(state.error());
  Listing listing(session, "backend",
                  {{"SERVICE"},
                   {"PROTOCOL"},
                   {"BACKEND"},
                   {"STATE"},
                   {"CHOSEN-BY"},
                   {"NODE"},
                   {"OBJECT"},
                   {"ID", true, true}});
  const std::string& wanted = session.line().text("namespace");
  for (const rpc::Service& service : state->services()) {
    if (!wanted.empty() && service.service_namespace() != wanted) continue;
    const std::string name =
        name_of(service) + (service.port_name().empty() ? "" : ":" + service.port_name());
    const std::set<uint32_t> cluster(service.cluster_backends().begin(), service.cluster_backends().end());
    const std::set<uint32_t> local(service.local_backends().begin(), service.local_backends().end());
    for (int i = 0; i < service.backends_size(); ++i) {
      const rpc::Backend& backend = service.backends(i);
      const auto index = static_cast<uint32_t>(i);
      const std::string at = address_and_port(backend.address(), backend.port());
      const bool by_cluster = cluster.contains(index), by_local = local.contains(index);
      const std::string chosen = by_cluster && by_local ? "Cluster,Local"
                                 : by_cluster           ? "Cluster"
                                 : by_local             ? "Local"
                                                        : "";
      const std::vector<std::string> names = {
          name + "/" + at, name, name_of(service), service.name(), backend.address(), backend.object()};
      if (!listing.is_wanted(names)) continue;
      Json item = to_json(backend);
      item["service"] = name;
      item["protocol"] = protocol_name(service.protocol());
      item["in_cluster_list"] = by_cluster;
      item["in_local_list"] = by_local;
      listing.add(names, std::move(item),
                  {name, protocol_name(service.protocol()), at, backend.serving() ? "serving" : "not serving",
                   chosen, backend.node().empty() ? "" : backend.node() + (backend.local() ? " (here)" : ""),
                   backend.object(), std::to_string(service.id())});
    }
  }
  return listing.print();
}

}  // namespace fairlead::cli
