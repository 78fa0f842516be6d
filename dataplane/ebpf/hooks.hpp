#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"
#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/ebpf/uplink_program.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace fairlead::ebpf {

// One hook's packets since the pins were made (pod_tc, trunk_tc) or the program was attached (uplink_xdp).
//
// in == out + passed + sum(drops) in every reading: a packet is counted once, when its fate is known, and
// `in` is their sum.
struct HookCounters {
  std::string_view hook;  // pod_tc | trunk_tc | uplink_xdp
  uint64_t in = 0;
  uint64_t out = 0;     // handed on: to the trunk, into the pod, to the AF_XDP socket
  uint64_t passed = 0;  // left to the kernel
  std::array<uint64_t, static_cast<size_t>(core::DropReason::kCount)> drops{};
};

struct HooksConfig {
  std::filesystem::path bpf_dir =
      "/sys/fs/bpf/fairlead";  // on a bpffs; pins go into a version directory below it
  std::chrono::nanoseconds stale_after =
      std::chrono::seconds(1);  // heartbeats older than this: pods' packets are dropped
};

// The kernel side of a node's ports: the programs at pods' links, at the trunk and at the uplink, and their
// maps.
//
// Owns the pins below bpf_dir and the tc filters it makes. Everything that says which packet goes where lives
// in pinned maps and in filters on the links, so it keeps its effect when the process dies; the next process
// takes it over. Threads: beat() from any one thread, the rest from one control thread. All interfaces are
// those of the calling thread's network namespace. Errors carry FL31xx.
class Hooks {
 public:
  // Loads the programs and takes over the maps that an earlier process pinned. Refuses pins of an unknown
  // layout.
  static Result<std::unique_ptr<Hooks>> open(const HooksConfig& config);
  // Closes descriptors; filters and pins stay in effect.
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // Makes `ifindex` the trunk: pods' packets go there and its frames are delivered to pods. Idempotent;
  // replaces an earlier trunk. 0: no trunk, pods' packets are dropped as FORWARDER_STALE.
  Result<void> set_trunk(uint32_t ifindex);

  // Lets the endpoint's packets through its host interface. Idempotent; a changed endpoint replaces the old
  // one. Nothing to do for a fast port. Fails when the interface is gone or is another one by now.
  Result<void> attach_endpoint(const core::Endpoint& endpoint);

  // Forgets the endpoint and takes its filter away. Fine when it, or its interface, is already gone.
  Result<void> detach_endpoint(core::EndpointId id);

  // Makes exactly these endpoints attached: detaches what an earlier process left over, attaches the rest.
  // One endpoint's failure does not stop the others: the errors are returned, none when all is well.
  [[nodiscard]] std::vector<Error> reconcile(const std::map<core::EndpointId, core::Endpoint>& endpoints);

  // The ids that pods' packets are accepted for now.
  [[nodiscard]] std::vector<core::EndpointId> attached_endpoints() const;

  // Writes uplink_xdp.bpf.o, which this binary carries, to `path` for a driver that loads it from a file.
  static Result<void> write_uplink_program(const std::filesystem::path& path);

  // Takes our XDP program off `ifindex` when an earlier process left it there; anybody else's stays and is an
  // error. Call before a driver attaches the program anew. Fine when there is none.
  Result<void> release_uplink(uint32_t ifindex);

  // Tells the XDP program attached to `ifindex` what belongs to the forwarder. Idempotent. Fails when the
  // program there, alone or behind libxdp's dispatcher, is not ours.
  Result<void> set_uplink_filter(uint32_t ifindex, const UplinkFilter& filter);

  // Says that the forwarder is alive. `now_ns`: CLOCK_MONOTONIC. One store; no system call.
  void beat(uint64_t now_ns) noexcept;

  // A reading per hook; uplink_xdp is summed over the uplinks that set_uplink_filter() was called for.
  [[nodiscard]] std::vector<HookCounters> counters() const;

 private:
  struct State;
  explicit Hooks(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fairlead::ebpf
