#pragma once

#include "dataplane/packet/types.h"

#include <cstdint>
#include <string>

namespace fairlead::replay {

// What frames look like: the tunnel, if any, and the family of the (inner) packet. The outer packet is IPv4.
enum class Form : uint8_t { kNone, kIp4, kIp6, kVxlan4, kVxlan6, kGeneve4, kGeneve6, kAny };

[[nodiscard]] constexpr bool is_tunnel(Form form) {
  return form >= Form::kVxlan4 && form <= Form::kGeneve6;
}
[[nodiscard]] constexpr bool is_inner_ipv6(Form form) {
  return form == Form::kIp6 || form == Form::kVxlan6 || form == Form::kGeneve6;
}
[[nodiscard]] constexpr bool is_geneve(Form form) {
  return form == Form::kGeneve4 || form == Form::kGeneve6;
}
[[nodiscard]] const char* text(Form form);

// `count` addresses from `base` on, `stride` apart, counted in the last 32 bits.
struct Hosts {
  ip_address base{};
  bool is_ipv6 = false;
  uint32_t count = 1;
  uint32_t stride = 1;
};

// `count` ports from `first` on.
struct Ports {
  uint16_t first = 0;
  uint16_t count = 0;  // 0: any port

  [[nodiscard]] bool have(uint16_t port) const {
    return count == 0 || static_cast<uint16_t>(port - first) < count;
  }
};

inline constexpr uint32_t kFcsBytes = 4;  // counted in sizes (RFC 2544), never in memory
inline constexpr uint32_t kSizeMin = 64;
inline constexpr uint32_t kSizeMax = 1518;
inline constexpr uint8_t kTimeToLive = 64;  // of what is handed out

// The arguments of one net_replay device.
struct Profile {
  Form frames = Form::kIp4;  // what is received from the device; none: nothing
  Form expect = Form::kAny;  // what is sent to it has to look like; any: some whole IP packet
  uint32_t flows = 16384;
  uint32_t size = kSizeMin;  // of the frame on the wire with its FCS, without tunnel headers
  bool imix = false;         // 64, 594, 1518 as 7:4:1
  uint16_t queues = 1;       // the most that may be configured
  uint16_t burst = 0;        // frames handed out by one call; 0: as many as were asked for
  bool held = false;         // nothing is handed out until the page says so
  bool paced = false;        // frames fall due at the page's pace, see pace.hpp
  bool once = false;         // every flow's frame is handed out once, then none
  bool reply = false;        // handed out are the answers: from `destinations` and `port` to `sources`
  uint32_t pool = 16384;     // buffers going round per thread
  uint32_t verify = 251;     // every so many-th frame sent is read; 0: none
  uint8_t ttl = 0;           // of what is sent; 0: any
  uint32_t seed = 1;
  uint32_t vni = 100;
  Hosts sources;
  Hosts destinations;
  uint16_t port = 80;  // flows' destination port
  // Of what is sent: the ends it has to have. Without a base: those of what is handed out.
  Hosts expect_sources;
  Hosts expect_destinations;
  Ports expect_source_ports;
  Ports expect_ports;
  be32 tunnel_source{};  // outer addresses of frames handed out
  be32 tunnel_destination{};
  std::string page;  // file the counters are shared through; empty: none
};

// Reads "key=value,key=value"; what is not given keeps its default (addresses: by family). Returns what is
// wrong, empty when nothing is.
[[nodiscard]] std::string parse_profile(const std::string& arguments, Profile& profile);

}  // namespace fairlead::replay
