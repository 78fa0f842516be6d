#include "dataplane/rpc/server.hpp"

#include "dataplane/rpc/connection.hpp"
#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/lock_file.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace fairlead::ipc {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

// Does somebody take connections at `path`? A socket file that nobody listens on is stale.
bool answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof(address.sun_path) - 1));
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool connected =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN;
  close(probe);
  return connected;
}

// Says why and closes. One send into an empty socket buffer: it fits or the client has gone.
void turn_away(Protocol::socket& socket, const Error& error) {
  rpc::Response response;
  *response.mutable_error() = to_message(error);
  if (const Result<std::string> frame = encode_frame(response); frame.ok()) {
    (void)!::send(socket.native_handle(), frame->data(), frame->size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  error_code ignored;
  socket.close(ignored);
}

}  // namespace

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(asio::io_context& io, ServerOptions server_options, LockFile held)
      : serving(std::make_shared<Serving>(Serving{std::move(server_options), {}})),
        lock(std::move(held)),
        acceptor(io),
        retry(io) {}

  void accept();
  void greet(Protocol::socket socket);
  void stop();

  std::shared_ptr<Serving> serving;
  LockFile lock;
  Protocol::acceptor acceptor;
  asio::steady_timer retry;
  std::set<std::shared_ptr<Connection>> connections;
  bool bound = false;
};

Result<Server> Server::open(asio::io_context& io, ServerOptions options) {
  if (options.socket.size() + 4 >= sizeof(sockaddr_un::sun_path)) {
    return Error{"FL5057", "the socket's path is too long: " + options.socket, "choose a shorter --run-dir"};
  }
  Result<LockFile> lock = LockFile::take(options.socket + ".lock", options.process);
  if (!lock) return lock.error();
  return Server(std::make_shared<State>(io, std::move(options), std::move(*lock)));
}

Result<void> Server::serve(Handler handler) {
  const std::string& path = state_->serving->options.socket;
  const auto failed = [&path](const char* doing) {
    return Error{"FL5057",
                 std::string("cannot ") + doing + " the socket " + path + ": " + std::strerror(errno),
                 "check that its directory exists and is root's, or choose another --run-dir"};
  };
  // We hold the lock, so this is one that removed or never took it.
  if (answers(path)) {
    return Error{"FL5052", "another process answers at " + path, "stop it first, or use another --run-dir"};
  }
  // Bound under another name and renamed: nobody ever sees a socket without mode 0600 or without a listener.
  const std::string fresh = path + ".new";
  unlink(fresh.c_str());
  error_code error;
  Protocol::acceptor& acceptor = state_->acceptor;
  acceptor.open(Protocol(), error);
  if (!error) acceptor.bind(Protocol::endpoint(fresh), error);
  if (error) {
    errno = error.value();
    return failed("bind");
  }
  if (chmod(fresh.c_str(), 0600) != 0) return failed("set the mode of");
  acceptor.listen(static_cast<int>(state_->serving->options.max_connections), error);
  if (error) {
    errno = error.value();
    return failed("listen at");
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) return failed("put in place");
  state_->bound = true;
  state_->serving->handler = std::move(handler);
  state_->accept();
  return {};
}

void Server::State::accept() {
  acceptor.async_accept([weak = weak_from_this()](const error_code& error, Protocol::socket socket) {
    const std::shared_ptr<State> self = weak.lock();
    if (!self || !self->acceptor.is_open()) return;
    if (!error) {
      self->greet(std::move(socket));
      return self->accept();
    }
    // Out of descriptors, most likely: breathe, do not spin.
    self->retry.expires_after(std::chrono::milliseconds(100));
    self->retry.async_wait([weak](const error_code& cancelled) {
      if (const std::shared_ptr<State> still = weak.lock(); still && !cancelled) still->accept();
    });
  });
}

void Server::State::greet(Protocol::socket socket) {
  const ServerOptions& options = serving->options;
  ucred peer{};
  socklen_t length = sizeof(peer);
  const bool known = getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
  const bool welcome = known && (peer.uid == 0 || peer.uid == geteuid() ||
                                 std::find(options.extra_uids.begin(), options.extra_uids.end(), peer.uid) !=
                                     options.extra_uids.end());
  if (!welcome) {
    return turn_away(
        socket, {"FL5058", options.process + " takes no requests from user id " + std::to_string(peer.uid),
                 "run it as root: sudo ..."});
  }
  if (connections.size() >= options.max_connections) {
    return turn_away(socket, {"FL5059",
                              options.process + " serves " + std::to_string(connections.size()) +
                                  " connections already, its limit",
                              "close some (captures, follows, waits) and try again"});
  }
  const auto connection = std::make_shared<Connection>(
      std::move(socket), serving, [weak = weak_from_this()](const std::shared_ptr<Connection>& gone) {
        if (const std::shared_ptr<State> self = weak.lock()) self->connections.erase(gone);
      });
  connections.insert(connection);
  connection->start();
}

void Server::State::stop() {
  error_code ignored;
  acceptor.close(ignored);
  retry.cancel();
  const auto open_connections = std::exchange(connections, {});
  for (const std::shared_ptr<Connection>& connection : open_connections) connection->close();
  if (std::exchange(bound, false)) unlink(serving->options.socket.c_str());
}

void Server::stop() {
  if (state_) state_->stop();
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&& other) noexcept {
  if (this != &other) {
    stop();
    state_ = std::move(other.state_);
  }
  return *this;
}
Server::~Server() {
  stop();
}

}  // namespace fairlead::ipc
