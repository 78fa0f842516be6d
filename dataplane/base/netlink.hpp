#pragma once

#include "dataplane/base/result.hpp"

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <linux/netlink.h>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead {

// One netlink message under construction: header, the family's fixed structure, attributes.
//
// Grows as needed. Order of use: constructor, header() once, then put*() and nests.
//
//   NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
//   request.header<ifinfomsg>().ifi_index = 7;
//   request.put_text(IFLA_IFNAME, "eth0");
//   {
//     auto info = request.nest(IFLA_LINKINFO);
//     request.put_text(IFLA_INFO_KIND, "veth");
//   }
class NetlinkRequest {
 public:
  // Ends its nested attribute when it goes out of scope.
  class Nest {
   public:
    Nest(NetlinkRequest& request, size_t offset) : request_(request), offset_(offset) {}
    ~Nest();
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    NetlinkRequest& request_;
    size_t offset_;
  };

  NetlinkRequest(uint16_t type, uint16_t flags);

  // Appends the zeroed family header. The reference is good until the next put.
  template <typename T>
  T& header() {
    return *static_cast<T*>(append(sizeof(T)));
  }
  // Also for structures inside an attribute, e.g. the ifinfomsg of VETH_INFO_PEER.
  void put(uint16_t type, std::span<const std::byte> bytes);
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void put_value(uint16_t type, const T& value) {
    put(type, std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  void put_u8(uint16_t type, uint8_t value) { put_value(type, value); }
  void put_u16(uint16_t type, uint16_t value) { put_value(type, value); }
  void put_u32(uint16_t type, uint32_t value) { put_value(type, value); }
  void put_text(uint16_t type, std::string_view text);  // with the terminating zero
  void put_bytes(uint16_t type, const void* bytes, size_t length);
  void put_flag(uint16_t type) { put(type, {}); }
  [[nodiscard]] Nest nest(uint16_t type);

  [[nodiscard]] nlmsghdr* message();

 private:
  friend class Nest;
  void* append(size_t length);

  std::vector<uint64_t> words_;  // 8-byte aligned storage
  size_t used_ = 0;
};

// The kernel's answer to a request: 0, or an errno and its own words (extended ACK) where it gives any.
struct NetlinkAck {
  int error_number = 0;
  std::string kernel_text = {};

  [[nodiscard]] bool ok() const { return error_number == 0; }
  [[nodiscard]] std::string text() const;  // "Invalid argument (kernel: Unknown device type)"
};

using NetlinkVisitor = std::function<void(const nlmsghdr& message)>;

enum class NetlinkEvents : uint8_t {
  kDrained,  // every queued event was visited
  kLost,     // the kernel dropped events (ENOBUFS): what is known may be old, dump again
};

// A netlink socket: requests with acknowledgement, dumps, multicast subscriptions.
//
// Movable, one thread at a time. A socket that subscribes is only for events: requests go over another one,
// so that answers and events never mix. Errors carry FL3001 (open), FL3002 (talking), FL3003 (the kernel
// refused).
class NetlinkSocket {
 public:
  // Opens `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER, ...) in the current network namespace, or in that of
  // `netns_fd`; the calling thread's namespace is never changed.
  static Result<NetlinkSocket> open(int protocol = NETLINK_ROUTE, int netns_fd = -1);

  NetlinkSocket() = default;
  NetlinkSocket(NetlinkSocket&& other) noexcept;
  NetlinkSocket& operator=(NetlinkSocket&& other) noexcept;
  ~NetlinkSocket();

  // Sends with NLM_F_ACK, visits what the kernel answers before the ACK (NLM_F_ECHO, single gets), returns
  // the ACK. An Error only when the talking itself fails; a refusal is the ack's error_number.
  Result<NetlinkAck> transact(NetlinkRequest& request, const NetlinkVisitor& visit = {});

  // transact(), with refusal as an Error: "cannot <doing>: Operation not permitted". `tolerated` errnos count
  // as success.
  Result<void> request(NetlinkRequest& request, std::string_view doing,
                       std::initializer_list<int> tolerated = {});

  // Visits every object of a dump. false: objects changed meanwhile and the picture may be inconsistent -
  // start again.
  Result<bool> dump(NetlinkRequest& request, const NetlinkVisitor& visit);

  // Joins a multicast group (RTNLGRP_LINK, ...). From then on use poll_fd() and read_events().
  Result<void> subscribe(uint32_t group);

  // Asks for a larger receive buffer (bytes), beyond rmem_max where privileges allow; more room before events
  // are lost.
  void set_receive_buffer(int bytes);

  // Visits all queued events without blocking.
  Result<NetlinkEvents> read_events(const NetlinkVisitor& visit);

  [[nodiscard]] int poll_fd() const;
  [[nodiscard]] explicit operator bool() const { return socket_ != nullptr; }

 private:
  Result<void> send(NetlinkRequest& request, uint16_t extra_flags);
  Result<size_t> receive(int flags, bool& lost, bool& empty);

  mnl_socket* socket_ = nullptr;
  uint32_t sequence_ = 0;
  uint32_t port_id_ = 0;
  std::vector<uint64_t> buffer_;
};

// The payload of an attribute as T, or `fallback` when it is absent or shorter.
template <typename T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] T attribute_value(const nlattr* attribute, T fallback = {}) {
  if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < sizeof(T)) return fallback;
  T value;
  __builtin_memcpy(&value, mnl_attr_get_payload(attribute), sizeof(T));
  return value;
}

// A text attribute without its terminating zero; empty when absent.
[[nodiscard]] std::string attribute_text(const nlattr* attribute);

// Collects the attributes after a fixed header of `header_length` bytes: table[type] = attribute, last one
// wins. Attributes with a type beyond the table are skipped.
void collect_attributes(const nlmsghdr& message, size_t header_length, std::span<const nlattr*> table);
void collect_nested(const nlattr* nest, std::span<const nlattr*> table);

}  // namespace fairlead
