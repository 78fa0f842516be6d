#include "dataplane/rpc/framing.hpp"

#include <google/protobuf/message_lite.h>

namespace fairlead::ipc {
namespace {

Error too_long(uint64_t bytes) {
  return {"FL5054",
          "a message of " + std::to_string(bytes) + " bytes; at most " + std::to_string(kMaxMessageBytes) +
              " are allowed",
          "make sure that both ends are of one version: fairlead version"};
}

}  // namespace

Result<std::string> encode_frame(const google::protobuf::MessageLite& message) {
  const size_t length = message.ByteSizeLong();
  if (length > kMaxMessageBytes) return too_long(length);
  std::string frame;
  frame.reserve(kFrameHeaderBytes + length);
  for (int shift = 24; shift >= 0; shift -= 8) frame.push_back(static_cast<char>((length >> shift) & 0xff));
  if (!message.AppendToString(&frame)) return Error{"FL5054", "a message that cannot be encoded", ""};
  return frame;
}

Result<uint32_t> decode_frame_header(const FrameHeader& header) {
  uint32_t length = 0;
  for (const uint8_t byte : header) length = length << 8 | byte;
  if (length > kMaxMessageBytes) return too_long(length);
  return length;
}

}  // namespace fairlead::ipc
