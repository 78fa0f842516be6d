#include "controlplane/agent/health_server.hpp"

#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/result.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::control {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMostConnections = 64;
constexpr std::size_t kMostHeaderBytes = 8192;
constexpr std::chrono::seconds kLongest{10};

using Response = http::response<http::string_body>;

// Names are DNS names: nothing in them needs escaping.
Response answer_to(const http::request<http::empty_body>& request, const HealthCheck& check,
                   bool is_healthy) {
  const bool is_ok = check.local_endpoints > 0 && is_healthy;
  Response response{is_ok ? http::status::ok : http::status::service_unavailable, request.version()};
  response.set(http::field::content_type, "application/json");
  response.set("X-Content-Type-Options", "nosniff");
  response.set("X-Load-Balancing-Endpoint-Weight", std::to_string(check.local_endpoints));
  response.keep_alive(false);
  response.body() = R"({"service":{"namespace":")" + check.service_namespace + R"(","name":")" + check.name +
                    R"("},"localEndpoints":)" + std::to_string(check.local_endpoints) +
                    R"(,"serviceProxyHealthy":)" + (is_healthy ? "true" : "false") + "}\n";
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

}  // namespace

// One port. Lives as long as its acceptor or one of its connections.
struct HealthPort : std::enable_shared_from_this<HealthPort> {
  explicit HealthPort(asio::io_context& io) : acceptor(io) {}

  // On all addresses of both families, where the kernel has IPv6.
  error_code open(uint16_t port) {
    error_code error;
    for (const tcp& family : {tcp::v6(), tcp::v4()}) {
      acceptor.open(family, error);
      if (error) continue;
      acceptor.set_option(asio::socket_base::reuse_address(true), error);
      if (family == tcp::v6()) acceptor.set_option(asio::ip::v6_only(false), error);
      acceptor.bind({family, port}, error);
      if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
      if (!error) return error;
      const bool is_without_ipv6 = error == asio::error::address_family_not_supported ||
                                   error == boost::system::errc::address_not_available;
      error_code ignored;
      acceptor.close(ignored);
      if (!is_without_ipv6) return error;
    }
    return error;
  }

  void accept() {
    acceptor.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !self->acceptor.is_open()) return;
      if (!error && self->connections < kMostConnections) self->serve(std::move(socket));
      self->accept();
    });
  }

  struct Connection {
    explicit Connection(tcp::socket socket, std::size_t& open_ones)
        : stream(std::move(socket)), count(open_ones) {
      ++count;
    }
    ~Connection() { --count; }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    beast::tcp_stream stream;
    beast::flat_buffer buffer{kMostHeaderBytes};
    http::request_parser<http::empty_body> parser;
    Response response;
    std::size_t& count;
  };

  void serve(tcp::socket socket) {
    auto connection = std::make_shared<Connection>(std::move(socket), connections);
    connection->parser.header_limit(kMostHeaderBytes);
    connection->stream.expires_after(kLongest);
    http::async_read_header(
        connection->stream, connection->buffer, connection->parser,
        [self = shared_from_this(), connection](const error_code& error, std::size_t) {
          if (error) return;
          connection->response = answer_to(connection->parser.get(), self->check, self->is_healthy);
          http::async_write(connection->stream, connection->response,
                            [self, connection](const error_code&, std::size_t) {
                              error_code ignored;
                              connection->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
                            });
        });
  }

  tcp::acceptor acceptor;
  HealthCheck check;
  bool is_healthy = false;
  std::size_t connections = 0;
};

struct HealthServer::State {
  explicit State(asio::io_context& context) : io(context) {}
  asio::io_context& io;
  bool is_healthy = false;
  std::map<uint16_t, std::shared_ptr<HealthPort>> ports;
};

HealthServer::HealthServer(asio::io_context& io) : state_(std::make_shared<State>(io)) {}

HealthServer::~HealthServer() {
  static_cast<void>(set({}));
}

std::vector<std::string> HealthServer::set(const std::map<std::string, HealthCheck>& checks) {
  std::vector<std::string> failed;
  std::map<uint16_t, const HealthCheck*> wanted;
  for (const auto& [key, check] : checks) wanted.emplace(check.port, &check);
  for (auto at = state_->ports.begin(); at != state_->ports.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    error_code ignored;
    at->second->acceptor.close(ignored);
    at = state_->ports.erase(at);
  }
  for (const auto& [number, check] : wanted) {
    auto& port = state_->ports[number];
    if (port == nullptr) {
      auto fresh = std::make_shared<HealthPort>(state_->io);
      if (const error_code error = fresh->open(number); error) {
        state_->ports.erase(number);
        failed.push_back(render(Error{"FL5031",
                                      "service/" + check->service_namespace + "/" + check->name +
                                          ": spec.healthCheckNodePort: cannot listen on port " +
                                          std::to_string(number) + ": " + error.message(),
                                      "ss -ltnp shows who has it"}));
        continue;
      }
      port = std::move(fresh);
      port->accept();
    }
    port->check = *check;
    port->is_healthy = state_->is_healthy;
  }
  return failed;
}

void HealthServer::set_proxy_healthy(bool healthy) {
  state_->is_healthy = healthy;
  for (const auto& [number, port] : state_->ports) port->is_healthy = healthy;
}

}  // namespace fairlead::control
