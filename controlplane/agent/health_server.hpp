#pragma once

#include "controlplane/calc/services.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace fairlead::control {

// Answers load balancers' health checks (spec.healthCheckNodePort): on each such port 200 while this node has
// a ready endpoint of the Service, otherwise 503, with what kube-proxy says as JSON:
// {"service":{"namespace":"default","name":"lb"},"localEndpoints":1,"serviceProxyHealthy":true}.
//
// Threads: the io_context's. Bounds: 64 connections a port, 8 KiB a request, 10 s a connection; one request
// each.
class HealthServer {
 public:
  explicit HealthServer(boost::asio::io_context& io);
  ~HealthServer();
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;

  // Serves exactly these. Answers what could not be bound, rendered; the others serve, and what failed is
  // tried again with the next call.
  [[nodiscard]] std::vector<std::string> set(const std::map<std::string, HealthCheck>& checks);

  // Without a dataplane to program, nothing that is said here would come true: 503.
  void set_proxy_healthy(bool healthy);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fairlead::control
