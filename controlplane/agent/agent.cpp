#include "controlplane/agent/agent.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::milliseconds kReopen{1000};      // a manifest directory that is gone
constexpr std::chrono::milliseconds kDetachWait{5000};  // until the dataplane let go of an endpoint

Result<void> make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return Error{"FL5023", "cannot make the directory " + path + ": " + error.message(),
                 "run as root, or choose another --state-dir"};
  }
  return {};
}

std::string text_of(const Refusal& refusal) {
  return render(Error{refusal.code, refusal.object + ": " + refusal.field + ": " + refusal.reason});
}

}  // namespace

struct Agent::Timers {
  explicit Timers(asio::io_context& io) : manifests(io), settle(io), reopen(io) {}
  ~Timers() {
    if (manifests.is_open()) manifests.release();
  }
  asio::posix::stream_descriptor manifests;  // shares the source's descriptor, does not own it
  asio::steady_timer settle, reopen;
};

Result<std::unique_ptr<Agent>> Agent::create(asio::io_context& io, const AgentOptions& options) {
  for (const char* name : {"", "/manifests"}) {
    if (Result<void> made = make_directory(options.state_dir + name); !made) return made.error();
  }
  std::unique_ptr<Agent> agent(new Agent(io, options));
  Agent* raw = agent.get();
  Result<std::unique_ptr<HostWatch>> host = HostWatch::open(io, [raw] {
    raw->read_host();
    raw->refresh();
    raw->sync_routes();
  });
  if (!host) return host.error();
  agent->host_ = std::move(*host);
  Publisher::Hooks hooks;
  hooks.dataplane_has = [raw](const core::NodeState& state) {
    raw->previous_ = state;
    raw->refresh();
  };
  hooks.set_pod_mtu = [raw](uint16_t mtu) { return raw->pods_->set_pod_mtu(mtu); };
  hooks.changed = [raw] {
    const std::optional<Error>& problem = raw->publisher_->problem();
    raw->problems_["dataplane"] = problem ? std::vector{render(*problem)} : std::vector<std::string>{};
  };
  Result<std::unique_ptr<Publisher>> publisher =
      Publisher::create(io, options.dataplane_socket, options.state_dir + "/generation", std::move(hooks));
  if (!publisher) return publisher.error();
  agent->publisher_ = std::move(*publisher);
  return agent;
}

Agent::Agent(asio::io_context& io, const AgentOptions& options)
    : io_(io),
      options_(options),
      source_(options.manifests, options.state_dir + "/manifests"),
      timers_(std::make_unique<Timers>(io)) {
  intent_.self = options.node;
}

Agent::~Agent() = default;

Result<void> Agent::start(PodService& pods) {
  pods_ = &pods;
  Result<std::vector<core::Endpoint>> endpoints = pods.restore();
  if (!endpoints) return endpoints.error();
  for (core::Endpoint& endpoint : *endpoints) apply(intent_, EndpointAttached{std::move(endpoint)});
  open_manifests();
  if (!options_.uplink.empty()) {
    // A wrong name is a mistake of the start; a device that goes later is waited for.
    const Result<HostFacts> facts = host_->read(options_.uplink, {}, {});
    if (!facts) return facts.error();
  }
  read_host();
  is_started_ = true;
  refresh();
  publisher_->start();
  return {};
}

// ---- manifests ------------------------------------------------------------------------------------------

void Agent::open_manifests() {
  if (source_.open()) {
    watch_manifests();
  } else {
    timers_->reopen.expires_after(kReopen);
    timers_->reopen.async_wait([this](const error_code& error) {
      if (!error && !source_.is_open()) open_manifests();
    });
  }
  reload_manifests();
}

void Agent::watch_manifests() {
  if (timers_->manifests.is_open()) return;  // the descriptor stays the same for the life of the source
  timers_->manifests.assign(source_.fd());
  const auto wait = [this](const auto& again) -> void {
    timers_->manifests.async_wait(asio::posix::stream_descriptor::wait_read,
                                  [this, again](const error_code& error) {
                                    if (error) return;
                                    if (source_.drain()) reload_later(DirectorySource::kSettle);
                                    again(again);
                                  });
  };
  wait(wait);
}

void Agent::reload_later(std::chrono::milliseconds pause) {
  timers_->settle.expires_after(pause);
  timers_->settle.async_wait([this](const error_code& error) {
    if (error) return;
    reload_manifests();
    if (source_.is_settling()) reload_later(DirectorySource::kMaxWriting);
    if (!source_.is_open()) open_manifests();
  });
}

void Agent::reload_manifests() {
  const std::vector<Event> events = source_.reload();
  bool has_changed = false;
  for (const Event& event : events) has_changed |= apply(intent_, event);
  std::vector<std::string> problems;
  for (const Diagnostic& diagnostic : source_.diagnostics()) {
    if (problems.size() < kMaxDiagnosticsShown) problems.push_back(render(diagnostic));
  }
  note("manifests", std::move(problems));
  if (!has_changed && compiled_.state.settings.node == intent_.self) return;
  if (is_started_) {
    read_host();  // the Node's InternalIP or the globs may name another uplink
    refresh();
  }
}

// ---- the host -------------------------------------------------------------------------------------------

void Agent::read_host() {
  std::vector<core::IpAddress> own;
  if (const auto self = intent_.nodes.find(intent_.self); self != intent_.nodes.end())
    own = self->second.internal_ips;
  const Result<HostFacts> facts = host_->read(options_.uplink, own, intent_.network.uplink_match);
  if (!facts) return note("host", {render(facts.error())});  // what was known stays in force
  note("host", {});
  knows_host_ = true;
  apply(intent_, HostChanged{*facts});
}

void Agent::sync_routes() {
  if (not_ready()) return;
  const Result<void> done =
      host_->sync_pod_routes(options_.host_port, compiled_.state.settings, intent_.host.local_addresses);
  note("routes", done ? std::vector<std::string>{} : std::vector{render(done.error())});
}

// ---- from intent to dataplane ---------------------------------------------------------------------------

std::optional<Error> Agent::not_ready() const {
  if (!source_.has_loaded()) {
    return Error{"FL5026", "the manifests in " + options_.manifests + " are not known yet",
                 "does the directory exist?"};
  }
  if (!knows_host_) return Error{"FL5026", "the uplink is not known yet", "name it: --uplink DEV"};
  if (!is_started_) return Error{"FL5026", "the agent is starting", "try again"};
  return std::nullopt;
}

void Agent::refresh() {
  if (not_ready()) return;
  const std::vector<core::Prefix> had = pod_cidrs();
  const core::NodeSettings before = compiled_.state.settings;
  Compiled compiled = compile(intent_, previous_);
  // compile() is pure and tested to be sound; if it ever is not, the dataplane keeps what it has.
  if (std::string wrong = core::validate(compiled.state); !wrong.empty()) {
    return note(
        "compile",
        {render(Error{"FL5027", "compiled a state that does not hold together: " + wrong, "report this"})});
  }
  note("compile", {});
  compiled_ = std::move(compiled);
  previous_ = compiled_.state;
  std::vector<std::string> refusals;
  for (const Refusal& refusal : compiled_.refusals) refusals.push_back(text_of(refusal));
  note("cluster", std::move(refusals));
  if (pods_ != nullptr && had != pod_cidrs()) pods_->pod_cidrs_changed(pod_cidrs());
  publisher_->want(compiled_.state);
  if (!(before == compiled_.state.settings)) sync_routes();
}

// ---- endpoints ------------------------------------------------------------------------------------------

void Agent::attach(core::Endpoint endpoint, uint32_t timeout_ms, Done done) {
  if (auto why = not_ready()) {
    asio::post(io_, [done = std::move(done), error = *why] { done(error); });
    return;
  }
  const core::EndpointId id = endpoint.id;
  apply(intent_, EndpointAttached{std::move(endpoint)});
  refresh();
  if (!compiled_.state.endpoints.contains(id)) {
    Error error{"FL1032", "endpoint " + std::to_string(id) + " was refused", "fairlead status says why"};
    const core::Endpoint& refused = intent_.endpoints.at(id);
    const std::string object = "pod/" + refused.pod_namespace + "/" + refused.pod_name;
    for (const Refusal& refusal : compiled_.refusals) {
      if (refusal.object == object) error.what = object + ": " + refusal.reason;
    }
    asio::post(io_, [done = std::move(done), error] { done(error); });
    return;
  }
  publisher_->wait(0, std::chrono::milliseconds(timeout_ms), std::move(done));
}

void Agent::detach(core::EndpointId id, Done done) {
  apply(intent_, EndpointDetached{id});
  refresh();
  if (!publisher_->is_connected() || not_ready()) {
    asio::post(io_, [done = std::move(done)] { done({}); });
    return;
  }
  publisher_->wait(0, kDetachWait, std::move(done));
}

// ---- what hinders ---------------------------------------------------------------------------------------

void Agent::note(const std::string& topic, std::vector<std::string> problems) {
  std::vector<std::string>& known = problems_[topic];
  for (const std::string& problem : problems) {
    if (std::find(known.begin(), known.end(), problem) != known.end()) continue;
    spdlog::warn("{}", std::string_view(problem).substr(0, problem.find_last_not_of('\n') + 1));
  }
  if (problems.empty() && !known.empty()) spdlog::info("{}: all is well again", topic);
  known = std::move(problems);
}

std::string Agent::problems() const {
  std::string text;
  for (const auto& [topic, problems] : problems_) {
    for (const std::string& problem : problems) text += problem;
  }
  return text;
}

}  // namespace fairlead::control
