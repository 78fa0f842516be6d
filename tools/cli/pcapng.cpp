#include "tools/cli/pcapng.hpp"

#include <algorithm>
#include <ostream>

namespace fairlead::cli {
namespace {

// Block types and options, draft-ietf-opsawg-pcapng sections 4 and 3.5.
enum Block : uint32_t { kSectionHeader = 0x0a0d0d0a, kInterfaceDescription = 1, kEnhancedPacket = 6 };
enum Option : uint16_t {
  kEnd = 0,
  kComment = 1,
  kInterfaceName = 2,   // of an interface description
  kTimeResolution = 9,  // of an interface description
  kPacketFlags = 2,     // of an enhanced packet
  kApplication = 4,     // of a section header
};
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint16_t kEthernet = 1;
constexpr char kNanoseconds = 9;
constexpr size_t kMaxOption = 0xffff;

// A section's byte order is its writer's choice; ours is little endian on every machine.
void put16(std::string& bytes, uint16_t value) {
  bytes += static_cast<char>(value & 0xff);
  bytes += static_cast<char>(value >> 8);
}

void put32(std::string& bytes, uint32_t value) {
  put16(bytes, static_cast<uint16_t>(value));
  put16(bytes, static_cast<uint16_t>(value >> 16));
}

void pad(std::string& bytes) {
  bytes.resize((bytes.size() + 3) & ~size_t{3}, '\0');
}

void put_option(std::string& body, Option code, std::string_view value) {
  value = value.substr(0, kMaxOption);
  put16(body, code);
  put16(body, static_cast<uint16_t>(value.size()));
  body += value;
  pad(body);
}

void put_block(std::ostream& out, Block type, const std::string& body) {
  std::string block;
  const auto length = static_cast<uint32_t>(body.size() + 12);
  put32(block, type);
  put32(block, length);
  block += body;
  put32(block, length);
  out.write(block.data(), static_cast<std::streamsize>(block.size()));
}

}  // namespace

PcapngWriter::PcapngWriter(std::ostream& out, std::string_view application, uint32_t snap_length)
    : out_(out), snap_length_(snap_length) {
  std::string body;
  put32(body, kByteOrderMagic);
  put16(body, 1);  // version 1.0
  put16(body, 0);
  put32(body, 0xffffffff);  // section length: not given
  put32(body, 0xffffffff);
  put_option(body, kApplication, application);
  put_option(body, kEnd, {});
  put_block(out_, kSectionHeader, body);
}

uint32_t PcapngWriter::interface_index(const Frame& frame) {
  const auto [row, is_new] = indexes_.emplace(frame.interface, static_cast<uint32_t>(indexes_.size()));
  if (is_new) {
    std::string body;
    put16(body, kEthernet);
    put16(body, 0);
    put32(body, snap_length_);
    put_option(body, kInterfaceName, frame.interface_name);
    put_option(body, kTimeResolution, std::string_view(&kNanoseconds, 1));
    put_option(body, kEnd, {});
    put_block(out_, kInterfaceDescription, body);
  }
  return row->second;
}

void PcapngWriter::write(const Frame& frame) {
  const uint32_t index = interface_index(frame);
  std::string body;
  put32(body, index);
  put32(body, static_cast<uint32_t>(frame.time_ns >> 32));
  put32(body, static_cast<uint32_t>(frame.time_ns));
  put32(body, static_cast<uint32_t>(frame.bytes.size()));
  put32(body, std::max(frame.original_length, static_cast<uint32_t>(frame.bytes.size())));
  body += frame.bytes;
  pad(body);
  if (frame.direction != Direction::kUnknown || !frame.comment.empty()) {
    if (!frame.comment.empty()) put_option(body, kComment, frame.comment);
    if (frame.direction != Direction::kUnknown) {
      const char flags[4] = {static_cast<char>(frame.direction), 0, 0, 0};
      put_option(body, kPacketFlags, std::string_view(flags, sizeof(flags)));
    }
    put_option(body, kEnd, {});
  }
  put_block(out_, kEnhancedPacket, body);
}

}  // namespace fairlead::cli
