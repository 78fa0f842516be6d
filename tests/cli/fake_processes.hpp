#pragma once

#include "dataplane/rpc/server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace fairlead::cli {

// A dataplane and an agent that answer from a table, each at its socket in a directory of its own.
class FakeProcesses {
 public:
  FakeProcesses();
  ~FakeProcesses();

  [[nodiscard]] const std::string& run_dir() const { return run_dir_; }
  void start_dataplane();
  void start_agent();

  // What is answered, and the last request of a kind; set before start, read after the command has ended.
  std::map<rpc::Request::CallCase, rpc::Response> answers;
  std::map<rpc::Request::CallCase, rpc::Request> asked;
  std::function<void(const rpc::CaptureRequest&, const ipc::Reply&)> on_capture;

 private:
  void start(const std::string& name, std::optional<ipc::Server>& server);
  void run();

  std::string run_dir_;
  boost::asio::io_context io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_{
      io_.get_executor()};
  std::optional<ipc::Server> dataplane_, agent_;
  std::thread thread_;
};

// A node with two pods, one overlay and one routed peer, some drops and flows.
void tell_ordinary_node(FakeProcesses& processes);

}  // namespace fairlead::cli
