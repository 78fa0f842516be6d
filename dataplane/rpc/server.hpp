#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace fairlead::ipc {

struct ServerOptions {
  std::string socket;                          // /run/fairlead/dataplane.sock
  std::string process = "fairlead-dataplane";  // for errors
  size_t max_connections = 64;
  std::chrono::milliseconds frame_timeout{10'000};  // from a frame's first byte to its last, either way
  size_t max_queued_bytes = 4u << 20;               // of a stream, per connection, before offer() refuses
  std::vector<uid_t> extra_uids;                    // besides 0 and our own
};

// The way back to the client of one request. Copies refer to the same request; keep one to answer later.
//
// The first answer ends the request, later ones are ignored, as is everything once the client has gone. When
// the last copy goes without an answer, the client gets FL5056 so that it never waits for nothing.
//
// Threads: the io_context's.
class Reply {
 public:
  void answer(const rpc::Response& response) const;
  void done() const;  // Response.done
  void fail(const Error& error) const;

  // One item of a stream. False, and nothing is sent, while the client is slower than the stream
  // (max_queued_bytes).
  [[nodiscard]] bool offer(const rpc::Response& item) const;

  [[nodiscard]] bool open() const;  // the client is still there and not answered
  void on_close(
      std::function<void()> callback) const;  // the client went before the answer; called at most once

  struct Pending;
  explicit Reply(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}

 private:
  std::shared_ptr<Pending> pending_;
};

// Called on the io_context's thread, one request per connection at a time. Exceptions become FL5056.
using Handler = std::function<void(const rpc::Request& request, Reply reply)>;

// Serves the schema on a UNIX stream socket: mode 0600, peers checked by SO_PEERCRED (uid 0, our own,
// extra_uids).
//
// Owns the socket and the lock file beside it (<socket>.lock), which holds the pid of the one process that
// may serve here. Threads: open() and serve() before io.run() or on its thread.
class Server {
 public:
  // Takes the lock: from here on a second instance is refused. Nothing is reachable yet, so open() early in
  // main(). Errors: FL5052 another instance runs (names its pid); FL5057 the directory or the lock cannot be
  // used.
  [[nodiscard]] static Result<Server> open(boost::asio::io_context& io, ServerOptions options);

  // Replaces a stale socket in one step and starts to accept. Errors: FL5052 something answers there; FL5057.
  [[nodiscard]] Result<void> serve(Handler handler);

  // Closes all connections and removes the socket; also done by the destructor.
  void stop();

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  struct State;

 private:
  explicit Server(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace fairlead::ipc
