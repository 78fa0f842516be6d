#pragma once

#include "dataplane/base/result.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace fairlead::control {

// A network namespace held open by a descriptor: it lives at least as long as this object.
class Netns {
 public:
  // Opens the namespace bound to `path`.
  //
  // Errors: FL4008 no such path, not a network namespace, or the one we are in ourselves.
  [[nodiscard]] static Result<Netns> open(const std::string& path);

  Netns(Netns&& other) noexcept;
  Netns& operator=(Netns&& other) noexcept;
  Netns(const Netns&) = delete;
  Netns& operator=(const Netns&) = delete;
  ~Netns();

  // Runs `work` inside, in a thread of its own that ends with it: no other thread ever changes its
  // namespace. `work` must not throw. Errors: FL4301 the namespace cannot be entered; what `work` answers.
  [[nodiscard]] Result<void> run(const std::function<Result<void>()>& work) const;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Netns(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::string path_;
};

}  // namespace fairlead::control
