#pragma once

#include <cstdint>

namespace fairlead::core {

// A connection's tuple in a form both directions share: the smaller (address, port) stands first. Bytes not
// named are zero.
struct alignas(8) FlowKey4 {
  uint32_t address[2];
  uint16_t port[2];
  uint8_t protocol;
  uint8_t pad[3];
  bool operator==(const FlowKey4&) const = default;
};

struct alignas(8) FlowKey6 {
  uint8_t address[2][16];
  uint16_t port[2];
  uint8_t protocol;
  uint8_t pad[3];
  bool operator==(const FlowKey6&) const = default;
};
static_assert(sizeof(FlowKey4) == 16);
static_assert(sizeof(FlowKey6) == 40);

}  // namespace fairlead::core
