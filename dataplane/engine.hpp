#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/underlay.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fairlead {

// The largest super-packet that crosses the trunk whole (L3 bytes). A pod's interface carries it as
// gso_max_size and gso_ipv4_max_size; what is larger the kernel cuts to MTU-sized packets before the trunk:
// correct, but slow.
inline constexpr uint32_t kTrunkGsoMaxSize = 61440;

enum class PortKind : uint8_t { kUplink, kTrunk, kHost, kFast };

// What an engine shall receive from and send to. `device` is the kernel's interface name, or for `driver` =
// devargs a DPDK device string ("net_ring0", "0000:01:00.0", "net_memif0,role=server,...").
struct PortSpec {
  core::PortId id = 0;  // 1-based; the daemon's: uplink 1, trunk 2, host 3, fast ports from 16
  PortKind kind = PortKind::kUplink;
  std::string device;
  std::string driver =
      "auto";  // uplink: auto | af_xdp | af_packet | devargs; trunk, host: tap | devargs; fast: devargs
  uint16_t queues = 1;
  uint16_t mtu = 1500;
};

struct PortStatus {
  PortSpec spec;
  std::string driver;  // the one really in use
  std::string note;    // why, when it is not the first choice
  core::MacAddress mac;
  bool up = false;
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0, rx_missed = 0, tx_dropped = 0;
};

struct FlowRecord {
  core::IpAddress source, destination;
  uint16_t source_port = 0, destination_port = 0;
  uint8_t protocol = 0;
  // A translated connection's replies: from the backend, to the client or to this node's address in its
  // place.
  bool translated = false;
  core::IpAddress reply_source, reply_destination;
  uint16_t reply_source_port = 0, reply_destination_port = 0;
  std::string state;  // new | established | closing | one-way | two-way
  uint64_t packets_original = 0, packets_reply = 0, bytes_original = 0, bytes_reply = 0;
  uint32_t idle_seconds = 0;
  std::string original_out, reply_out;  // "endpoint default/a", "peer node-2 vxlan", ...
};

struct FlowFilter {
  core::IpAddress address;  // kNone: any; matches either side
  uint16_t port = 0;        // 0: any
  uint8_t protocol = 0;     // 0: any
};
using FlowVisitor = std::function<bool(const FlowRecord&)>;  // false: enough

// A hypothetical packet. Either endpoint id or port says where it comes from.
struct TraceRequest {
  core::EndpointId from_endpoint = 0;
  core::PortId from_port = 0;
  core::IpAddress source, destination;
  uint8_t protocol = 1;  // ICMP echo unless told
  uint16_t source_port = 40000, destination_port = 80;
  uint16_t length = 84;  // L3 bytes
  uint8_t ttl = 64;
};

struct TraceStep {
  std::string step;    // a name of steps.def
  std::string object;  // the Kubernetes object or table row that decided
  std::string text;
};

struct Trace {
  std::vector<TraceStep> steps;
  std::string verdict;                 // forward | answer | punt | hold | drop
  std::string drop_reason;             // name, with verdict drop or answer
  std::string port;                    // egress
  std::vector<uint8_t> pushed_header;  // bytes in front of the L3 header when it leaves
};

struct EngineInfo {
  std::string name;                // dpdk | memory
  std::vector<std::string> notes;  // fall-backs taken: "no huge pages: --no-huge", ...
  unsigned workers = 1;
};

// Where a frame was when it was copied. Values are bits of a mask.
enum class CaptureStage : uint8_t { kRx = 1, kTx = 2, kDrop = 4 };

// A copy of one frame; `bytes` lives until the visitor returns.
struct CapturedFrame {
  uint64_t time_ns = 0;   // CLOCK_REALTIME
  core::PortId port = 0;  // rx and drop: where it came from; tx: where it goes
  CaptureStage stage = CaptureStage::kRx;
  core::DropReason reason = core::DropReason::NONE;  // stage drop
  uint32_t original_length = 0;
  std::span<const uint8_t> bytes;
};
using CaptureVisitor = std::function<void(const CapturedFrame&)>;

// What forwards. One per process; virtual only off the packet path.
//
// Threads: every call from one control thread. publish() and set_underlay() return when every worker uses the
// new state.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual Result<void> add_port(const PortSpec& spec) = 0;  // idempotent by id
  virtual Result<void> remove_port(core::PortId id) = 0;
  virtual Result<void> publish(const core::NodeStateDelta& delta) = 0;  // atomic: all or nothing
  virtual Result<void> set_underlay(const core::Underlay& underlay) = 0;
  [[nodiscard]] virtual core::Counters counters() const = 0;
  virtual void each_flow(const FlowFilter& filter, const FlowVisitor& visit) const = 0;
  [[nodiscard]] virtual Result<Trace> trace(const TraceRequest& request) const = 0;
  [[nodiscard]] virtual std::vector<PortStatus> ports() const = 0;
  [[nodiscard]] virtual EngineInfo info() const = 0;

  // Periodic work of the control thread, about every 10 ms: ageing, held packets, link state.
  virtual void tick(uint64_t now_ns) { static_cast<void>(now_ns); }
  // CLOCK_MONOTONIC of the last sign of life of the slowest worker; a worker asleep within its timeout is
  // alive. Any thread. 0: the engine has no workers of its own.
  [[nodiscard]] virtual uint64_t heartbeat_ns() const { return 0; }
  // Next hops waiting for a MAC address: whoever mirrors the kernel asks it to resolve them.
  [[nodiscard]] virtual std::vector<std::pair<core::PortId, core::IpAddress>> unresolved_next_hops() const {
    return {};
  }

  // Starts (mask of CaptureStage bits) or stops (0) copying frames, at most `snap_length` bytes each, into
  // bounded rings.
  virtual Result<void> set_capture(uint8_t stages, uint32_t snap_length) {
    static_cast<void>(snap_length);
    return stages == 0 ? Result<void>{} : Error{"FL2090", "this engine cannot capture frames"};
  }
  // Hands out at most `budget` copied frames and returns how many there were. Frames the rings had no room
  // for are lost and counted in capture_lost().
  virtual unsigned drain_capture(const CaptureVisitor& visit, unsigned budget) {
    static_cast<void>(visit), static_cast<void>(budget);
    return 0;
  }
  [[nodiscard]] virtual uint64_t capture_lost() const { return 0; }
};

}  // namespace fairlead
