#include "dataplane/core/describe_service.hpp"

namespace fairlead::core {

namespace {

std::string_view name_of(FrontendKind kind) {
  switch (kind) {
    case FrontendKind::kClusterIp:
      return "cluster IP";
    case FrontendKind::kNodePort:
      return "node port";
    case FrontendKind::kLoadBalancer:
      return "load balancer IP";
    case FrontendKind::kExternalIp:
      return "external IP";
  }
  return "frontend";
}

std::string endpoint_text(const Backend& backend) {
  const std::string address = backend.address.text();
  std::string text =
      (backend.address.is_ipv6() ? "[" + address + "]" : address) + ":" + std::to_string(backend.port);
  if (!backend.object.empty()) text += " " + backend.object.str();
  if (!backend.node.empty()) text += " on " + backend.node.str();
  return text;
}

std::string why_this_list(const ServiceChoice& choice, const Service& service) {
  const size_t count = (choice.is_local_only ? service.local_backends : service.cluster_backends).size();
  const std::string of = " of " + std::to_string(count) + " endpoint" + (count == 1 ? "" : "s");
  if (!choice.is_local_only) return of;
  return of + " on this node, as " +
         (choice.kind == FrontendKind::kClusterIp ? "internalTrafficPolicy" : "externalTrafficPolicy") +
         " Local asks";
}

}  // namespace

ServiceStory tell_service(const Walk& walk, const Snapshot& snapshot) {
  const ServiceChoice& choice = walk.choice;
  if (choice.service == 0) return {"", "no Service is addressed"};
  const parsed& p = walk.p;
  const Frontends::Found found =
      snapshot.frontends.find(p.destination, from_be16(p.destination_port), p.protocol, p.ip_version);
  if (found.entry == nullptr || found.entry->view->service_id() != choice.service) return {};
  const Service& service = found.entry->view->service();
  ServiceStory story{"service " + core::name_of(service), std::string(name_of(choice.kind))};
  if (!walk.translation.translates_destination) return story;
  story.text +=
      ", 1" + why_this_list(choice, service) + ": " + endpoint_text(service.backends[choice.backend]);
  if (choice.by_affinity) {
    story.text +=
        ", which the client had within the affinity's " + std::to_string(service.affinity_seconds) + " s";
  }
  if (choice.needs_return) story.text += "; replies come back through this node";
  return story;
}

}  // namespace fairlead::core
