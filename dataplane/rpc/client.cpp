#include "dataplane/rpc/client.hpp"

#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/framing.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace fairlead::ipc {
namespace {

using Clock = std::chrono::steady_clock;

// Waits for `events`; false when the deadline passed first.
bool wait_for(int descriptor, short events, Clock::time_point deadline) {
  for (;;) {
    int timeout_ms = -1;
    if (deadline != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) return false;
      timeout_ms = static_cast<int>(std::min<int64_t>(left, 3'600'000));
    }
    pollfd entry{descriptor, events, 0};
    const int ready = poll(&entry, 1, timeout_ms);
    if (ready > 0) return true;  // also on error and hang-up: the next read or write says which
    if (ready < 0 && errno != EINTR) return true;
  }
}

std::string how_to_look(const ClientOptions& options) {
  const std::string unit = service_name(options.service);
  return "systemctl status " + unit + " (or start it by hand: " + unit + " --run-dir " + options.run_dir +
         "); journalctl -u " + unit + " says why it stopped";
}

std::string milliseconds_text(std::chrono::milliseconds timeout) {
  return std::to_string(timeout.count()) + " ms";
}

Error unreachable(const ClientOptions& options, int error) {
  const std::string name = service_name(options.service);
  const std::string path = socket_path(options.run_dir, options.service);
  if (error == ENOENT) {
    return {kUnreachable, name + " is not running here: there is no socket " + path, how_to_look(options)};
  }
  if (error == ECONNREFUSED) {
    return {kUnreachable, name + " is not running: nobody answers at " + path + " (left by one that ended)",
            how_to_look(options)};
  }
  if (error == EACCES || error == EPERM) {
    return {kUnreachable, "no permission to talk to " + name + " at " + path, "run it as root: sudo ..."};
  }
  return {kUnreachable, "cannot reach " + name + " at " + path + ": " + std::strerror(error),
          how_to_look(options)};
}

}  // namespace

std::string service_name(Service service) {
  return service == Service::kDataplane ? "fairlead-dataplane" : "fairlead-agent";
}

std::string socket_path(const std::string& run_dir, Service service) {
  return run_dir + (service == Service::kDataplane ? "/dataplane.sock" : "/agent.sock");
}

Client::Client(ClientOptions options, int socket) : options_(std::move(options)), socket_(socket) {}

Client::Client(Client&& other) noexcept
    : options_(std::move(other.options_)), socket_(std::exchange(other.socket_, -1)) {}

Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    close();
    options_ = std::move(other.options_);
    socket_ = std::exchange(other.socket_, -1);
  }
  return *this;
}

Client::~Client() {
  close();
}

void Client::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

Result<Client> Client::connect(const ClientOptions& options) {
  const std::string path = socket_path(options.run_dir, options.service);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Error{kUnreachable,
                 "the socket's path is too long (" + std::to_string(path.size()) + " of at most " +
                     std::to_string(sizeof(address.sun_path) - 1) + " bytes): " + path,
                 "choose a shorter --run-dir"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return unreachable(options, errno);
  Client client(options, descriptor);

  // A UNIX socket connects at once or, with a full backlog, says EAGAIN: poll() cannot wait for that one.
  const auto deadline = Clock::now() + options.connect_timeout;
  while (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return unreachable(options, errno);
    if (Clock::now() >= deadline) {
      return Error{kTimedOut,
                   service_name(options.service) + " does not take connections at " + path + " (waited " +
                       milliseconds_text(options.connect_timeout) + ")",
                   how_to_look(options)};
    }
    poll(nullptr, 0, 5);
  }
  return client;
}

Error Client::lost(const std::string& why) {
  close();
  return {kUnreachable,
          service_name(options_.service) + " ended the connection at " +
              socket_path(options_.run_dir, options_.service) + ": " + why,
          how_to_look(options_)};
}

Error Client::late() {
  close();
  return {kTimedOut,
          service_name(options_.service) + " did not answer in time at " +
              socket_path(options_.run_dir, options_.service),
          "give it longer (--timeout), or see what it does: journalctl -u " + service_name(options_.service)};
}

Result<void> Client::write_all(const std::string& bytes, Deadline deadline) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      if (!wait_for(socket_, POLLOUT, deadline)) return late();
    } else if (n < 0 && errno != EINTR) {
      // A server that refuses us answers why before it closes: read that instead.
      if (errno == EPIPE || errno == ECONNRESET) return {};
      return lost(std::strerror(errno));
    }
  }
  return {};
}

Result<void> Client::read_exact(void* into, size_t bytes, Deadline deadline) {
  size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::recv(socket_, static_cast<char*>(into) + got, bytes - got, 0);
    if (n > 0) {
      got += static_cast<size_t>(n);
    } else if (n == 0) {
      return lost(got == 0 ? "it closed before it answered" : "in the middle of an answer");
    } else if (errno == EAGAIN) {
      if (!wait_for(socket_, POLLIN, deadline)) return late();
    } else if (errno != EINTR) {
      return lost(std::strerror(errno));
    }
  }
  return {};
}

Result<void> Client::send(const rpc::Request& request) {
  if (socket_ < 0) return Error{kUnreachable, "the connection is closed", "connect again"};
  const Result<std::string> frame = encode_frame(request);
  if (!frame) return frame.error();
  return write_all(*frame, Clock::now() + options_.request_timeout);
}

Result<rpc::Response> Client::receive(std::chrono::milliseconds timeout) {
  if (socket_ < 0) return Error{kUnreachable, "the connection is closed", "connect again"};
  const Deadline deadline = timeout.count() == 0 ? Deadline::max() : Clock::now() + timeout;
  FrameHeader header;
  if (Result<void> read = read_exact(header.data(), header.size(), deadline); !read) return read.error();
  const Result<uint32_t> length = decode_frame_header(header);
  if (!length) {
    close();
    return length.error();
  }
  std::string body(*length, '\0');
  if (Result<void> read = read_exact(body.data(), body.size(), deadline); !read) return read.error();
  rpc::Response response;
  if (!response.ParseFromString(body)) {
    close();
    return Error{"FL5054",
                 service_name(options_.service) + " answered " + std::to_string(*length) +
                     " bytes that are no message of this schema",
                 "make sure that both ends are of one version: fairlead version"};
  }
  if (response.has_error()) return from_message(response.error());
  return response;
}

Result<rpc::Response> Client::call(const rpc::Request& request, rpc::Response::AnswerCase expected,
                                   std::chrono::milliseconds timeout) {
  if (timeout.count() == 0) timeout = options_.request_timeout;
  if (Result<void> sent = send(request); !sent) return sent.error();
  Result<rpc::Response> response = receive(timeout);
  if (response && response->answer_case() != expected) {
    return Error{"FL5055",
                 service_name(options_.service) + " answered with field " +
                     std::to_string(response->answer_case()) + " of Response where " +
                     std::to_string(expected) + " was expected",
                 "make sure that both ends are of one version: fairlead version"};
  }
  return response;
}

Result<rpc::Response> ask(const ClientOptions& options, const rpc::Request& request,
                          rpc::Response::AnswerCase expected, std::chrono::milliseconds timeout) {
  Result<Client> client = Client::connect(options);
  if (!client) return client.error();
  return client->call(request, expected, timeout);
}

}  // namespace fairlead::ipc
