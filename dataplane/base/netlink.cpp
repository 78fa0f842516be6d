#include "dataplane/base/netlink.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <utility>

namespace fairlead {
namespace {

// The kernel builds dump messages of up to 32 KiB; one message with many attributes may be larger.
constexpr size_t kReceiveBytes = 256 * 1024;
constexpr time_t kAnswerSeconds = 10;

std::string errno_text(int error_number) {
  return std::strerror(error_number);
}

// Attributes of an NLMSG_ERROR start after the echoed request, which NETLINK_CAP_ACK cuts to its header.
std::string extended_ack_text(const nlmsghdr& message) {
  if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message));
  size_t header_length = sizeof(nlmsgerr);
  if ((message.nlmsg_flags & NLM_F_CAPPED) == 0) header_length += error->msg.nlmsg_len - sizeof(nlmsghdr);
  if (mnl_nlmsg_get_payload_len(&message) < header_length) return {};
  const nlattr* table[NLMSGERR_ATTR_MAX + 1] = {};
  collect_attributes(message, header_length, table);
  return attribute_text(table[NLMSGERR_ATTR_MSG]);
}

}  // namespace

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags) {
  append(sizeof(nlmsghdr));
  message()->nlmsg_type = type;
  message()->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

nlmsghdr* NetlinkRequest::message() {
  return reinterpret_cast<nlmsghdr*>(words_.data());
}

void* NetlinkRequest::append(size_t length) {
  const size_t at = used_;
  used_ += NLMSG_ALIGN(length);
  words_.resize((used_ + 7) / 8);
  message()->nlmsg_len = static_cast<uint32_t>(used_);
  return reinterpret_cast<std::byte*>(words_.data()) + at;
}

void NetlinkRequest::put(uint16_t type, std::span<const std::byte> bytes) {
  auto* attribute = static_cast<nlattr*>(append(NLA_HDRLEN + bytes.size()));
  attribute->nla_type = type;
  attribute->nla_len = static_cast<uint16_t>(NLA_HDRLEN + bytes.size());
  if (!bytes.empty())
    std::memcpy(reinterpret_cast<std::byte*>(attribute) + NLA_HDRLEN, bytes.data(), bytes.size());
}

void NetlinkRequest::put_text(uint16_t type, std::string_view text) {
  const std::string with_zero(text);
  put_bytes(type, with_zero.c_str(), with_zero.size() + 1);
}

void NetlinkRequest::put_bytes(uint16_t type, const void* bytes, size_t length) {
  put(type, {static_cast<const std::byte*>(bytes), length});
}

NetlinkRequest::Nest NetlinkRequest::nest(uint16_t type) {
  const size_t offset = used_;
  put(static_cast<uint16_t>(type | NLA_F_NESTED), {});
  return {*this, offset};
}

NetlinkRequest::Nest::~Nest() {
  auto* bytes = reinterpret_cast<std::byte*>(request_.words_.data());
  reinterpret_cast<nlattr*>(bytes + offset_)->nla_len = static_cast<uint16_t>(request_.used_ - offset_);
}

std::string NetlinkAck::text() const {
  if (ok()) return "ok";
  return errno_text(error_number) + (kernel_text.empty() ? "" : " (kernel: " + kernel_text + ")");
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol, int netns_fd) {
  mnl_socket* socket = nullptr;
  int error_number = 0;
  const auto open_here = [&] {
    socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    if (socket == nullptr) error_number = errno;
  };
  if (netns_fd < 0) {
    open_here();
  } else {
    // A socket stays in the namespace it was made in; a thread of its own enters that one, so nothing has to
    // be undone.
    std::thread([&] {
      if (setns(netns_fd, CLONE_NEWNET) != 0) {
        error_number = errno;
        return;
      }
      open_here();
    }).join();
  }
  if (socket == nullptr) {
    return Error{"FL3001", "cannot open a netlink socket: " + errno_text(error_number),
                 error_number == EPERM ? "run as root or with CAP_NET_ADMIN and CAP_SYS_ADMIN" : ""};
  }
  NetlinkSocket result;
  result.socket_ = socket;
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    return Error{"FL3001", "cannot bind a netlink socket: " + errno_text(errno)};
  }
  result.port_id_ = mnl_socket_get_portid(socket);
  // Wishes, not needs: a kernel without them still works, with fewer words in its refusals.
  int on = 1;
  mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof(on));
  mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
  mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  const timeval patience{kAnswerSeconds, 0};
  setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  result.buffer_.resize(kReceiveBytes / sizeof(uint64_t));
  return result;
}

NetlinkSocket::NetlinkSocket(NetlinkSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, nullptr)),
      sequence_(other.sequence_),
      port_id_(other.port_id_),
      buffer_(std::move(other.buffer_)) {}

NetlinkSocket& NetlinkSocket::operator=(NetlinkSocket&& other) noexcept {
  if (this != &other) {
    if (socket_ != nullptr) mnl_socket_close(socket_);
    socket_ = std::exchange(other.socket_, nullptr);
    sequence_ = other.sequence_;
    port_id_ = other.port_id_;
    buffer_ = std::move(other.buffer_);
  }
  return *this;
}

NetlinkSocket::~NetlinkSocket() {
  if (socket_ != nullptr) mnl_socket_close(socket_);
}

int NetlinkSocket::poll_fd() const {
  return socket_ == nullptr ? -1 : mnl_socket_get_fd(socket_);
}

Result<void> NetlinkSocket::send(NetlinkRequest& request, uint16_t extra_flags) {
  if (socket_ == nullptr) return Error{"FL3002", "netlink socket is not open"};
  nlmsghdr* message = request.message();
  message->nlmsg_flags |= extra_flags;
  message->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0) {
    return Error{"FL3002", "cannot send to the kernel by netlink: " + errno_text(errno)};
  }
  return {};
}

// One datagram from the kernel into buffer_; `lost` after ENOBUFS, `empty` when non-blocking and nothing is
// there.
Result<size_t> NetlinkSocket::receive(int flags, bool& lost, bool& empty) {
  for (;;) {
    sockaddr_nl sender{};
    iovec part{buffer_.data(), buffer_.size() * sizeof(uint64_t)};
    msghdr header{};
    header.msg_name = &sender;
    header.msg_namelen = sizeof(sender);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    const ssize_t length = recvmsg(poll_fd(), &header, flags);
    if (length < 0) {
      if (errno == EINTR) continue;
      if (errno == ENOBUFS) {
        lost = true;
        return size_t{0};
      }
      if (errno == EAGAIN && (flags & MSG_DONTWAIT) != 0) {
        empty = true;
        return size_t{0};
      }
      if (errno == EAGAIN) return Error{"FL3002", "the kernel did not answer a netlink request in time"};
      return Error{"FL3002", "cannot receive from the kernel by netlink: " + errno_text(errno)};
    }
    if (sender.nl_pid != 0)
      continue;  // another process may write to our port id; only the kernel is believed
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      return Error{"FL3002", "a netlink message of the kernel did not fit into the receive buffer"};
    }
    return static_cast<size_t>(length);
  }
}

Result<NetlinkAck> NetlinkSocket::transact(NetlinkRequest& request, const NetlinkVisitor& visit) {
  if (auto sent = send(request, NLM_F_ACK); !sent) return sent.error();
  for (;;) {
    bool lost = false;
    bool empty = false;
    auto received = receive(0, lost, empty);
    if (!received) return received.error();
    if (lost) return Error{"FL3002", "the kernel's answer was lost: receive buffer full"};
    int left = static_cast<int>(*received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_ || message->nlmsg_pid != port_id_)
        continue;  // of an abandoned request
      if (message->nlmsg_type == NLMSG_ERROR) {
        if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) {
          return Error{"FL3002", "the kernel sent a truncated acknowledgement"};
        }
        const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
        if (error->error == 0) return NetlinkAck{};
        return NetlinkAck{-error->error, extended_ack_text(*message)};
      }
      if (message->nlmsg_type >= NLMSG_MIN_TYPE && visit) visit(*message);
    }
  }
}

Result<void> NetlinkSocket::request(NetlinkRequest& request, std::string_view doing,
                                    std::initializer_list<int> tolerated) {
  auto ack = transact(request);
  if (!ack) return Error{ack.error().code, "cannot " + std::string(doing) + ": " + ack.error().what};
  if (ack->ok()) return {};
  if (std::find(tolerated.begin(), tolerated.end(), ack->error_number) != tolerated.end()) return {};
  return Error{"FL3003", "cannot " + std::string(doing) + ": " + ack->text(),
               ack->error_number == EPERM ? "run as root or with CAP_NET_ADMIN" : ""};
}

Result<bool> NetlinkSocket::dump(NetlinkRequest& request, const NetlinkVisitor& visit) {
  if (auto sent = send(request, NLM_F_DUMP); !sent) return sent.error();
  bool consistent = true;
  for (;;) {
    bool lost = false;
    bool empty = false;
    auto received = receive(0, lost, empty);
    if (!received) return received.error();
    if (lost) return Error{"FL3002", "part of a netlink dump was lost: receive buffer full"};
    int left = static_cast<int>(*received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence_ || message->nlmsg_pid != port_id_) continue;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) consistent = false;
      if (message->nlmsg_type == NLMSG_DONE) {
        const auto status = mnl_nlmsg_get_payload_len(message) >= sizeof(int)
                                ? *static_cast<const int*>(mnl_nlmsg_get_payload(message))
                                : 0;
        if (status < 0) return Error{"FL3003", "the kernel ended a netlink dump: " + errno_text(-status)};
        return consistent;
      }
      if (message->nlmsg_type == NLMSG_ERROR) {
        const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
        if (error->error == 0) return consistent;
        return Error{"FL3003", "the kernel refused a netlink dump: " +
                                   NetlinkAck{-error->error, extended_ack_text(*message)}.text()};
      }
      if (message->nlmsg_type >= NLMSG_MIN_TYPE) visit(*message);
    }
  }
}

Result<void> NetlinkSocket::subscribe(uint32_t group) {
  int value = static_cast<int>(group);
  if (mnl_socket_setsockopt(socket_, NETLINK_ADD_MEMBERSHIP, &value, sizeof(value)) < 0) {
    return Error{"FL3001",
                 "cannot subscribe to netlink group " + std::to_string(group) + ": " + errno_text(errno)};
  }
  return {};
}

void NetlinkSocket::set_receive_buffer(int bytes) {
  if (setsockopt(poll_fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(poll_fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
}

Result<NetlinkEvents> NetlinkSocket::read_events(const NetlinkVisitor& visit) {
  NetlinkEvents outcome = NetlinkEvents::kDrained;
  for (;;) {
    bool lost = false;
    bool empty = false;
    auto received = receive(MSG_DONTWAIT, lost, empty);
    if (!received) return received.error();
    if (lost) outcome = NetlinkEvents::kLost;
    if (empty) return outcome;
    int left = static_cast<int>(*received);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_type >= NLMSG_MIN_TYPE) visit(*message);
    }
  }
}

std::string attribute_text(const nlattr* attribute) {
  if (attribute == nullptr) return {};
  const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
  return {text, strnlen(text, mnl_attr_get_payload_len(attribute))};
}

namespace {

void collect(const nlattr* first, size_t length, std::span<const nlattr*> table) {
  std::fill(table.begin(), table.end(), nullptr);
  int left = static_cast<int>(length);
  for (const nlattr* attribute = first; mnl_attr_ok(attribute, left); attribute = mnl_attr_next(attribute)) {
    const auto type = mnl_attr_get_type(attribute);
    if (type < table.size()) table[type] = attribute;
    left -= static_cast<int>(MNL_ALIGN(attribute->nla_len));
  }
}

}  // namespace

void collect_attributes(const nlmsghdr& message, size_t header_length, std::span<const nlattr*> table) {
  const size_t payload = mnl_nlmsg_get_payload_len(&message);
  const size_t skip = MNL_ALIGN(header_length);
  if (payload < skip) {
    std::fill(table.begin(), table.end(), nullptr);
    return;
  }
  const auto* start = static_cast<const std::byte*>(mnl_nlmsg_get_payload(&message)) + skip;
  collect(reinterpret_cast<const nlattr*>(start), payload - skip, table);
}

void collect_nested(const nlattr* nest, std::span<const nlattr*> table) {
  if (nest == nullptr) {
    std::fill(table.begin(), table.end(), nullptr);
    return;
  }
  collect(static_cast<const nlattr*>(mnl_attr_get_payload(nest)), mnl_attr_get_payload_len(nest), table);
}

}  // namespace fairlead
