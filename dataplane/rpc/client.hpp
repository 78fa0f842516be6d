#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <chrono>
#include <string>

namespace fairlead::ipc {

// Who answers at a socket; gives errors the process and its unit.
enum class Service { kDataplane, kAgent };

[[nodiscard]] std::string service_name(Service service);  // fairlead-dataplane | fairlead-agent
[[nodiscard]] std::string socket_path(const std::string& run_dir,
                                      Service service);  // <run_dir>/dataplane.sock

struct ClientOptions {
  Service service = Service::kDataplane;
  std::string run_dir = "/run/fairlead";
  std::chrono::milliseconds connect_timeout{2'000};
  std::chrono::milliseconds request_timeout{10'000};
};

inline constexpr const char* kUnreachable = "FL5051";  // nobody answers at the socket, or not to us
inline constexpr const char* kTimedOut = "FL5053";     // connected, but no answer in time

// One blocking connection to a server of this schema. Plain POSIX: fit for the CNI plugin.
//
// Threads: one at a time. After an error of transport (FL5051, FL5053, FL5054) the connection is closed;
// connect again.
class Client {
 public:
  // Errors: FL5051 nobody answers at the socket (says which process, and how to see why).
  [[nodiscard]] static Result<Client> connect(const ClientOptions& options);

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Sends `request` and waits for its one answer, which must be of kind `expected`.
  //
  // Errors: what the server answered as rpc::Error, unchanged; FL5053 no answer within `timeout` (zero: the
  // options'); FL5051 the connection ended; FL5054 a frame that is none; FL5055 an answer of another kind.
  [[nodiscard]] Result<rpc::Response> call(const rpc::Request& request, rpc::Response::AnswerCase expected,
                                           std::chrono::milliseconds timeout = {});

  // For streams (capture): send once, then receive until `done` or an error. A zero timeout of receive()
  // waits for ever.
  [[nodiscard]] Result<void> send(const rpc::Request& request);
  [[nodiscard]] Result<rpc::Response> receive(std::chrono::milliseconds timeout);

  // For poll(2) beside other descriptors; -1 once closed.
  [[nodiscard]] int descriptor() const { return socket_; }

 private:
  Client(ClientOptions options, int socket);
  using Deadline = std::chrono::steady_clock::time_point;
  [[nodiscard]] Result<void> write_all(const std::string& bytes, Deadline deadline);
  [[nodiscard]] Result<void> read_exact(void* into, size_t bytes, Deadline deadline);
  [[nodiscard]] Error lost(const std::string& why);
  [[nodiscard]] Error late();
  void close();

  ClientOptions options_;
  int socket_ = -1;
};

// connect() and one call().
[[nodiscard]] Result<rpc::Response> ask(const ClientOptions& options, const rpc::Request& request,
                                        rpc::Response::AnswerCase expected,
                                        std::chrono::milliseconds timeout = {});

}  // namespace fairlead::ipc
