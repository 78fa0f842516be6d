#include "tools/cli/child.hpp"

#include "tools/cli/interrupt.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <signal.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace fairlead::cli {
namespace {

// In a process group of its own, so that a Ctrl-C reaches it once, from us, and not a second time in the
// middle of its cleaning up.
int spawn(const std::vector<std::string>& arguments, int out, pid_t& pid) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

Result<ChildOutcome> run_child(const std::vector<std::string>& arguments) {
  const Interrupt interrupt;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error{"FL6031", std::string("pipe: ") + std::strerror(errno), ""};
  pid_t pid = -1;
  const int error = spawn(arguments, ends[1], pid);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    return Error{"FL6031", arguments[0] + " cannot be started: " + std::strerror(error),
                 "tools/bench builds and runs everything"};
  }
  ChildOutcome outcome;
  for (;;) {
    if (!outcome.interrupted && !interrupt.wait_readable(ends[0])) {
      outcome.interrupted = true;
      kill(pid, SIGTERM);
    }
    char buffer[65536];
    const ssize_t got = read(ends[0], buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    outcome.out.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

std::string self_directory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string find_program(const std::string& name) {
  std::vector<std::string> directories{self_directory()};
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    std::stringstream parts{path};
    for (std::string directory; std::getline(parts, directory, ':');) directories.push_back(directory);
  }
  for (const std::string& directory : directories) {
    std::string candidate = directory + "/" + name;
    if (!directory.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

}  // namespace fairlead::cli
