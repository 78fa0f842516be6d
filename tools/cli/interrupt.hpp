#pragma once

#include <chrono>

namespace fairlead::cli {

// While it lives, Ctrl-C and SIGTERM do not kill but are remembered, so that a file or a table ends whole.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] bool happened() const;
  // Sleeps, or returns at once when interrupted; true: it was.
  [[nodiscard]] bool sleep(std::chrono::milliseconds time) const;
  // Until `descriptor` is readable; false: interrupted.
  [[nodiscard]] bool wait_readable(int descriptor) const;
};

}  // namespace fairlead::cli
