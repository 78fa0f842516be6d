#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <functional>
#include <memory>
#include <string>

namespace boost::asio {
class io_context;
}

namespace fairlead::control {

// The agent's end of the dataplane's socket: one connection that never blocks and comes back by itself, after
// a pause that doubles from 50 ms to 2 s while nobody answers.
//
// Threads: the io_context's. Callbacks never run inside the call that caused them.
class DataplaneLink {
 public:
  using Answer = std::function<void(Result<rpc::Response>)>;
  struct Events {
    std::function<void()> up;
    std::function<void(const Error&)> down;  // also for each attempt that fails
  };

  // Errors: FL5057 the path is longer than a UNIX socket's may be.
  [[nodiscard]] static Result<std::unique_ptr<DataplaneLink>> create(boost::asio::io_context& io,
                                                                     const std::string& socket,
                                                                     Events events);
  ~DataplaneLink();
  DataplaneLink(const DataplaneLink&) = delete;
  DataplaneLink& operator=(const DataplaneLink&) = delete;

  void start();
  [[nodiscard]] bool is_up() const;

  // Sends while up, one request at a time. `answer` is called once: with the response, with what the
  // dataplane refused, or with FL5020 when the connection ended or kAnswerSeconds passed (then the connection
  // is given up, too).
  void call(const rpc::Request& request, Answer answer);
  static constexpr int kAnswerSeconds = 10;

  // Gives the connection up and comes back: when what was said over it cannot be believed.
  void reset(const Error& why);

 private:
  struct State;
  explicit DataplaneLink(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace fairlead::control
