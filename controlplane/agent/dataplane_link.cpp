#include "controlplane/agent/dataplane_link.hpp"

#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/framing.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <chrono>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{2000};
constexpr std::size_t kLongestPath = 107;  // sizeof sockaddr_un::sun_path - 1

}  // namespace

// Every handler holds the state; `session` tells a handler of an earlier connection that its time is over.
struct DataplaneLink::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, std::string path, Events callbacks)
      : io(context),
        socket_path(std::move(path)),
        events(std::move(callbacks)),
        socket(context),
        retry(context),
        deadline(context) {}

  Error unreachable(const std::string& why) const {
    return Error{"FL5020", "fairlead-dataplane at " + socket_path + ": " + why,
                 "is it running? its log says why not; packets of a running one are forwarded meanwhile"};
  }

  void connect() {
    if (is_stopped) return;
    socket = asio::local::stream_protocol::socket(io);
    const uint64_t mine = ++session;
    socket.async_connect(asio::local::stream_protocol::endpoint(socket_path),
                         [self = shared_from_this(), mine](const error_code& error) {
                           if (self->is_over(mine)) return;
                           if (error) return self->drop(self->unreachable(error.message()));
                           self->is_up = true;
                           self->read_header(mine);
                           self->events.up();
                         });
  }

  [[nodiscard]] bool is_over(uint64_t mine) const { return is_stopped || mine != session; }

  void read_header(uint64_t mine) {
    asio::async_read(socket, asio::buffer(header),
                     [self = shared_from_this(), mine](const error_code& error, std::size_t) {
                       if (self->is_over(mine)) return;
                       if (error) return self->drop(self->unreachable("the connection ended"));
                       const Result<uint32_t> length = ipc::decode_frame_header(self->header);
                       if (!length) return self->drop(length.error());
                       self->body.resize(*length);
                       self->read_body(mine);
                     });
  }

  void read_body(uint64_t mine) {
    asio::async_read(
        socket, asio::buffer(body), [self = shared_from_this(), mine](const error_code& error, std::size_t) {
          if (self->is_over(mine)) return;
          if (error) return self->drop(self->unreachable("the connection ended"));
          rpc::Response response;
          if (!response.ParseFromString(self->body) || !self->pending) {
            return self->drop(Error{"FL5054", "fairlead-dataplane said something that is no answer",
                                    "are both of one version?"});
          }
          self->pause = kFirstPause;
          self->deadline.cancel();
          self->read_header(mine);
          Answer answer = std::exchange(self->pending, nullptr);
          if (response.has_error()) return answer(ipc::from_message(response.error()));
          answer(std::move(response));
        });
  }

  void send(const rpc::Request& request, Answer answer) {
    Result<std::string> frame = ipc::encode_frame(request);
    if (!is_up || pending || !frame) {
      const Error why =
          !frame ? frame.error() : unreachable(is_up ? "a request is under way" : "not connected");
      asio::post(io, [answer = std::move(answer), why] { answer(why); });
      return;
    }
    pending = std::move(answer);
    output = std::move(*frame);
    const uint64_t mine = session;
    asio::async_write(socket, asio::buffer(output),
                      [self = shared_from_this(), mine](const error_code& error, std::size_t) {
                        if (!self->is_over(mine) && error) self->drop(self->unreachable(error.message()));
                      });
    deadline.expires_after(std::chrono::seconds(kAnswerSeconds));
    deadline.async_wait([self = shared_from_this(), mine](const error_code& error) {
      if (error || self->is_over(mine) || !self->pending) return;
      self->drop(self->unreachable("no answer within " + std::to_string(kAnswerSeconds) + " s"));
    });
  }

  // Ends the connection, tells everybody, and tries again after a pause.
  void drop(const Error& why) {
    ++session;
    is_up = false;
    error_code ignored;
    socket.close(ignored);
    deadline.cancel();
    if (Answer answer = std::exchange(pending, nullptr)) answer(why);
    events.down(why);
    if (is_stopped) return;
    retry.expires_after(pause);
    pause = std::min(pause * 2, kLongestPause);
    retry.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->connect();
    });
  }

  void stop() {
    is_stopped = true;
    ++session;
    is_up = false;
    pending = nullptr;
    error_code ignored;
    socket.close(ignored);
    deadline.cancel();
    retry.cancel();
  }

  asio::io_context& io;
  const std::string socket_path;
  const Events events;
  asio::local::stream_protocol::socket socket;
  asio::steady_timer retry, deadline;
  std::chrono::milliseconds pause = kFirstPause;
  uint64_t session = 0;
  bool is_up = false, is_stopped = false;
  Answer pending;
  std::string output, body;
  ipc::FrameHeader header{};
};

Result<std::unique_ptr<DataplaneLink>> DataplaneLink::create(asio::io_context& io, const std::string& socket,
                                                             Events events) {
  if (socket.empty() || socket.size() > kLongestPath) {
    return Error{"FL5057", "the socket path \"" + socket + "\" is empty or longer than 107 bytes",
                 "choose a shorter --run-dir"};
  }
  return std::unique_ptr<DataplaneLink>(
      new DataplaneLink(std::make_shared<State>(io, socket, std::move(events))));
}

DataplaneLink::DataplaneLink(std::shared_ptr<State> state) : state_(std::move(state)) {}
DataplaneLink::~DataplaneLink() {
  state_->stop();
}
void DataplaneLink::start() {
  asio::post(state_->io, [state = state_] { state->connect(); });
}
bool DataplaneLink::is_up() const {
  return state_->is_up;
}
void DataplaneLink::call(const rpc::Request& request, Answer answer) {
  state_->send(request, std::move(answer));
}
void DataplaneLink::reset(const Error& why) {
  asio::post(state_->io, [state = state_, why] {
    if (!state->is_stopped) state->drop(why);
  });
}

}  // namespace fairlead::control
