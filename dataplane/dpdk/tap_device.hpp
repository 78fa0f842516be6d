#pragma once

#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::dpdk {

// Which virtio header stands in front of a TAP's frames.
enum class TapHeader : uint8_t {
  kPlain,   // VnetHeader
  kTunnel,  // TunnelVnetHeader where the kernel knows it (Linux 6.17), otherwise kPlain
};

struct TapOffloads {
  unsigned header_bytes = 0;
  bool tunnels = false;  // super-packets inside of UDP tunnels may be written
};

struct TapQueue {
  int fd = -1;
  std::string device;  // as the kernel named it
};

// Opens one queue of a TAP that exchanges frames with virtio headers and leaves checksums and TCP
// segmentation to us. `device` may be a pattern ("name%d"); the kernel then chooses the number. The caller
// owns the descriptor.
//
// Errors: FL2001 no /dev/net/tun or no permission, FL2021 in use by another process, FL2022 refused.
[[nodiscard]] Result<TapQueue> open_tap_queue(const std::string& device, bool several, TapHeader header,
                                              TapOffloads& offloads);

}  // namespace fairlead::dpdk
