#pragma once

#include "controlplane/ipam/ipam.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fairlead::control {

// The journal's records. One JSON object each; `op` says which.

inline constexpr const char* kIpamFormat = R"({"format":"fairlead-ipam","version":1})";

// A moment of one boot. May lie before its beginning (negative): a rest carried over from an earlier boot.
struct Moment {
  std::string boot_id;
  int64_t at_ns = 0;
};

struct ReserveRecord {  // op reserve; `committed` only in a rewritten journal
  Attachment attachment;
};
struct CommitRecord {  // op commit
  AttachmentKey key;
};
struct ReleaseRecord {  // op release
  AttachmentKey key;
  Moment when;
};
struct QuarantineRecord {  // op quarantine; only in a rewritten journal
  core::IpAddress address;
  Moment since;
};
struct CursorRecord {  // op cursor; only in a rewritten journal
  std::vector<core::IpAddress> last_addresses;
  core::EndpointId last_endpoint = 0;
  Moment written;
};
using IpamRecord = std::variant<ReserveRecord, CommitRecord, ReleaseRecord, QuarantineRecord, CursorRecord>;

[[nodiscard]] std::string encode(const IpamRecord& record);
// Errors: FL4203 what the payload lacks.
[[nodiscard]] Result<IpamRecord> decode(std::string_view payload);

}  // namespace fairlead::control
