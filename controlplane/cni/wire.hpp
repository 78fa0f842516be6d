#pragma once

#include "controlplane/ipam/attachment.hpp"
#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::control::wire {

// The few messages of fairlead.proto that the plugin exchanges with the agent, written and read by hand: the
// protobuf library costs a static binary more start-up time than the whole call. Field numbers are those of
// fairlead.proto; tests/cni holds both to each other with the real library.

// rpc::Request, serialized.
[[nodiscard]] std::string add_request(const AttachmentKey& key, std::string_view netns,
                                      std::string_view pod_namespace, std::string_view pod_name,
                                      std::string_view pod_uid, std::string_view cni_version);
[[nodiscard]] std::string del_request(const AttachmentKey& key);
[[nodiscard]] std::string check_request(const AttachmentKey& key, std::string_view netns,
                                        const std::vector<std::string>& addresses);
[[nodiscard]] std::string gc_request(const std::vector<AttachmentKey>& valid);
[[nodiscard]] std::string status_request();

struct AddReply {
  std::string host_interface, host_mac, mac;
  uint32_t mtu = 0;
  std::vector<std::string> addresses, gateways;
};
struct StatusReply {
  bool is_dataplane_connected = false;
  std::string last_error;
  size_t pod_cidrs = 0;
};

// rpc::Response, as far as it answers the requests above.
struct Response {
  enum class Kind { kNone, kError, kDone, kAdd, kStatus } kind = Kind::kNone;
  Error error;
  AddReply add;
  StatusReply status;
};

// Unknown fields are skipped. Errors: FL5054 bytes that are no message.
[[nodiscard]] Result<Response> parse_response(std::string_view bytes);

}  // namespace fairlead::control::wire
