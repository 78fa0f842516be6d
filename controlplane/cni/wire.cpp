#include "controlplane/cni/wire.hpp"

#include <functional>

namespace fairlead::control::wire {

namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_varint(out, field << 3 | kLength);
  put_varint(out, bytes.size());
  out.append(bytes);
}

// proto3 leaves empty text out; in a list it stays.
void put_text(std::string& out, uint32_t field, std::string_view text) {
  if (!text.empty()) put_bytes(out, field, text);
}

std::string message(uint32_t field, std::string_view content) {
  std::string out;
  put_bytes(out, field, content);
  return out;
}

struct Field {
  uint32_t number = 0;
  uint64_t varint = 0;
  std::string_view bytes;
};

// Walks the fields of one message. False: these bytes are no message.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  // Visits until the end; `visit` answers false to refuse a nested message.
  [[nodiscard]] bool each(const std::function<bool(const Field&)>& visit) {
    while (!rest_.empty()) {
      Field field;
      uint64_t tag = 0;
      if (!take_varint(tag) || tag >> 32 != 0 || tag >> 3 == 0) return false;
      field.number = static_cast<uint32_t>(tag >> 3);
      if (!take_value(static_cast<uint32_t>(tag & 7), field) || !visit(field)) return false;
    }
    return true;
  }

 private:
  bool take_varint(uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
  bool take(size_t length, std::string_view& bytes) {
    if (length > rest_.size()) return false;
    bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }
  bool take_value(uint32_t type, Field& field) {
    uint64_t length = 0;
    switch (type) {
      case kVarint:
        return take_varint(field.varint);
      case kFixed64:
        return take(8, field.bytes);
      case kFixed32:
        return take(4, field.bytes);
      case kLength:
        return take_varint(length) && length <= rest_.size() &&
               take(static_cast<size_t>(length), field.bytes);
      default:
        return false;
    }
  }

  std::string_view rest_;
};

bool read_error(std::string_view bytes, Error& error) {
  return Reader(bytes).each([&](const Field& field) {
    if (field.number == 1) error.code = field.bytes;
    if (field.number == 2) error.what = field.bytes;
    if (field.number == 3) error.fix = field.bytes;
    return true;
  });
}

bool read_add(std::string_view bytes, AddReply& add) {
  return Reader(bytes).each([&](const Field& field) {
    if (field.number == 1) add.host_interface = field.bytes;
    if (field.number == 2) add.host_mac = field.bytes;
    if (field.number == 3) add.mac = field.bytes;
    if (field.number == 4) add.mtu = static_cast<uint32_t>(field.varint);
    if (field.number == 5) add.addresses.emplace_back(field.bytes);
    if (field.number == 6) add.gateways.emplace_back(field.bytes);
    return true;
  });
}

bool read_status(std::string_view bytes, StatusReply& status) {
  return Reader(bytes).each([&](const Field& field) {
    if (field.number == 6) status.is_dataplane_connected = field.varint != 0;
    if (field.number == 7) status.last_error = field.bytes;
    if (field.number == 11) ++status.pod_cidrs;
    return true;
  });
}

}  // namespace

std::string add_request(const AttachmentKey& key, std::string_view netns, std::string_view pod_namespace,
                        std::string_view pod_name, std::string_view pod_uid, std::string_view cni_version) {
  std::string add;
  put_text(add, 1, key.container_id);
  put_text(add, 2, netns);
  put_text(add, 3, key.interface);
  put_text(add, 4, pod_namespace);
  put_text(add, 5, pod_name);
  put_text(add, 6, pod_uid);
  put_text(add, 7, cni_version);
  return message(20, add);
}

std::string del_request(const AttachmentKey& key) {
  std::string del;
  put_text(del, 1, key.container_id);
  put_text(del, 2, key.interface);
  return message(21, del);
}

std::string check_request(const AttachmentKey& key, std::string_view netns,
                          const std::vector<std::string>& addresses) {
  std::string check;
  put_text(check, 1, key.container_id);
  put_text(check, 2, netns);
  put_text(check, 3, key.interface);
  for (const std::string& address : addresses) put_bytes(check, 4, address);
  return message(22, check);
}

std::string gc_request(const std::vector<AttachmentKey>& valid) {
  std::string gc;
  for (const AttachmentKey& key : valid) {
    std::string attachment;
    put_text(attachment, 1, key.container_id);
    put_text(attachment, 2, key.interface);
    put_bytes(gc, 1, attachment);
  }
  return message(26, gc);
}

std::string status_request() {
  return message(25, {});
}

Result<Response> parse_response(std::string_view bytes) {
  Response response;
  const bool is_message = Reader(bytes).each([&](const Field& field) {
    using Kind = Response::Kind;
    switch (field.number) {
      case 1:
        response.kind = Kind::kError;
        return read_error(field.bytes, response.error);
      case 2:
        response.kind = Kind::kDone;
        return true;
      case 20:
        response.kind = Kind::kAdd;
        return read_add(field.bytes, response.add);
      case 23:
        response.kind = Kind::kStatus;
        return read_status(field.bytes, response.status);
      default:
        return true;
    }
  });
  if (!is_message)
    return Error{"FL5054", "the agent's answer is no message of ours",
                 "use plugin and agent of the same version"};
  return response;
}

}  // namespace fairlead::control::wire
