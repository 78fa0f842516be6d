#pragma once

#include "dataplane/rpc/fairlead.pb.h"

#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fairlead::control {

// An agent that answers what the test tells it to; every request is kept. Its protobuf is the real library,
// so that the plugin's hand-written messages meet what they claim to be.
class FakeAgent {
 public:
  using Answer = std::function<std::string(const rpc::Request&)>;  // raw bytes after the frame header

  FakeAgent(const std::string& socket, Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << socket;
    EXPECT_EQ(::listen(listener_, 8), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeAgent() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  [[nodiscard]] std::vector<rpc::Request> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

  [[nodiscard]] static Answer always(const rpc::Response& response) {
    return [bytes = response.SerializeAsString()](const rpc::Request&) { return bytes; };
  }
  [[nodiscard]] static Answer error(const std::string& code, const std::string& what) {
    rpc::Response response;
    response.mutable_error()->set_code(code);
    response.mutable_error()->set_what(what);
    response.mutable_error()->set_fix("do this");
    return always(response);
  }

 private:
  void serve() {
    for (int client = 0; (client = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(client)) {
      unsigned char header[4];
      if (::recv(client, header, 4, MSG_WAITALL) != 4) continue;
      std::string bytes(
          size_t{header[0]} << 24 | size_t{header[1]} << 16 | size_t{header[2]} << 8 | header[3], '\0');
      if (::recv(client, bytes.data(), bytes.size(), MSG_WAITALL) != static_cast<ssize_t>(bytes.size()))
        continue;
      rpc::Request request;
      EXPECT_TRUE(request.ParseFromString(bytes));
      {
        std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string content = answer_(request);
      if (content == "<hang up>") continue;
      std::string frame = {static_cast<char>(content.size() >> 24), static_cast<char>(content.size() >> 16),
                           static_cast<char>(content.size() >> 8), static_cast<char>(content.size())};
      frame += content;
      EXPECT_EQ(::send(client, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
    }
  }

  Answer answer_;
  int listener_ = -1;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<rpc::Request> requests_;  // guarded by mutex_
};

}  // namespace fairlead::control
