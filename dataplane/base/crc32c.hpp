#pragma once

#include <cstdint>
#include <string_view>

namespace fairlead {

// CRC32C (Castagnoli), the checksum of iSCSI and SCTP (RFC 9260 appendix A). For what is kept on disk.
[[nodiscard]] uint32_t crc32c(std::string_view bytes);

}  // namespace fairlead
