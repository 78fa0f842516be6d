#include "controlplane/cni/agent_call.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fairlead::control {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kMaxMessageBytes = 16u << 20;  // as dataplane/rpc/framing.hpp

Error nobody(const std::string& socket, const std::string& why) {
  return {"FL5051", "fairlead-agent does not answer at " + socket + ": " + why,
          "start it (systemctl start fairlead-agent), see journalctl -u fairlead-agent"};
}

class Connection {
 public:
  Connection(std::string socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout), deadline_(Clock::now() + timeout) {}
  ~Connection() {
    if (fd_ >= 0) ::close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Result<void> open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.size() >= sizeof address.sun_path) return nobody(socket_, "the path is too long");
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return nobody(socket_, std::strerror(errno));
    while (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      // The agent's backlog is full: it is there, only busy.
      if (errno != EAGAIN && errno != EINTR) return nobody(socket_, std::strerror(errno));
      if (Clock::now() >= deadline_) return late();
      ::poll(nullptr, 0, 10);
    }
    return {};
  }

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (Result<void> ready = wait_for(POLLOUT); !ready) return ready;
      const ssize_t done = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (done < 0) return nobody(socket_, std::strerror(errno));
      bytes.remove_prefix(static_cast<size_t>(done));
    }
    return {};
  }

  Result<std::string> receive(size_t length) {
    std::string bytes(length, '\0');
    size_t used = 0;
    while (used < length) {
      if (Result<void> ready = wait_for(POLLIN); !ready) return ready.error();
      const ssize_t got = ::recv(fd_, bytes.data() + used, length - used, 0);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got < 0) return nobody(socket_, std::strerror(errno));
      if (got == 0) return nobody(socket_, "it closed the connection before it answered");
      used += static_cast<size_t>(got);
    }
    return bytes;
  }

 private:
  Error late() const {
    return {"FL5053",
            "fairlead-agent did not answer within " + std::to_string(timeout_.count()) + " ms at " + socket_,
            "see journalctl -u fairlead-agent; fairlead status"};
  }

  Result<void> wait_for(short events) {
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      if (left <= 0) return late();
      pollfd poll_fd{fd_, events, 0};
      const int ready = ::poll(&poll_fd, 1, static_cast<int>(left));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return nobody(socket_, std::strerror(errno));
    }
  }

  std::string socket_;
  std::chrono::milliseconds timeout_;
  Clock::time_point deadline_;
  int fd_ = -1;
};

}  // namespace

Result<wire::Response> call_agent(const std::string& socket, const std::string& request,
                                  std::chrono::milliseconds timeout) {
  Connection connection(socket, timeout);
  if (Result<void> opened = connection.open(); !opened) return opened.error();
  const auto length = static_cast<uint32_t>(request.size());
  std::string frame;
  for (const unsigned shift : {24u, 16u, 8u, 0u}) frame.push_back(static_cast<char>(length >> shift & 0xff));
  frame += request;
  if (Result<void> sent = connection.send(frame); !sent) return sent.error();
  const Result<std::string> header = connection.receive(4);
  if (!header) return header.error();
  uint32_t announced = 0;
  for (const char byte : *header) announced = announced << 8 | static_cast<uint8_t>(byte);
  if (announced > kMaxMessageBytes)
    return Error{"FL5054", "the agent announced an answer of " + std::to_string(announced) + " bytes",
                 "use plugin and agent of the same version"};
  const Result<std::string> bytes = connection.receive(announced);
  if (!bytes) return bytes.error();
  return wire::parse_response(*bytes);
}

}  // namespace fairlead::control
