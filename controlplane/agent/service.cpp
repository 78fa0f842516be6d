#include "controlplane/agent/service.hpp"

#include "controlplane/manifests/manifests.hpp"
#include "controlplane/manifests/schema.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/version.hpp"
#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/parts.hpp"

#include <algorithm>
#include <unistd.h>

namespace fairlead::control {
namespace {

constexpr uint32_t kDefaultWaitMs = 30'000;
constexpr uint32_t kLongestWaitMs = 600'000;
constexpr int kMostRefusals = 10'000;  // an answer must fit into one message

}  // namespace

void AgentServer::handle(const rpc::Request& request, const ipc::Reply& reply) {
  rpc::Response response;
  switch (request.call_case()) {
    case rpc::Request::kAgentStatus:
      *response.mutable_agent_status() = status();
      break;
    case rpc::Request::kGetState:
      *response.mutable_state() = ipc::page_of(agent_.publisher().wanted(), request.get_state());
      break;
    case rpc::Request::kGetRefusals:
      *response.mutable_refusals() = refusals();
      break;
    case rpc::Request::kFindPod:
      return find_pod(request.find_pod(), reply);
    case rpc::Request::kSetMode:
      return set_mode(request.set_mode(), reply);
    case rpc::Request::kWait:
      return wait(request.wait(), reply);
    default:
      if (pods_.handle(request, reply)) return;
      return reply.fail({"FL5025",
                         "fairlead-agent does not serve request " + std::to_string(request.call_case()),
                         "ask the dataplane's socket, or make sure that both are of one version"});
  }
  reply.answer(response);
}

rpc::AgentStatus AgentServer::status() const {
  const Publisher& publisher = agent_.publisher();
  rpc::AgentStatus status;
  status.set_version(std::string(kVersion));
  status.set_node(agent_.node());
  status.set_source("manifests:" + agent_.options().manifests);
  status.set_wanted_generation(publisher.wanted().generation);
  status.set_programmed_generation(publisher.programmed_generation());
  status.set_dataplane_connected(publisher.is_connected());
  status.set_last_error(agent_.problems());
  status.set_nodes(static_cast<uint32_t>(agent_.intent().nodes.size()));
  status.set_endpoints(static_cast<uint32_t>(agent_.intent().endpoints.size()));
  status.set_services(static_cast<uint32_t>(agent_.intent().services.size()));
  status.set_services_refused(static_cast<uint32_t>(agent_.compiler().service_refusals().size()));
  status.set_mode(std::string(mode_name(agent_.intent().network.mode)));
  for (const core::Prefix& prefix : agent_.pod_cidrs()) status.add_pod_cidrs(prefix.text());
  status.set_addresses_free4(pods_.free_ipv4());
  status.set_uptime_seconds(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count()));
  status.set_pid(static_cast<uint32_t>(::getpid()));
  return status;
}

rpc::RefusalsReply AgentServer::refusals() const {
  rpc::RefusalsReply reply;
  uint64_t total = 0;
  for (const auto& [key, refusals] : agent_.compiler().service_refusals()) {
    total += refusals.size();
    for (const Refusal& refusal : refusals) {
      if (reply.refusals_size() == kMostRefusals) break;
      rpc::Refusal& row = *reply.add_refusals();
      row.set_code(refusal.code);
      row.set_object(refusal.object);
      row.set_field(refusal.field);
      row.set_reason(refusal.reason);
      row.set_service(key);
    }
  }
  reply.set_total(total);
  return reply;
}

// What is attached here is known best; Pod objects say where the others are.
void AgentServer::find_pod(const rpc::FindPodRequest& request, const ipc::Reply& reply) const {
  const Intent& intent = agent_.intent();
  rpc::Response response;
  rpc::Pod& pod = *response.mutable_pod();
  pod.set_pod_namespace(request.pod_namespace());
  pod.set_pod_name(request.pod_name());
  for (const auto& [id, endpoint] : intent.endpoints) {
    if (endpoint.pod_namespace != request.pod_namespace() || endpoint.pod_name != request.pod_name())
      continue;
    pod.set_node(agent_.node());
    for (const core::IpAddress& address : endpoint.addresses) pod.add_addresses(address.text());
    return reply.answer(response);
  }
  const std::string key = request.pod_namespace() + "/" + request.pod_name();
  const auto known = intent.pods.find(key);
  if (known == intent.pods.end() || known->second.addresses.empty()) {
    return reply.fail(
        {"FL5030", "pod " + key + " is not known here, or has no address",
         "give its address, or add its Pod object with status.podIPs to " + agent_.options().manifests});
  }
  pod.set_node(known->second.node);
  for (const core::IpAddress& address : known->second.addresses) pod.add_addresses(address.text());
  reply.answer(response);
}

void AgentServer::set_mode(const rpc::SetModeRequest& request, const ipc::Reply& reply) {
  for (const Mode mode : {Mode::kOverlay, Mode::kRouted, Mode::kAuto}) {
    if (request.mode() != mode_name(mode)) continue;
    if (const Result<void> written = write_mode(agent_.options().manifests, mode); !written)
      return reply.fail(written.error());
    agent_.reload_manifests();
    rpc::Response response;
    response.mutable_set_mode()->set_generation(agent_.publisher().wanted().generation);
    return reply.answer(response);
  }
  reply.fail({"FL1007", "there is no mode \"" + request.mode() + "\"", "one of Overlay, Routed, Auto"});
}

void AgentServer::wait(const rpc::WaitRequest& request, const ipc::Reply& reply) {
  // Whoever waits for "the newest" means what is in the files now.
  if (request.for_generation() == 0) agent_.reload_manifests();
  const uint32_t timeout =
      request.timeout_ms() == 0 ? kDefaultWaitMs : std::min(request.timeout_ms(), kLongestWaitMs);
  const auto waiter = agent_.publisher().wait(
      request.for_generation(), std::chrono::milliseconds(timeout),
      [this, reply](const Result<void>& result) {
        if (!result) {
          Error error = result.error();
          if (const std::string problems = agent_.problems(); !problems.empty()) error.fix += "\n" + problems;
          return reply.fail(error);
        }
        rpc::Response response;
        response.mutable_wait()->set_generation(agent_.publisher().programmed_generation());
        response.mutable_wait()->set_wanted(agent_.publisher().wanted().generation);
        reply.answer(response);
      });
  reply.on_close([this, waiter] { agent_.publisher().cancel(waiter); });
}

}  // namespace fairlead::control
