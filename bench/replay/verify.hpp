#pragma once

#include "bench/replay/profile.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace fairlead::replay {

// Every way what was sent can be wrong; the names are those of the device's extended statistics.
enum class Wrong : uint8_t {
  kNothing,
  kLength,         // not the number of bytes this form and size have
  kMalformed,      // the headers do not add up
  kEncapsulation,  // another form than expected: tunnel missing, not expected, or of another network
  kFamily,
  kIpChecksum,
  kTtl,
  kL4Checksum,
  kAddress,  // an end that is not among those expected
  kPort,     // the same of a port
  kBuffer,   // the mbuf: chained, or still referenced by somebody else
  kCount
};
[[nodiscard]] const char* text(Wrong wrong);

// Reads one frame that was sent to a device of this profile, from its first byte to its last.
[[nodiscard]] Wrong check_frame(const uint8_t* frame, uint32_t length, const Profile& profile);

// The length every frame sent has, in memory; 0: they are not of one length.
[[nodiscard]] uint32_t expected_length(const Profile& profile);

}  // namespace fairlead::replay
