#include "tools/cli/interrupt.hpp"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace fairlead::cli {
namespace {

// Written by the handler, so that a poll() ends also when the signal came just before it.
int wake_pipe[2] = {-1, -1};
volatile sig_atomic_t interrupted = 0;
struct sigaction before_int, before_term;

void on_signal(int) {
  const int saved = errno;
  interrupted = 1;
  (void)!write(wake_pipe[1], "", 1);
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() {
  interrupted = 0;
  if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) wake_pipe[0] = wake_pipe[1] = -1;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, &before_int);
  sigaction(SIGTERM, &action, &before_term);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &before_int, nullptr);
  sigaction(SIGTERM, &before_term, nullptr);
  for (int& end : wake_pipe) {
    if (end >= 0) close(end);
    end = -1;
  }
}

bool Interrupt::happened() const {
  return interrupted != 0;
}

bool Interrupt::sleep(std::chrono::milliseconds time) const {
  pollfd entry{wake_pipe[0], POLLIN, 0};
  poll(&entry, 1, static_cast<int>(time.count()));
  return happened();
}

bool Interrupt::wait_readable(int descriptor) const {
  while (!happened()) {
    pollfd entries[2] = {{descriptor, POLLIN, 0}, {wake_pipe[0], POLLIN, 0}};
    if (poll(entries, 2, -1) > 0 && entries[0].revents != 0) return true;
  }
  return false;
}

}  // namespace fairlead::cli
