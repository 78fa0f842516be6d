#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace fairlead::test {

// Network namespaces of a test's own: the calling thread moves into a fresh network and mount namespace ("the
// node"), with a BPF file system and a private /run/netns. Whatever the test leaves behind dies with the
// process, even a crashed one.
class NetworkLab {
 public:
  // Call first in SetUp(), from a process without other threads. False: not root; skip.
  [[nodiscard]] static bool enter() {
    if (geteuid() != 0) return false;
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return false;
    mkdir("/run/netns", 0755);
    const bool mounted = mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         mount("tmpfs", "/run/netns", "tmpfs", 0, nullptr) == 0 &&
                         mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0 &&
                         mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) == 0;
    EXPECT_TRUE(mounted) << strerror(errno);
    sh("ip link set lo up");
    return mounted;
  }

  static void sh(const std::string& command) {
    const int status =
        std::system((command + " >/tmp/fl-bpf-lab." + std::to_string(getpid()) + " 2>&1").c_str());
    EXPECT_EQ(status, 0) << command << "\n" << slurp("/tmp/fl-bpf-lab." + std::to_string(getpid()));
    unlink(("/tmp/fl-bpf-lab." + std::to_string(getpid())).c_str());
  }

  static std::string output_of(const std::string& command) {
    std::string text;
    FILE* pipe = popen(command.c_str(), "re");
    char buffer[512];
    while (pipe != nullptr && std::fgets(buffer, sizeof(buffer), pipe) != nullptr) text += buffer;
    if (pipe != nullptr) pclose(pipe);
    return text;
  }

  static void add_namespace(const std::string& name) { sh("ip netns add " + name); }

  // Runs `work` in the named namespace, in a thread of its own; sockets it makes stay there.
  static void in(const std::string& name, const std::function<void()>& work) {
    std::thread([&] {
      const int fd = open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
      ASSERT_GE(fd, 0) << name;
      ASSERT_EQ(setns(fd, CLONE_NEWNET), 0) << strerror(errno);
      close(fd);
      work();
    }).join();
  }

 private:
  static std::string slurp(const std::string& path) {
    std::string text;
    FILE* file = std::fopen(path.c_str(), "re");
    char buffer[512];
    while (file != nullptr && std::fgets(buffer, sizeof(buffer), file) != nullptr) text += buffer;
    if (file != nullptr) std::fclose(file);
    return text;
  }
};

}  // namespace fairlead::test
