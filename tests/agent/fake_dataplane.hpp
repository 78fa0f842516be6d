#pragma once

#include "dataplane/core/node_state.hpp"
#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/parts.hpp"
#include "dataplane/rpc/server.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdlib.h>
#include <string>
#include <utility>  // Asio 1.74 uses std::exchange without it
#include <vector>

namespace fairlead::control {

// A directory under /tmp that goes with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/fairlead-agent-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Speaks the dataplane's side of the real protocol over a real socket, on the test's own io_context; applies
// deltas with core::apply() and so refuses what a real one would.
class FakeDataplane {
 public:
  FakeDataplane(boost::asio::io_context& io, std::string socket) : io_(io), socket_(std::move(socket)) {}

  void start() {
    auto server = ipc::Server::open(io_, {.socket = socket_, .process = "fake-dataplane", .extra_uids = {}});
    ASSERT_TRUE(server.ok()) << server.error().text();
    server_.emplace(std::move(*server));
    const auto serving = server_->serve(
        [this](const rpc::Request& request, const ipc::Reply& reply) { handle(request, reply); });
    ASSERT_TRUE(serving.ok()) << serving.error().text();
  }
  void stop() { server_.reset(); }  // the state stays, as on disk

  core::NodeState state;
  std::vector<core::NodeStateDelta> published;
  size_t part_bytes = ipc::kPartBytes;
  std::optional<Error> refuse;
  bool is_silent = false;  // takes publishes and does not answer
  std::function<void(const core::NodeStateDelta&)> on_publish = [](const auto&) {};

 private:
  void handle(const rpc::Request& request, const ipc::Reply& reply) {
    rpc::Response response;
    if (request.has_get_state()) {
      *response.mutable_state() = ipc::page_of(state, request.get_state(), part_bytes);
      return reply.answer(response);
    }
    ASSERT_TRUE(request.has_publish());
    const auto whole = parts_.add(request.publish());
    ASSERT_TRUE(whole.ok()) << whole.error().text();
    if (!whole->has_value()) {
      response.mutable_publish()->set_generation(state.generation);
      return reply.answer(response);
    }
    const core::NodeStateDelta* delta = &**whole;
    on_publish(*delta);
    published.push_back(*delta);
    if (is_silent) {
      held_.push_back(reply);
      return;
    }
    if (refuse) return reply.fail(*refuse);
    const std::string wrong = core::apply(state, *delta);
    if (!wrong.empty()) return reply.fail(Error{"FL2101", wrong});
    EXPECT_EQ(core::validate(state), "");
    response.mutable_publish()->set_generation(state.generation);
    reply.answer(response);
  }

  boost::asio::io_context& io_;
  const std::string socket_;
  std::optional<ipc::Server> server_;
  std::vector<ipc::Reply> held_;
  ipc::DeltaParts parts_;
};

// Runs the loop until `is_met`, at most ten seconds: a limit for broken code, not a measure.
inline ::testing::AssertionResult run_until(boost::asio::io_context& io,
                                            const std::function<bool()>& is_met) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_met()) {
    if (std::chrono::steady_clock::now() > limit)
      return ::testing::AssertionFailure() << "did not happen within 10 s";
    if (io.stopped()) io.restart();
    io.run_one_for(std::chrono::milliseconds(50));
  }
  return ::testing::AssertionSuccess();
}

// Lets the loop do what is due within `time`: to show that something does not happen.
inline void run_for(boost::asio::io_context& io, std::chrono::milliseconds time) {
  if (io.stopped()) io.restart();
  io.run_for(time);
}

}  // namespace fairlead::control
