#include "dataplane/daemon/service.hpp"

#include "dataplane/base/version.hpp"
#include "dataplane/rpc/convert.hpp"

#include <spdlog/spdlog.h>

#include <sys/resource.h>
#include <unistd.h>

namespace fairlead::daemon {
namespace {

constexpr uint32_t kDefaultFlowLimit = 1'000;
// An answer must fit into one message.
constexpr uint32_t kMostFlows = 50'000;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// pod_tc -> "pod hook": the word for people.
std::string stage_of(std::string_view hook) {
  return std::string(hook.substr(0, hook.find('_'))) + " hook";
}

void add(rpc::NamedCount& row, std::string name, std::string_view sentence, uint64_t count,
         const std::string& stage) {
  row.set_name(std::move(name));
  row.set_sentence(std::string(sentence));
  row.set_count(count);
  row.set_stage(stage);
}

}  // namespace

void Service::handle(const rpc::Request& request, const ipc::Reply& reply) {
  rpc::Response response;
  switch (request.call_case()) {
    case rpc::Request::kPublish:
      return publish(request.publish(), reply);
    case rpc::Request::kTrace:
      return trace(request.trace(), reply);
    case rpc::Request::kGetFlows:
      return flows(request.get_flows(), reply);
    case rpc::Request::kCapture:
      return capture_.subscribe(request.capture(), reply);
    case rpc::Request::kGetState:
      *response.mutable_state() = ipc::page_of(dataplane_.state(), request.get_state());
      break;
    case rpc::Request::kGetCounters:
      *response.mutable_counters() = counters();
      break;
    case rpc::Request::kGetNeighbours:
      *response.mutable_neighbours() = neighbours();
      break;
    case rpc::Request::kDataplaneStatus:
      *response.mutable_dataplane_status() = status();
      break;
    case rpc::Request::kGetPorts:
      response.mutable_ports();
      for (const PortStatus& port : engine_.ports())
        *response.mutable_ports()->add_ports() = ipc::to_message(port);
      break;
    default:
      return reply.fail({"FL5061",
                         "fairlead-dataplane does not serve request " + std::to_string(request.call_case()),
                         "ask the agent's socket, or make sure that both are of one version"});
  }
  reply.answer(response);
}

void Service::publish(const rpc::PublishRequest& request, const ipc::Reply& reply) {
  const Result<std::optional<core::NodeStateDelta>> delta = parts_.add(request);
  if (!delta) return reply.fail(delta.error());
  if (*delta) {
    const Result<uint64_t> done = dataplane_.publish(**delta);
    if (!done) {
      spdlog::warn("generation {} refused: {}", (*delta)->to_generation, done.error().text());
      return reply.fail(done.error());
    }
    spdlog::debug("generation {} in force", *done);
  }
  rpc::Response response;
  response.mutable_publish()->set_generation(dataplane_.state().generation);
  reply.answer(response);
}

void Service::trace(const rpc::TraceRequest& request, const ipc::Reply& reply) const {
  const Result<TraceRequest> wanted = ipc::from_message(request);
  if (!wanted) return reply.fail(wanted.error());
  const Result<Trace> trace = engine_.trace(*wanted);
  if (!trace) return reply.fail(trace.error());
  rpc::Response response;
  *response.mutable_trace() = ipc::to_message(*trace);
  reply.answer(response);
}

void Service::flows(const rpc::FlowsRequest& request, const ipc::Reply& reply) const {
  const Result<FlowFilter> filter = ipc::from_message(request);
  if (!filter) return reply.fail(filter.error());
  const uint32_t limit = std::min(request.limit() == 0 ? kDefaultFlowLimit : request.limit(), kMostFlows);
  rpc::Response response;
  rpc::FlowsReply& flows = *response.mutable_flows();
  engine_.each_flow(*filter, [&flows, limit](const FlowRecord& flow) {
    if (static_cast<uint32_t>(flows.flows_size()) == limit) {
      flows.set_truncated(true);
      return false;
    }
    *flows.add_flows() = ipc::to_message(flow);
    return true;
  });
  reply.answer(response);
}

rpc::CountersReply Service::counters() const {
  rpc::CountersReply reply = ipc::to_message(engine_.counters());
  if (kernel_ == nullptr) return reply;
  for (const ebpf::HookCounters& hook : kernel_->counters()) {
    const std::string stage = stage_of(hook.hook);
    const std::string name(hook.hook);
    add(*reply.add_counters(), name + "_in", "packets the hook saw", hook.in, stage);
    add(*reply.add_counters(), name + "_out", "packets the hook handed on", hook.out, stage);
    add(*reply.add_counters(), name + "_passed", "packets the hook left to the kernel", hook.passed, stage);
    for (size_t i = 1; i < hook.drops.size(); ++i) {
      if (hook.drops[i] == 0) continue;
      const core::NameAndSentence words = describe(static_cast<core::DropReason>(i));
      add(*reply.add_drops(), std::string(words.name), words.sentence, hook.drops[i], stage);
    }
  }
  return reply;
}

rpc::NeighboursReply Service::neighbours() const {
  rpc::NeighboursReply reply;
  for (const auto& [key, mac] : underlay_().neighbours) {
    rpc::Neighbour& row = *reply.add_neighbours();
    row.set_port(key.first);
    row.set_address(key.second.text());
    row.set_mac(mac.text());
    row.set_state("resolved");
  }
  for (const auto& [port, address] : engine_.unresolved_next_hops()) {
    rpc::Neighbour& row = *reply.add_neighbours();
    row.set_port(port);
    row.set_address(address.text());
    row.set_state("unresolved");
  }
  return reply;
}

rpc::DataplaneStatus Service::status() const {
  const EngineInfo info = engine_.info();
  const core::Counters counters = engine_.counters();
  rpc::DataplaneStatus status;
  status.set_version(std::string(kVersion));
  status.set_engine(info.name);
  for (const std::string& note : info.notes) status.add_notes(note);
  for (const std::string& note : dataplane_.notes()) status.add_notes(note);
  status.set_workers(info.workers);
  status.set_generation(dataplane_.state().generation);
  status.set_node(dataplane_.state().settings.node);
  status.set_mode(dataplane_.state().generation == 0 ? "" : dataplane_.state().settings.mode);
  status.set_uptime_seconds(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count()));
  status.set_pid(static_cast<uint32_t>(getpid()));
  status.set_cpu_seconds(cpu_seconds());
  status.set_flows(counters[core::Counter::flows_created] - counters[core::Counter::flows_expired]);
  return status;
}

}  // namespace fairlead::daemon
