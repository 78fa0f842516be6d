#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>

namespace fairlead::cli {

// Writes a pcapng file (draft-ietf-opsawg-pcapng): one section, an Ethernet interface per port, times in
// nanoseconds.
class PcapngWriter {
 public:
  enum class Direction : uint8_t { kUnknown = 0, kInbound = 1, kOutbound = 2 };

  // Writes the section header at once. `out` outlives this; its state says whether writing worked.
  PcapngWriter(std::ostream& out, std::string_view application, uint32_t snap_length);

  struct Frame {
    uint32_t interface = 0;      // any number; the same one is the same interface
    std::string interface_name;  // used when `interface` is seen first
    uint64_t time_ns = 0;        // since 1970
    uint32_t original_length = 0;
    std::string_view bytes;
    Direction direction = Direction::kUnknown;
    std::string comment;  // empty: none
  };
  void write(const Frame& frame);

 private:
  [[nodiscard]] uint32_t interface_index(const Frame& frame);

  std::ostream& out_;
  uint32_t snap_length_;
  std::map<uint32_t, uint32_t> indexes_;
};

}  // namespace fairlead::cli
