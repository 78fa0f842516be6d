#include "controlplane/agent/agent.hpp"

#include "controlplane/host/reserved_ports.hpp"

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

// Without the line ends that rendering puts behind.
std::string_view trimmed(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
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
  agent->health_ = std::make_unique<HealthServer>(io);
  Publisher::Hooks hooks;
  hooks.dataplane_has = [raw](const core::NodeState& state) {
    raw->compiler_.adopt(state);
    raw->publishes_all_ = true;
    raw->refresh();
  };
  hooks.set_pod_mtu = [raw](uint16_t mtu) { return raw->pods_->set_pod_mtu(mtu); };
  hooks.changed = [raw] {
    const std::optional<Error>& problem = raw->publisher_->problem();
    raw->health_->set_proxy_healthy(raw->publisher_->is_connected());
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
  for (core::Endpoint& endpoint : *endpoints) fold(EndpointAttached{std::move(endpoint)});
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
  for (const Event& event : events) has_changed |= fold(event);
  std::vector<std::string> problems;
  for (const Diagnostic& diagnostic : source_.diagnostics()) {
    if (problems.size() < kMaxDiagnosticsShown) problems.push_back(render(diagnostic));
  }
  note("manifests", std::move(problems));
  if (!has_changed && is_compiled_) return;
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
  fold(HostChanged{*facts});
}

void Agent::sync_routes() {
  if (not_ready()) return;
  const Result<void> done = host_->sync_pod_routes(options_.host_port, compiler_.base().settings,
                                                   service_addresses(), intent_.host.local_addresses);
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

bool Agent::fold(const Event& event) {
  if (!apply(intent_, event)) return false;
  compiler_.changed(event);
  return true;
}

void Agent::refresh() {
  if (not_ready()) return;
  const std::vector<core::Prefix> had = pod_cidrs();
  const core::NodeSettings before = compiler_.base().settings;
  const NodeCompiler::Changes changes = compiler_.update(intent_);
  // What is compiled is pure and tested to be sound; if it ever is not, the dataplane keeps what it has.
  if (std::string wrong = wrong_with(changes); !wrong.empty()) {
    publishes_all_ = true;  // with the next sound one
    return note(
        "compile",
        {render(Error{"FL5027", "compiled a state that does not hold together: " + wrong, "report this"})});
  }
  note("compile", {});
  note_refusals(changes);
  if (changes.services.health_checks) note("health checks", health_->set(compiler_.health_checks()));
  if (pods_ != nullptr && had != pod_cidrs()) pods_->pod_cidrs_changed(pod_cidrs());
  const bool is_first = !std::exchange(is_compiled_, true);
  const bool moved = note_addresses(changes.services);
  if (std::exchange(publishes_all_, false))
    publisher_->want(compiler_.state());
  else
    publisher_->want(changes.base ? &compiler_.base() : nullptr, changes.services);
  if (is_first || moved || !(before == compiler_.base().settings)) sync_host();
}

// Keeps account of the addresses that Services have beyond the service ranges; true: another set of them.
bool Agent::note_addresses(const ServiceChanges& changes) {
  bool moved = false;
  const auto put = [&](core::ServiceId id, const std::vector<core::IpAddress>& addresses) {
    const auto known = addresses_of_.find(id);
    if (addresses.empty() ? known == addresses_of_.end()
                          : known != addresses_of_.end() && known->second == addresses)
      return;
    moved = true;
    if (addresses.empty())
      addresses_of_.erase(known);
    else
      addresses_of_[id] = addresses;
  };
  for (const core::ServiceId id : changes.removals) put(id, {});
  for (const auto& service : changes.upserts) {
    std::vector<core::IpAddress> addresses;
    for (const core::Frontend& frontend : service->frontends) {
      if (frontend.kind == core::FrontendKind::kLoadBalancer ||
          frontend.kind == core::FrontendKind::kExternalIp)
        addresses.push_back(frontend.address);
    }
    put(service->id, addresses);
  }
  return moved;
}

std::set<core::IpAddress> Agent::service_addresses() const {
  std::set<core::IpAddress> all;
  for (const auto& [id, addresses] : addresses_of_) all.insert(addresses.begin(), addresses.end());
  return all;
}

std::string Agent::wrong_with(const NodeCompiler::Changes& changes) const {
  if (changes.base || publishes_all_) {
    if (std::string wrong = core::validate(compiler_.base()); !wrong.empty()) return wrong;
  }
  for (const auto& service : changes.services.upserts) {
    if (std::string wrong = core::wrong_with(*service); !wrong.empty()) return wrong;
  }
  return {};
}

// Each refusal is a line in the log once; the status shows the first of them.
void Agent::note_refusals(const NodeCompiler::Changes& changes) {
  if (changes.base) {
    std::vector<std::string> refusals;
    for (const Refusal& refusal : compiler_.base_refusals()) refusals.push_back(text_of(refusal));
    note("cluster", std::move(refusals));
  }
  if (changes.services.refusals.empty()) return;
  const auto& refused = compiler_.service_refusals();
  for (const std::string& key : changes.services.refusals) {
    const auto now = refused.find(key);
    std::vector<Refusal>& known = logged_[key];
    if (now != refused.end()) {
      for (const Refusal& refusal : now->second) {
        if (std::find(known.begin(), known.end(), refusal) == known.end())
          spdlog::warn("{}", trimmed(text_of(refusal)));
      }
      known = now->second;
    } else {
      if (!known.empty()) spdlog::info("service/{}: all is well again", key);
      logged_.erase(key);
    }
  }
  std::vector<std::string> shown;
  for (const auto& [key, refusals] : refused) {
    for (const Refusal& refusal : refusals) {
      if (shown.size() < kMaxDiagnosticsShown) shown.push_back(text_of(refusal));
    }
    if (shown.size() >= kMaxDiagnosticsShown) break;
  }
  if (refused.size() > shown.size()) {
    shown.push_back(render(Error{"FL1035", std::to_string(refused.size()) + " Services have refused entries",
                                 "fairlead get services -o wide lists them"}));
  }
  problems_["services"] = std::move(shown);
}

void Agent::sync_host() {
  sync_routes();
  const core::NodeSettings& settings = compiler_.base().settings;
  const Result<void> reserved = reserve_ports(options_.state_dir + "/reserved-ports",
                                              settings.snat_port_first, settings.snat_port_last);
  note("ports", reserved ? std::vector<std::string>{} : std::vector{render(reserved.error())});
}

// ---- endpoints ------------------------------------------------------------------------------------------

void Agent::attach(core::Endpoint endpoint, uint32_t timeout_ms, Done done) {
  if (auto why = not_ready()) {
    asio::post(io_, [done = std::move(done), error = *why] { done(error); });
    return;
  }
  const core::EndpointId id = endpoint.id;
  fold(EndpointAttached{std::move(endpoint)});
  refresh();
  if (!compiler_.base().endpoints.contains(id)) {
    Error error{"FL1032", "endpoint " + std::to_string(id) + " was refused", "fairlead status says why"};
    const core::Endpoint& refused = intent_.endpoints.at(id);
    const std::string object = "pod/" + refused.pod_namespace + "/" + refused.pod_name;
    for (const Refusal& refusal : compiler_.base_refusals()) {
      if (refusal.object == object) error.what = object + ": " + refusal.reason;
    }
    asio::post(io_, [done = std::move(done), error] { done(error); });
    return;
  }
  publisher_->wait(0, std::chrono::milliseconds(timeout_ms), std::move(done));
}

void Agent::detach(core::EndpointId id, Done done) {
  fold(EndpointDetached{id});
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
    spdlog::warn("{}", trimmed(problem));
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
