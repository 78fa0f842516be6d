#pragma once

#include "controlplane/agent/agent_core.hpp"
#include "controlplane/agent/health_server.hpp"
#include "controlplane/agent/host_watch.hpp"
#include "controlplane/agent/options.hpp"
#include "controlplane/agent/publisher.hpp"
#include "controlplane/calc/compile.hpp"
#include "controlplane/manifests/directory_source.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fairlead::control {

// The control plane of one node: manifests, host facts and endpoints -> Intent -> compile() -> dataplane.
//
// Owns the Intent; nobody else changes it. Everything that comes in ends in refresh(), which compiles and
// hands the result to the publisher. Nothing is published before manifests, host facts and endpoints are all
// known: a half-known intent would take running pods and peers away. Threads: the io_context's.
class Agent final : public AgentCore {
 public:
  // Errors: FL5023 the state directory; FL5057 the socket path; FL3001.
  [[nodiscard]] static Result<std::unique_ptr<Agent>> create(boost::asio::io_context& io,
                                                             const AgentOptions& options);
  ~Agent() override;

  // Takes the service's endpoints in and begins. Errors: what restore() answers; FL4306 when --uplink names
  // no device.
  Result<void> start(PodService& pods);

  // AgentCore
  [[nodiscard]] const std::string& node() const override { return intent_.self; }
  [[nodiscard]] const std::vector<core::Prefix>& pod_cidrs() const override {
    return compiler_.base().settings.local_pods;
  }
  [[nodiscard]] uint16_t pod_mtu() const override { return publisher_->pod_mtu(); }
  void attach(core::Endpoint endpoint, uint32_t timeout_ms, Done done) override;
  void detach(core::EndpointId id, Done done) override;
  [[nodiscard]] const Intent& intent() const override { return intent_; }

  // Looks at the manifests now, without waiting for inotify: what was written before this call is in force
  // after it.
  void reload_manifests();

  [[nodiscard]] const Publisher& publisher() const { return *publisher_; }
  [[nodiscard]] Publisher& publisher() { return *publisher_; }
  [[nodiscard]] const AgentOptions& options() const { return options_; }
  [[nodiscard]] const NodeCompiler& compiler() const { return compiler_; }
  // What hinders, rendered, one after the other; empty when all is well.
  [[nodiscard]] std::string problems() const;

 private:
  struct Timers;
  Agent(boost::asio::io_context& io, const AgentOptions& options);
  void watch_manifests();
  void open_manifests();
  void reload_later(std::chrono::milliseconds pause);
  void read_host();
  void sync_routes();
  [[nodiscard]] bool note_addresses(const ServiceChanges& changes);
  [[nodiscard]] std::set<core::IpAddress> service_addresses() const;
  bool fold(const Event& event);
  void refresh();
  [[nodiscard]] std::string wrong_with(const NodeCompiler::Changes& changes) const;
  void note_refusals(const NodeCompiler::Changes& changes);
  void sync_host();
  [[nodiscard]] std::optional<Error> not_ready() const;
  void note(const std::string& topic, std::vector<std::string> problems);

  boost::asio::io_context& io_;
  const AgentOptions options_;
  Intent intent_;
  NodeCompiler compiler_;  // adopts what the dataplane has on every connection, then keeps up by itself
  bool is_compiled_ = false, publishes_all_ = true;
  std::map<std::string, std::vector<Refusal>> logged_;                    // of Services, by their key
  std::map<core::ServiceId, std::vector<core::IpAddress>> addresses_of_;  // load balancer and external ones
  std::unique_ptr<HealthServer> health_;
  DirectorySource source_;
  std::unique_ptr<HostWatch> host_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Timers> timers_;
  PodService* pods_ = nullptr;
  bool knows_host_ = false;
  bool is_started_ = false;
  std::map<std::string, std::vector<std::string>> problems_;  // by topic, rendered
};

}  // namespace fairlead::control
