#pragma once

#include "controlplane/agent/dataplane_link.hpp"
#include "controlplane/agent/generation_file.hpp"
#include "controlplane/calc/services.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/rpc/parts.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace fairlead::control {

// Brings the dataplane from what it has to what is wanted, one generation at a time, whatever happens to
// either process.
//
// On every connection it first asks the dataplane what it has and sends the difference: after a restart of
// the agent that is nothing, after a restart of the dataplane whatever it lost. Newer wishes overtake older
// ones that were not sent yet. Order of a mode switch: pods' MTU is lowered before a state that needs it is
// published, and raised after one that allows it.
//
// Owns: the link, the numbering. Threads: the io_context's.
class Publisher {
 public:
  using Done = std::function<void(Result<void>)>;
  struct Hooks {
    // What the dataplane has, on every connection, if it has anything: the wanted state has to be derived
    // from it (peer ids).
    std::function<void(const core::NodeState&)> dataplane_has;
    std::function<Result<void>(uint16_t)> set_pod_mtu;
    std::function<void()> changed;  // programmed(), problem() or is_connected()
  };

  // Errors: FL5057.
  [[nodiscard]] static Result<std::unique_ptr<Publisher>> create(boost::asio::io_context& io,
                                                                 const std::string& socket,
                                                                 const std::string& generation_path,
                                                                 Hooks hooks);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void start();

  // The state that shall be; its generation is ignored. Numbered at once, except the first one: the dataplane
  // may have it already, under a number that stays.
  void want(core::NodeState state);
  // The same by what changed: `base` is all but the Services (nullptr: as before), and costs what it holds.
  void want(const core::NodeState* base, const ServiceChanges& services);

  [[nodiscard]] const core::NodeState& wanted() const { return wanted_; }
  [[nodiscard]] uint64_t programmed_generation() const { return programmed_generation_; }
  [[nodiscard]] bool is_programmed() const { return version_ != 0 && programmed_version_ == version_; }
  [[nodiscard]] bool is_connected() const { return link_->is_up(); }
  [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }
  // What pods' routes carry, or shortly will: the smaller one during a switch.
  [[nodiscard]] uint16_t pod_mtu() const;

  // Calls `done` when what is wanted now (or something newer) is programmed, or generation `generation` if
  // that is not 0; FL5024 with what hinders after `timeout`. Never within this call; not at all after
  // cancel().
  struct Waiter;
  std::weak_ptr<Waiter> wait(uint64_t generation, std::chrono::milliseconds timeout, Done done);
  void cancel(const std::weak_ptr<Waiter>& waiter);

 private:
  Publisher(boost::asio::io_context& io, const std::string& generation_path, Hooks hooks);
  void on_up();
  void on_down(const Error& why);
  void on_state(const Result<rpc::Response>& response);
  void ask_state();
  void wanted_changed();
  [[nodiscard]] core::NodeStateDelta next_change();
  void pump();
  void publish();
  void send_part();
  void on_published(const Result<rpc::Response>& response);
  void settle();
  void number_wanted();
  void lower_pod_mtu();
  void raise_pod_mtu();
  void refused(const Error& why);
  void retry_later();
  void finish_waiters();
  void hinder(std::optional<Error> problem);

  boost::asio::io_context& io_;
  const Hooks hooks_;
  GenerationFile generations_;
  std::unique_ptr<DataplaneLink> link_;

  core::NodeState wanted_;  // generation 0: not numbered yet
  uint64_t version_ = 0;    // counts want(); 0: nothing wanted yet
  core::NodeState remote_;  // what the dataplane has, while knows_remote_
  bool knows_remote_ = false;

  // What of wanted_ may differ from remote_, or from what in_flight_ makes of it.
  bool base_differs_ = true, all_differs_ = true;
  std::set<core::ServiceId> services_differ_;
  ipc::StatePages pages_;  // of the dataplane's state, while it is read

  core::NodeStateDelta in_flight_;  // while is_publishing_
  std::size_t next_service_ = 0;    // of in_flight_, to be sent
  uint64_t in_flight_version_ = 0;
  bool is_publishing_ = false;
  std::chrono::steady_clock::time_point sent_at_;

  uint64_t programmed_generation_ = 0, programmed_version_ = 0;
  std::optional<uint16_t> mtu_in_pods_;  // absent: not known, or the last attempt failed
  std::optional<Error> problem_;
  std::list<std::shared_ptr<Waiter>> waiters_;
  struct Timers;
  std::unique_ptr<Timers> timers_;
};

}  // namespace fairlead::control
