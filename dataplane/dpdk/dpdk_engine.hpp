#pragma once

#include "dataplane/core/forwarder.hpp"
#include "dataplane/engine.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::dpdk {

enum class Polling : uint8_t {
  kAdaptive,  // poll for as long as a packet may come soon, then sleep until a port has something
  kBusy,      // never sleep
};

// How the engine starts. Everything has a default that works on a small machine without huge pages.
struct DpdkConfig {
  unsigned workers = 1;
  std::vector<unsigned> worker_cpus;  // one CPU per worker; empty: workers float over the process's CPUs
  Polling polling = Polling::kAdaptive;
  uint32_t longest_poll_us = 200;          // adaptive: how long to poll for the next packet at most
  uint32_t memory_mib = 512;               // without huge pages: address space, touched only as used
  bool huge_pages = true;                  // use them when enough are free
  bool pci = false;                        // scan the PCI bus (exclusive uplinks only)
  std::vector<std::string> eal_arguments;  // appended as they are
  std::string xdp_object;                  // path of uplink_xdp.bpf.o; empty: af_xdp is not available
  uint32_t big_buffers = 512;              // 64 KiB buffers shared by trunk and host port
  core::ForwarderConfig forwarder;         // `workers` is overwritten
};

// The DPDK engine: owns EAL, ports, workers and a core::Forwarder.
//
// Threads: one control thread for everything but heartbeat_ns(); the workers are its own. One engine at a
// time in a process: DPDK starts with the first one's memory and CPUs and stays. Destroying it stops the
// workers, closes the ports and removes the TAP devices.
class DpdkEngine final : public Engine {
 public:
  // Errors: FL2001 no permission, FL2002 memory, FL2003 EAL refused, FL2004 another engine lives in this
  // process.
  [[nodiscard]] static Result<std::unique_ptr<DpdkEngine>> create(const DpdkConfig& config);
  ~DpdkEngine() override;
  DpdkEngine(const DpdkEngine&) = delete;
  DpdkEngine& operator=(const DpdkEngine&) = delete;

  // Returns when every worker polls the port. A port that cannot be opened is an error and leaves nothing
  // behind.
  Result<void> add_port(const PortSpec& spec) override;
  Result<void> remove_port(core::PortId id) override;
  Result<void> publish(const core::NodeStateDelta& delta) override;
  Result<void> set_underlay(const core::Underlay& underlay) override;
  [[nodiscard]] core::Counters counters() const override;
  void each_flow(const FlowFilter& filter, const FlowVisitor& visit) const override;
  [[nodiscard]] Result<Trace> trace(const TraceRequest& request) const override;
  [[nodiscard]] std::vector<PortStatus> ports() const override;
  [[nodiscard]] EngineInfo info() const override;
  void tick(uint64_t now_ns) override;
  [[nodiscard]] uint64_t heartbeat_ns() const override;
  [[nodiscard]] std::vector<std::pair<core::PortId, core::IpAddress>> unresolved_next_hops() const override;
  // Returns when every worker has sent what it had received, and what a new underlay released, before the
  // call. For tests.
  void settle();
  Result<void> set_capture(uint8_t stages, uint32_t snap_length) override;
  unsigned drain_capture(const CaptureVisitor& visit, unsigned budget) override;
  [[nodiscard]] uint64_t capture_lost() const override;

 private:
  struct State;
  explicit DpdkEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fairlead::dpdk
