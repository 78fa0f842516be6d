#pragma once

#include "controlplane/agent/agent_core.hpp"
#include "controlplane/agent/host_watch.hpp"
#include "controlplane/agent/options.hpp"
#include "controlplane/agent/publisher.hpp"
#include "controlplane/calc/compile.hpp"
#include "controlplane/manifests/directory_source.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <optional>
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
    return compiled_.state.settings.local_pods;
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
  void refresh();
  [[nodiscard]] std::optional<Error> not_ready() const;
  void note(const std::string& topic, std::vector<std::string> problems);

  boost::asio::io_context& io_;
  const AgentOptions options_;
  Intent intent_;
  Compiled compiled_;
  core::NodeState
      previous_;  // what compile() keeps ids and ranges from: the dataplane's at first, then our own
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
