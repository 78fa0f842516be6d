#pragma once

#include "dataplane/rpc/framing.hpp"
#include "dataplane/rpc/server.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::ipc {

// What a server and its connections share: a completion may still be under way when the server has gone.
struct Serving {
  ServerOptions options;
  Handler handler;
};

// One client of a Server: reads a frame, lets the handler answer when it likes, writes, reads the next.
//
// The next request is read only when the answer to the last one has been taken by the kernel, so a client
// that does not read holds at most max_queued_bytes and one answer here. While a handler thinks, the socket
// is watched for the client's going.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  using Closed = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(Socket socket, std::shared_ptr<const Serving> serving, Closed closed);

  void start() { wait_readable(); }
  void close();

  void answer(const rpc::Response& response);  // the last word on the current request
  [[nodiscard]] bool offer(const rpc::Response& item);

 private:
  void wait_readable();
  void on_readable();
  void read_header();
  void read_body(size_t length);
  void dispatch();
  void refuse(const Error& error);  // answers and closes: the stream cannot be trusted any more
  void enqueue(std::string frame);
  void write_next();
  void arm(boost::asio::steady_timer& timer);
  [[nodiscard]] bool client_has_gone();

  Socket socket_;
  std::shared_ptr<const Serving> serving_;
  Closed closed_;
  boost::asio::steady_timer read_timer_;
  boost::asio::steady_timer write_timer_;
  FrameHeader header_{};
  std::string body_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  std::weak_ptr<Reply::Pending> pending_;
  bool thinking_ = false;  // a request is with the handler
  bool waiting_ = false;   // an async_wait for reading is under way
  bool writing_ = false;
  bool close_when_written_ = false;
};

// What copies of a Reply share.
struct Reply::Pending {
  std::weak_ptr<Connection> connection;
  std::function<void()> on_close;
  bool answered = false;
  ~Pending();
};

}  // namespace fairlead::ipc
