#include "controlplane/agent/health_server.hpp"

#include "tests/agent/fake_dataplane.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <thread>

namespace fairlead::control {
namespace {

using boost::asio::ip::tcp;

class HealthServerTest : public ::testing::Test {
 protected:
  // A port that nobody has: the kernel names one.
  static uint16_t free_port() {
    boost::asio::io_context io;
    tcp::acceptor acceptor(io, {tcp::v6(), 0});
    return acceptor.local_endpoint().port();
  }
  // What the server answers to `request`, as it stands on the wire.
  std::string ask(uint16_t port, const std::string& address = "127.0.0.1",
                  const std::string& request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") {
    std::string answer;
    std::atomic<bool> is_done = false;
    std::thread client([&] {
      boost::asio::io_context io;
      tcp::socket socket(io);
      boost::system::error_code error;
      socket.connect({boost::asio::ip::make_address(address), port}, error);
      if (!error) boost::asio::write(socket, boost::asio::buffer(request), error);
      if (!error) boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
      if (error && error != boost::asio::error::eof) answer = "error: " + error.message();
      is_done = true;
    });
    EXPECT_TRUE(run_until(io_, [&] { return is_done.load(); }));
    client.join();
    return answer;
  }

  boost::asio::io_context io_{1};
  HealthServer server_{io_};
};

TEST_F(HealthServerTest, AnswersAsKubeProxyDoes) {
  const uint16_t port = free_port();
  server_.set_proxy_healthy(true);
  EXPECT_TRUE(server_.set({{"default/lb", {"default", "lb", port, 2}}}).empty());
  const std::string good = ask(port);
  EXPECT_EQ(good.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(good.find("Content-Type: application/json"), std::string::npos);
  EXPECT_EQ(good.substr(good.find("\r\n\r\n") + 4),
            R"({"service":{"namespace":"default","name":"lb"},"localEndpoints":2,"serviceProxyHealthy":true})"
            "\n");
  EXPECT_EQ(ask(port, "::1").substr(0, 15), "HTTP/1.1 200 OK") << "on both families";

  EXPECT_TRUE(server_.set({{"default/lb", {"default", "lb", port, 0}}}).empty());
  EXPECT_EQ(ask(port).substr(0, 12), "HTTP/1.1 503") << "the same port, another state";
  EXPECT_TRUE(server_.set({{"default/lb", {"default", "lb", port, 1}}}).empty());
  server_.set_proxy_healthy(false);
  const std::string bad = ask(port);
  EXPECT_EQ(bad.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(bad.find("\"serviceProxyHealthy\":false"), std::string::npos);
}

TEST_F(HealthServerTest, APortThatIsTakenIsNamedAndTheOthersServe) {
  boost::asio::io_context other;
  tcp::acceptor holder(other, {tcp::v6(), 0});
  const uint16_t taken = holder.local_endpoint().port(), port = free_port();
  server_.set_proxy_healthy(true);
  const auto failed =
      server_.set({{"default/a", {"default", "a", taken, 1}}, {"default/b", {"default", "b", port, 1}}});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_NE(failed[0].find("FL5031"), std::string::npos);
  EXPECT_NE(failed[0].find("service/default/a"), std::string::npos);
  EXPECT_EQ(ask(port).substr(0, 12), "HTTP/1.1 200");
  holder.close();
  EXPECT_TRUE(server_.set({{"default/a", {"default", "a", taken, 1}}}).empty()) << "tried again";
  EXPECT_EQ(ask(taken).substr(0, 12), "HTTP/1.1 200");
  EXPECT_EQ(ask(port).substr(0, 5), "error") << "and this one is gone";
}

TEST_F(HealthServerTest, RubbishIsBounded) {
  const uint16_t port = free_port();
  EXPECT_TRUE(server_.set({{"default/lb", {"default", "lb", port, 1}}}).empty());
  EXPECT_EQ(ask(port, "127.0.0.1", "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n")
                .find("HTTP/1.1 200"),
            std::string::npos);
  EXPECT_EQ(ask(port, "127.0.0.1", "\x16\x03\x01\r\n\r\n").find("HTTP/1.1 200"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::control
