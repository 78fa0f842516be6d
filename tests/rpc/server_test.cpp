#include "dataplane/rpc/server.hpp"

#include "dataplane/rpc/client.hpp"
#include "dataplane/rpc/framing.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace fairlead::ipc {
namespace {

using namespace std::chrono_literals;
using Answer = rpc::Response::AnswerCase;

rpc::Request status_request() {
  rpc::Request request;
  request.mutable_dataplane_status();
  return request;
}

rpc::Response status_response(const std::string& node) {
  rpc::Response response;
  response.mutable_dataplane_status()->set_node(node);
  return response;
}

// A server on a thread of its own in a directory of its own.
class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-rpc-XXXXXX";
    directory_ = mkdtemp(name);
    options_.socket = directory_ + "/dataplane.sock";
  }
  void TearDown() override {
    stop();
    std::filesystem::remove_all(directory_);
  }

  void start(Handler handler) {
    Result<Server> opened = Server::open(io_, options_);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    server_.emplace(std::move(*opened));
    const Result<void> serving = server_->serve(std::move(handler));
    ASSERT_TRUE(serving.ok()) << serving.error().text();
    thread_ = std::thread([this] { io_.run(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    on_loop([this] { server_.reset(); });
    work_.reset();
    thread_.join();
  }
  // Runs `action` on the server's thread and waits for it.
  void on_loop(const std::function<void()>& action) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }

  ClientOptions client_options() const {
    ClientOptions options;
    options.run_dir = directory_;
    options.request_timeout = 5s;
    return options;
  }
  Client connect() const {
    Result<Client> client = Client::connect(client_options());
    if (!client) throw std::runtime_error(client.error().text());
    return std::move(*client);
  }
  // A socket without a Client around it, to send what a Client never would.
  int raw_connection() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    options_.socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  // Everything the server sends until it closes.
  static std::string read_to_end(int fd) {
    std::string bytes;
    char piece[4096];
    for (ssize_t n; (n = ::read(fd, piece, sizeof(piece))) > 0;) bytes.append(piece, static_cast<size_t>(n));
    return bytes;
  }
  static rpc::Response decode(const std::string& frame) {
    rpc::Response response;
    EXPECT_GE(frame.size(), kFrameHeaderBytes);
    if (frame.size() >= kFrameHeaderBytes) {
      EXPECT_TRUE(response.ParseFromString(frame.substr(kFrameHeaderBytes)));
    }
    return response;
  }

  std::string directory_;
  ServerOptions options_;
  boost::asio::io_context io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_{
      io_.get_executor()};
  std::optional<Server> server_;
  std::thread thread_;
};

TEST_F(ServerTest, AnswersOneRequestAfterTheOther) {
  start([](const rpc::Request& request, const Reply& reply) {
    reply.answer(status_response(request.has_dataplane_status() ? "yes" : "no"));
  });
  Client client = connect();
  for (int i = 0; i < 100; ++i) {
    const Result<rpc::Response> response = client.call(status_request(), Answer::kDataplaneStatus);
    ASSERT_TRUE(response.ok()) << response.error().text();
    EXPECT_EQ(response->dataplane_status().node(), "yes");
  }
}

TEST_F(ServerTest, SocketIsForItsOwnerOnly) {
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  struct stat status {};
  ASSERT_EQ(stat(options_.socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ServerTest, AHandlerMayAnswerLaterAndOthersAreServedMeanwhile) {
  std::optional<Reply> kept;
  start([&kept](const rpc::Request& request, const Reply& reply) {
    if (request.has_wait())
      kept = reply;
    else
      reply.answer(status_response("other"));
  });
  std::promise<Result<rpc::Response>> late;
  std::thread waiting([&] {
    Client client = connect();
    rpc::Request request;
    request.mutable_wait();
    late.set_value(client.call(request, Answer::kWait));
  });
  Client other = connect();
  bool parked = false;
  while (!parked) {
    ASSERT_TRUE(other.call(status_request(), Answer::kDataplaneStatus).ok());
    on_loop([&] { parked = kept.has_value(); });
  }
  on_loop([&] {
    rpc::Response response;
    response.mutable_wait()->set_generation(42);
    kept->answer(response);
    kept.reset();
  });
  const Result<rpc::Response> response = late.get_future().get();
  waiting.join();
  ASSERT_TRUE(response.ok()) << response.error().text();
  EXPECT_EQ(response->wait().generation(), 42u);
}

TEST_F(ServerTest, AForgottenRequestIsAnErrorNotSilence) {
  start([](const rpc::Request&, const Reply&) {});
  const Result<rpc::Response> response = connect().call(status_request(), Answer::kDataplaneStatus);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, "FL5056");
}

TEST_F(ServerTest, AnExceptionOfTheHandlerIsAnError) {
  start([](const rpc::Request&, const Reply&) { throw std::runtime_error("table on fire"); });
  const Result<rpc::Response> response = connect().call(status_request(), Answer::kDataplaneStatus);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, "FL5056");
  EXPECT_NE(response.error().what.find("table on fire"), std::string::npos);
}

TEST_F(ServerTest, ErrorsArriveAsTheyWere) {
  start([](const rpc::Request&, const Reply& reply) {
    reply.fail({"FL4242", "what", "fix"});
    reply.done();  // too late: the first answer counts
  });
  Client client = connect();
  for (int i = 0; i < 3; ++i) {
    const Result<rpc::Response> response = client.call(status_request(), Answer::kDataplaneStatus);
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().code, "FL4242");
    EXPECT_EQ(response.error().what, "what");
    EXPECT_EQ(response.error().fix, "fix");
  }
}

TEST_F(ServerTest, AnAnswerOfAnotherKindIsNamed) {
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  const Result<rpc::Response> response = connect().call(status_request(), Answer::kDataplaneStatus);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, "FL5055");
}

TEST_F(ServerTest, ALongMessageCrossesWhole) {
  start([](const rpc::Request& request, const Reply& reply) {
    rpc::Response response;
    response.mutable_trace()->set_pushed_header(request.capture().filter());
    reply.answer(response);
  });
  rpc::Request request;
  request.mutable_capture()->set_filter(std::string(15u << 20, 'x'));
  Client client = connect();
  const Result<rpc::Response> response = client.call(request, Answer::kTrace);
  ASSERT_TRUE(response.ok()) << response.error().text();
  EXPECT_EQ(response->trace().pushed_header().size(), 15u << 20);
  // One that is too long is refused before a byte is sent; the connection lives on.
  request.mutable_capture()->set_filter(std::string(17u << 20, 'x'));
  const Result<rpc::Response> refused = client.call(request, Answer::kTrace);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL5054");
  request.mutable_capture()->set_filter("short");
  EXPECT_TRUE(client.call(request, Answer::kTrace).ok());
}

TEST_F(ServerTest, BadFramesAreRefusedAndTheConnectionClosed) {
  std::atomic<int> handled{0};
  start([&handled](const rpc::Request&, const Reply& reply) {
    ++handled;
    reply.done();
  });
  const std::string oversized("\x01\x00\x00\x01", 4);  // 16 MiB and one
  const std::string garbage = std::string("\x00\x00\x00\x05", 4) + "\xff\xff\xff\xff\xff";
  for (const std::string& bytes : {oversized, garbage}) {
    const int fd = raw_connection();
    ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    const rpc::Response response = decode(read_to_end(fd));
    EXPECT_EQ(response.error().code(), "FL5054");
    close(fd);
  }
  // Frames that end early: nothing happens, and the server goes on.
  for (const std::string& bytes :
       {std::string("\x00", 1), std::string("\x00\x00\x00\x05", 4), std::string("\x00\x00\x00\x05zz", 6)}) {
    const int fd = raw_connection();
    ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    shutdown(fd, SHUT_WR);
    EXPECT_EQ(read_to_end(fd), "");
    close(fd);
  }
  EXPECT_EQ(handled, 0);
  rpc::Request request = status_request();
  EXPECT_TRUE(connect().call(request, Answer::kDone).ok());
}

TEST_F(ServerTest, AFrameThatNeverEndsIsCutOff) {
  options_.frame_timeout = 100ms;
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  const int fd = raw_connection();
  ASSERT_EQ(::send(fd, "\x00\x00", 2, 0), 2);
  EXPECT_EQ(read_to_end(fd), "");  // returns because the server closed
  close(fd);
}

TEST_F(ServerTest, ManyRequestsAtOnceAreAnsweredInOrder) {
  uint64_t count = 0;
  start([&count](const rpc::Request&, const Reply& reply) {
    rpc::Response response;
    response.mutable_publish()->set_generation(++count);
    reply.answer(response);
  });
  Client client = connect();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(client.send(status_request()).ok());
  for (uint64_t i = 1; i <= 200; ++i) {
    const Result<rpc::Response> response = client.receive(5s);
    ASSERT_TRUE(response.ok()) << response.error().text();
    ASSERT_EQ(response->publish().generation(), i);
  }
}

TEST_F(ServerTest, ASlowReaderOfAStreamIsPushedBackNotQueuedForEver) {
  options_.max_queued_bytes = 64u << 10;
  std::optional<Reply> stream;
  start([&stream](const rpc::Request&, const Reply& reply) { stream = reply; });
  Client client = connect();
  ASSERT_TRUE(client.send(status_request()).ok());
  bool started = false;
  while (!started) on_loop([&] { started = stream.has_value(); });
  rpc::Response item;
  item.mutable_captured()->set_frame(std::string(1500, 'f'));
  int taken = 0;
  bool refused = false;
  for (int i = 0; i < 10'000 && !refused; ++i) {
    on_loop([&] { stream->offer(item) ? ++taken : refused = true; });
  }
  EXPECT_TRUE(refused);
  // What was taken arrives, every item, and then the end.
  on_loop([&] {
    stream->done();
    stream.reset();
  });
  for (int i = 0; i < taken; ++i) ASSERT_TRUE(client.receive(5s)->has_captured());
  EXPECT_TRUE(client.receive(5s)->has_done());
}

TEST_F(ServerTest, AClientThatGoesIsNoticedWhileTheHandlerThinks) {
  std::promise<void> gone;
  std::optional<Reply> kept;
  start([&](const rpc::Request&, const Reply& reply) {
    kept = reply;
    reply.on_close([&gone] { gone.set_value(); });
  });
  {
    Client client = connect();
    ASSERT_TRUE(client.send(status_request()).ok());
    bool parked = false;
    while (!parked) on_loop([&] { parked = kept.has_value(); });
  }
  gone.get_future().wait();
  on_loop([&] {
    EXPECT_FALSE(kept->open());
    EXPECT_FALSE(kept->offer(status_response("late")));
    kept->done();
    kept.reset();
  });
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  options_.max_connections = 2;
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  Client first = connect();
  Client second = connect();
  ASSERT_TRUE(first.call(status_request(), Answer::kDone).ok());
  ASSERT_TRUE(second.call(status_request(), Answer::kDone).ok());
  const Result<rpc::Response> refused = connect().call(status_request(), Answer::kDone);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL5059");
  { const Client gone = std::move(first); }
  Result<rpc::Response> again = Error{"", "", ""};
  for (int i = 0; i < 1000 && !again.ok(); ++i) again = connect().call(status_request(), Answer::kDone);
  EXPECT_TRUE(again.ok());
}

TEST_F(ServerTest, ASecondInstanceIsRefusedAndNamesTheFirst) {
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  boost::asio::io_context io;
  const Result<Server> second = Server::open(io, options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "FL5052");
  EXPECT_NE(second.error().what.find("pid " + std::to_string(getpid())), std::string::npos)
      << second.error().what;
  EXPECT_TRUE(connect().call(status_request(), Answer::kDone).ok());
}

TEST_F(ServerTest, ALiveSocketIsNotTakenEvenWithoutItsLock) {
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  std::filesystem::remove(options_.socket + ".lock");
  boost::asio::io_context io;
  Result<Server> second = Server::open(io, options_);
  ASSERT_TRUE(second.ok());
  const Result<void> serving = second->serve([](const rpc::Request&, const Reply&) {});
  ASSERT_FALSE(serving.ok());
  EXPECT_EQ(serving.error().code, "FL5052");
  EXPECT_TRUE(connect().call(status_request(), Answer::kDone).ok());
}

TEST_F(ServerTest, AStaleSocketIsReplaced) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // serves and dies without tidying up
    boost::asio::io_context io;
    Result<Server> server = Server::open(io, options_);
    _exit(server.ok() && server->serve([](const rpc::Request&, const Reply&) {}).ok() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::exists(options_.socket));
  const Result<Client> refused = Client::connect(client_options());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL5051");
  EXPECT_NE(refused.error().what.find("fairlead-dataplane is not running"), std::string::npos);
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  EXPECT_TRUE(connect().call(status_request(), Answer::kDone).ok());
}

TEST_F(ServerTest, StopRemovesTheSocket) {
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  stop();
  EXPECT_FALSE(std::filesystem::exists(options_.socket));
}

TEST_F(ServerTest, OtherUsersAreTurnedAway) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  start([](const rpc::Request&, const Reply& reply) { reply.done(); });
  // Open the file modes, so that only the credential check is left in the way.
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(chmod(options_.socket.c_str(), 0666), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    const Result<rpc::Response> response = ask(client_options(), status_request(), Answer::kDone);
    _exit(!response.ok() && response.error().code == "FL5058" ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ServerTest, ANonExistentServerIsOneClearSentence) {
  const Result<rpc::Response> response = ask(client_options(), status_request(), Answer::kDone);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, "FL5051");
  EXPECT_NE(response.error().what.find(options_.socket), std::string::npos);
  EXPECT_NE(response.error().fix.find("systemctl status fairlead-dataplane"), std::string::npos);
}

TEST_F(ServerTest, AServerThatNeverAnswersTimesOut) {
  std::optional<Reply> kept;
  start([&kept](const rpc::Request&, const Reply& reply) { kept = reply; });
  Client client = connect();
  const Result<rpc::Response> response = client.call(status_request(), Answer::kDone, 50ms);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, kTimedOut);
  // The connection is closed: a late answer must not be taken for the next request's.
  EXPECT_FALSE(client.call(status_request(), Answer::kDone).ok());
  on_loop([&] { kept.reset(); });
}

TEST_F(ServerTest, ALongSocketPathIsRefusedByBothEnds) {
  options_.socket = "/tmp/" + std::string(200, 'd') + "/dataplane.sock";
  const Result<Server> server = Server::open(io_, options_);
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.error().code, "FL5057");
  ClientOptions client = client_options();
  client.run_dir = "/tmp/" + std::string(200, 'd');
  EXPECT_FALSE(Client::connect(client).ok());
}

TEST(Framing, HeaderIsBigEndianAndBounded) {
  EXPECT_EQ(*decode_frame_header({0, 0, 1, 2}), 258u);
  EXPECT_EQ(*decode_frame_header({1, 0, 0, 0}), kMaxMessageBytes);
  EXPECT_FALSE(decode_frame_header({1, 0, 0, 1}).ok());
  EXPECT_FALSE(decode_frame_header({0xff, 0xff, 0xff, 0xff}).ok());
  rpc::Response response = status_response("n");
  const Result<std::string> frame = encode_frame(response);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->substr(0, 4), std::string("\0\0\0", 3) + static_cast<char>(response.ByteSizeLong()));
}

}  // namespace
}  // namespace fairlead::ipc
