#include "dataplane/rpc/connection.hpp"

#include "dataplane/rpc/convert.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <sys/socket.h>

namespace fairlead::ipc {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A frame's body is read in pieces of this size, so that a header alone does not make us reserve 16 MiB.
constexpr size_t kReadPiece = 256u << 10;

rpc::Response error_response(const Error& error) {
  rpc::Response response;
  *response.mutable_error() = to_message(error);
  return response;
}

}  // namespace

Connection::Connection(Socket socket, std::shared_ptr<const Serving> serving, Closed closed)
    : socket_(std::move(socket)),
      serving_(std::move(serving)),
      closed_(std::move(closed)),
      read_timer_(socket_.get_executor()),
      write_timer_(socket_.get_executor()) {}

void Connection::close() {
  if (!socket_.is_open()) return;
  const std::shared_ptr<Connection> self = shared_from_this();
  error_code ignored;
  socket_.close(ignored);
  read_timer_.cancel();
  write_timer_.cancel();
  if (const std::shared_ptr<Reply::Pending> pending = pending_.lock()) {
    pending->answered = true;
    if (const auto callback = std::exchange(pending->on_close, nullptr)) callback();
  }
  closed_(self);
}

void Connection::arm(asio::steady_timer& timer) {
  timer.expires_after(serving_->options.frame_timeout);
  timer.async_wait([self = shared_from_this()](const error_code& error) {
    if (!error) self->close();
  });
}

void Connection::wait_readable() {
  if (waiting_ || !socket_.is_open()) return;
  waiting_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->waiting_ = false;
    if (error) return self->close();
    self->on_readable();
  });
}

void Connection::on_readable() {
  if (client_has_gone()) return close();
  // Bytes of a next request: they wait in the kernel until this one is answered and written.
  if (thinking_ || writing_) return;
  read_header();
}

bool Connection::client_has_gone() {
  char byte;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void Connection::read_header() {
  arm(read_timer_);
  asio::async_read(socket_, asio::buffer(header_),
                   [self = shared_from_this()](const error_code& error, size_t) {
                     if (error) return self->close();
                     const Result<uint32_t> length = decode_frame_header(self->header_);
                     if (!length) return self->refuse(length.error());
                     self->body_.clear();
                     self->read_body(*length);
                   });
}

void Connection::read_body(size_t length) {
  const size_t got = body_.size();
  if (got == length) return dispatch();
  body_.resize(got + std::min(length - got, kReadPiece));
  asio::async_read(socket_, asio::buffer(body_.data() + got, body_.size() - got),
                   [self = shared_from_this(), length](const error_code& error, size_t) {
                     if (error) return self->close();
                     self->read_body(length);
                   });
}

void Connection::dispatch() {
  if (!socket_.is_open()) return;  // closed while this completion was queued
  read_timer_.cancel();
  rpc::Request request;
  if (!request.ParseFromString(body_)) {
    return refuse({"FL5054", std::to_string(body_.size()) + " bytes that are no Request of this schema",
                   "make sure that both ends are of one version: fairlead version"});
  }
  body_ = {};
  auto pending = std::make_shared<Reply::Pending>();
  pending->connection = weak_from_this();
  pending_ = pending;
  thinking_ = true;
  wait_readable();
  const Reply reply(std::move(pending));
  try {
    serving_->handler(request, reply);
  } catch (const std::exception& exception) {
    reply.fail({"FL5056", "the request failed inside " + serving_->options.process + ": " + exception.what(),
                "please report it with the log: journalctl -u " + serving_->options.process});
  }
}

void Connection::refuse(const Error& error) {
  close_when_written_ = true;
  thinking_ = false;
  const Result<std::string> frame = encode_frame(error_response(error));
  if (!frame) return close();
  enqueue(*frame);
}

void Connection::answer(const rpc::Response& response) {
  if (!socket_.is_open() || !thinking_) return;
  thinking_ = false;
  pending_.reset();
  Result<std::string> frame = encode_frame(response);
  if (!frame) frame = encode_frame(error_response(frame.error()));
  if (!frame) return close();
  enqueue(std::move(*frame));
}

bool Connection::offer(const rpc::Response& item) {
  if (!socket_.is_open() || !thinking_ || queued_bytes_ >= serving_->options.max_queued_bytes) return false;
  Result<std::string> frame = encode_frame(item);
  if (!frame) return false;
  enqueue(std::move(*frame));
  return true;
}

void Connection::enqueue(std::string frame) {
  queued_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  if (!writing_) write_next();
}

void Connection::write_next() {
  writing_ = true;
  arm(write_timer_);
  asio::async_write(socket_, asio::buffer(queue_.front()),
                    [self = shared_from_this()](const error_code& error, size_t) {
                      self->writing_ = false;
                      self->write_timer_.cancel();
                      if (error) return self->close();
                      self->queued_bytes_ -= self->queue_.front().size();
                      self->queue_.pop_front();
                      if (!self->queue_.empty()) return self->write_next();
                      if (self->close_when_written_) return self->close();
                      if (!self->thinking_) self->wait_readable();
                    });
}

Reply::Pending::~Pending() {
  if (answered) return;
  if (const std::shared_ptr<Connection> client = connection.lock()) {
    client->answer(error_response({"FL5056", "the request was given up without an answer",
                                   "see the log of the process that was asked"}));
  }
}

void Reply::answer(const rpc::Response& response) const {
  if (pending_->answered) return;
  pending_->answered = true;
  pending_->on_close = nullptr;
  if (const std::shared_ptr<Connection> client = pending_->connection.lock()) client->answer(response);
}

void Reply::done() const {
  rpc::Response response;
  response.mutable_done();
  answer(response);
}

void Reply::fail(const Error& error) const {
  answer(error_response(error));
}

bool Reply::offer(const rpc::Response& item) const {
  if (pending_->answered) return false;
  const std::shared_ptr<Connection> client = pending_->connection.lock();
  return client && client->offer(item);
}

bool Reply::open() const {
  return !pending_->answered && !pending_->connection.expired();
}

void Reply::on_close(std::function<void()> callback) const {
  pending_->on_close = std::move(callback);
}

}  // namespace fairlead::ipc
