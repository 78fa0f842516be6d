#pragma once

#include "controlplane/agent/agent_core.hpp"
#include "controlplane/ipam/ipam.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/rpc/fairlead.pb.h"
#include "dataplane/rpc/server.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace fairlead::control {

struct CniServiceOptions {
  std::string state_dir = "/var/lib/fairlead";
  unsigned threads = 8;                                // for what blocks: disk and netlink
  uint32_t attach_timeout_ms = 10'000;                 // for the dataplane to forward for a new pod
  std::chrono::milliseconds retry_queued_del{10'000};  // a queued DEL that failed is tried again after
  std::chrono::seconds quarantine{30};                 // see IpamOptions
};

// The agent's half of the CNI plugin: attaches pods to this node and takes them off again.
//
//   ADD  check -> [disk] reserve -> [netlink] veth and pod -> AgentCore::attach, i.e. programmed in the
//        dataplane -> [disk] commit -> answer. Any failure takes everything back before it is reported.
//   DEL  AgentCore::detach -> [netlink] remove the veth -> [disk] release. Fine when there is nothing.
//
// After a kill at any point restore() finds on disk what was complete (kept) and what was not (undone).
// Operations on one attachment never overlap; others run side by side. DELs that the plugin queued while no
// agent ran are worked off by restore() and whenever one appears.
//
// Owns <state-dir>/ipam and the agent's end of <state-dir>/cni-del. Threads: all members on the io_context's
// thread; the blocking parts run on the service's own threads.
class CniService final : public PodService {
 public:
  using AddDone = std::function<void(Result<rpc::CniAddReply>)>;
  using Done = std::function<void(Result<void>)>;

  // `core` and `io` outlive the service. Errors: those of Ipam::open().
  [[nodiscard]] static Result<std::unique_ptr<CniService>> open(boost::asio::io_context& io, AgentCore& core,
                                                                CniServiceOptions options);
  ~CniService() override;  // waits for the blocking parts; what was not answered by then never will be

  // Takes cni_add, cni_del, cni_check and cni_gc; false for every other request.
  bool handle(const rpc::Request& request, const ipc::Reply& reply) override;

  void add(const rpc::CniAddRequest& request, AddDone done);
  void del(const rpc::CniDelRequest& request, Done done);
  void check(const rpc::CniCheckRequest& request, Done done);
  void collect_garbage(const rpc::CniGcRequest& request, Done done);

  [[nodiscard]] Result<std::vector<core::Endpoint>> restore() override;
  Result<void> set_pod_mtu(uint16_t mtu) override;

  void pod_cidrs_changed(const std::vector<core::Prefix>& cidrs) override;
  [[nodiscard]] uint32_t free_ipv4() const override;

  struct State;

 private:
  explicit CniService(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace fairlead::control
