// fairlead-cni: what a container runtime runs to attach a pod. Checks its input, asks the agent, prints the
// answer. Everything that takes time or privileges happens in the agent.

#include "controlplane/cni/verbs.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <unistd.h>

namespace {

constexpr size_t kMostInputBytes = 4u << 20;

fairlead::Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 16384> part{};
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fairlead::Error{"FL4005", std::string("cannot read standard input: ") + std::strerror(errno),
                             "pass the network configuration"};
    if (got == 0) return text;
    text.append(part.data(), static_cast<size_t>(got));
    if (text.size() > kMostInputBytes)
      return fairlead::Error{"FL4006", "the network configuration is larger than 4 MiB",
                             "check what is piped in"};
  }
}

bool write_all(int fd, const std::string& text) {
  size_t used = 0;
  while (used < text.size()) {
    const ssize_t done = ::write(fd, text.data() + used, text.size() - used);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    used += static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const fairlead::control::Outcome outcome = fairlead::control::run_plugin(
        [](const char* name) { return std::getenv(name); }, read_standard_input);
    write_all(STDERR_FILENO, outcome.log);
    return write_all(STDOUT_FILENO, outcome.output) ? outcome.status : 1;
  } catch (const std::exception& failure) {  // out of memory, or a defect: still an answer of the right form
    write_all(STDOUT_FILENO,
              std::string(R"({"cniVersion":"1.1.0","code":999,"msg":"internal error","details":")") +
                  "see standard error\"}\n");
    write_all(STDERR_FILENO, std::string("fairlead-cni: ") + failure.what() + "\n");
    return 1;
  }
}
