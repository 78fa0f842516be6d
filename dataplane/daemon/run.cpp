#include "dataplane/daemon/run.hpp"

#include "dataplane/base/version.hpp"
#include "dataplane/core/memory_engine.hpp"
#include "dataplane/daemon/capture.hpp"
#include "dataplane/daemon/dataplane.hpp"
#include "dataplane/daemon/hooks_side.hpp"
#include "dataplane/daemon/node_ports.hpp"
#include "dataplane/daemon/service.hpp"
#include "dataplane/daemon/state_file.hpp"
#include "dataplane/daemon/underlay_feed.hpp"
#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/rpc/server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <utility>

namespace fairlead::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kTick{10};
constexpr std::chrono::milliseconds kCaptureTick{2};
constexpr uint64_t kFreshNs = 500'000'000;  // an engine that shows no life for longer is not vouched for
constexpr uint64_t kSecondNs = 1'000'000'000;

uint64_t monotonic_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return Error{"FL2104", "cannot make the directory " + path + ": " + error.message(),
                 "run as root, or choose another --run-dir or --state-dir"};
  }
  chmod(path.c_str(), mode);
  return {};
}

// The parts, in the order they depend on each other: destroyed from the last to the first.
class Process {
 public:
  explicit Process(const Options& options)
      : options_(options), signals_(io_, SIGTERM, SIGINT), timer_(io_), file_(options.state_dir) {}

  Result<void> start(ipc::Server server);
  void run() { io_.run(); }
  void end();
  asio::io_context& io() { return io_; }

 private:
  Result<void> start_dpdk();
  Result<void> start_memory();
  void tick();
  void schedule_tick();

  const Options& options_;
  asio::io_context io_;
  asio::signal_set signals_;
  asio::steady_timer timer_;
  StateFile file_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<HooksSide> kernel_;
  std::unique_ptr<UnderlayFeed> underlay_;
  std::optional<Dataplane> dataplane_;
  std::optional<CaptureHub> capture_;
  std::optional<Service> service_;
  std::optional<ipc::Server> server_;
  uint64_t next_second_ns_ = 0;
  uint64_t prepared_generation_ = 0;
  bool was_fresh_ = true;
};

Result<void> Process::start_dpdk() {
  if (Result<void> allowed = check_privileges(); !allowed) return allowed;
  ebpf::HooksConfig hooks_config;
  hooks_config.bpf_dir = options_.bpf_dir;
  Result<std::unique_ptr<ebpf::Hooks>> hooks = ebpf::Hooks::open(hooks_config);
  if (!hooks) return hooks.error();
  const std::string xdp_object = options_.run_dir + "/uplink_xdp.bpf.o";
  if (Result<void> written = ebpf::Hooks::write_uplink_program(xdp_object); !written) return written;

  dpdk::DpdkConfig config;
  config.workers = options_.workers;
  config.polling = options_.busy_polling ? dpdk::Polling::kBusy : dpdk::Polling::kAdaptive;
  config.xdp_object = xdp_object;
  config.forwarder.flow_capacity = options_.flow_capacity;
  Result<std::unique_ptr<dpdk::DpdkEngine>> engine = dpdk::DpdkEngine::create(config);
  if (!engine) return engine.error();
  engine_ = std::move(*engine);

  Result<NodePorts> ports = open_ports(options_, *engine_, **hooks);
  if (!ports) return ports.error();
  kernel_ = std::make_unique<HooksSide>(std::move(*hooks), options_.bpf_dir, ports->filtered_uplinks);
  Result<std::unique_ptr<UnderlayMirror>> mirror = UnderlayMirror::open();
  if (!mirror) return mirror.error();
  if (Result<void> set = (*mirror)->set_ports(ports->mirrored); !set) return set;
  underlay_ = std::make_unique<UnderlayFeed>(io_, std::move(*mirror), *engine_);
  return underlay_->start();
}

// No devices and no privileges: the ports exist by name only.
Result<void> Process::start_memory() {
  core::ForwarderConfig config;
  config.flow_capacity = options_.flow_capacity;
  engine_ = std::make_unique<core::MemoryEngine>(config);
  std::vector<PortSpec> specs = options_.uplinks;
  specs.push_back({kTrunkPort, PortKind::kTrunk, options_.trunk});
  specs.push_back({kHostPort, PortKind::kHost, options_.host});
  for (const PortSpec& spec : specs) {
    if (Result<void> added = engine_->add_port(spec); !added) return added;
  }
  return {};
}

Result<void> Process::start(ipc::Server server) {
  server_.emplace(std::move(server));
  if (Result<void> started = options_.engine == "memory" ? start_memory() : start_dpdk(); !started)
    return started;
  for (const std::string& note : engine_->info().notes) spdlog::info("{}", note);
  for (const PortStatus& port : engine_->ports()) {
    spdlog::info("port {} {} ({}){}", port.spec.id, port.spec.device, port.driver,
                 port.note.empty() ? "" : ": " + port.note);
  }
  dataplane_.emplace(*engine_, kernel_.get(), file_);
  // A state that cannot be used does not stop the start: the agent publishes it anew.
  if (const Result<void> restored = dataplane_->restore(); !restored)
    spdlog::warn("{}", restored.error().text());
  capture_.emplace(*engine_);
  service_.emplace(*engine_, *dataplane_, kernel_.get(), *capture_, [this]() -> const core::Underlay& {
    static const core::Underlay kNone;
    return underlay_ ? underlay_->current() : kNone;
  });
  if (Result<void> serving = server_->serve(
          [this](const rpc::Request& request, const ipc::Reply& reply) { service_->handle(request, reply); });
      !serving) {
    return serving;
  }
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("ending on signal {}", signal);
    io_.stop();
  });
  tick();
  spdlog::info("fairlead-dataplane {} serves at {}/dataplane.sock", kVersion, options_.run_dir);
  return {};
}

void Process::schedule_tick() {
  timer_.expires_after(capture_->active() ? kCaptureTick : kTick);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

void Process::tick() {
  const uint64_t now = monotonic_ns();
  engine_->tick(now);
  if (capture_->active()) capture_->pump();
  if (underlay_ && prepared_generation_ != dataplane_->state().generation) {
    prepared_generation_ = dataplane_->state().generation;
    underlay_->prepare(dataplane_->state().peers);
  }
  if (underlay_) underlay_->resolve_waiting(now);
  // The heartbeat vouches for the workers, not for this thread alone.
  const uint64_t alive = engine_->heartbeat_ns();
  const bool is_fresh = alive == 0 || now - std::min(alive, now) < kFreshNs;
  if (kernel_ && is_fresh) kernel_->beat(now);
  if (is_fresh != was_fresh_) {
    if (is_fresh)
      spdlog::info("the workers are alive again");
    else
      spdlog::error(
          "a worker shows no sign of life: pods' packets are dropped as FORWARDER_STALE until it does");
    was_fresh_ = is_fresh;
  }
  if (now >= next_second_ns_) {
    next_second_ns_ = now + kSecondNs;
    if (underlay_) underlay_->refresh(now);
    dataplane_->retry();
  }
  schedule_tick();
}

void Process::end() {
  if (server_) server_->stop();
  file_.flush();
  if (!options_.remove_on_exit || !kernel_) return;
  service_.reset();
  capture_.reset();
  dataplane_.reset();
  underlay_.reset();
  engine_.reset();
  for (const Error& error : kernel_->remove()) spdlog::warn("{}", error.text());
  kernel_.reset();
}

}  // namespace

Result<void> run(const Options& options) {
  if (Result<void> made = make_directory(options.run_dir, 0755); !made) return made;
  if (Result<void> made = make_directory(options.state_dir, 0700); !made) return made;
  Process process(options);
  ipc::ServerOptions server_options;
  server_options.socket = options.run_dir + "/dataplane.sock";
  Result<ipc::Server> server = ipc::Server::open(process.io(), server_options);
  if (!server) return server.error();
  Result<void> started = process.start(std::move(*server));
  if (started) process.run();
  process.end();
  return started;
}

}  // namespace fairlead::daemon
