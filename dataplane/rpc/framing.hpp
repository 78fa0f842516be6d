#pragma once

#include "dataplane/base/result.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace google::protobuf {
class MessageLite;
}

namespace fairlead::ipc {

// A frame on the socket: 4 bytes length (big endian), then that many bytes of one protobuf message.
inline constexpr uint32_t kMaxMessageBytes = 16u << 20;
inline constexpr uint32_t kFrameHeaderBytes = 4;

using FrameHeader = std::array<uint8_t, kFrameHeaderBytes>;

// The whole frame of `message`. Errors: FL5054 when it is larger than kMaxMessageBytes.
[[nodiscard]] Result<std::string> encode_frame(const google::protobuf::MessageLite& message);

// The length a frame header announces. Errors: FL5054 when it is larger than kMaxMessageBytes.
[[nodiscard]] Result<uint32_t> decode_frame_header(const FrameHeader& header);

}  // namespace fairlead::ipc
