#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>

namespace fairlead::test {

// Runs a command of ours; tests stop where a laboratory cannot be built.
inline void sh(const std::string& command) {
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

inline bool is_root() {
  return geteuid() == 0;
}

// A network namespace that goes with the object. The name carries the pid: tests run side by side.
class Netns {
 public:
  explicit Netns(const std::string& name) : name_("fl-dpdk-" + std::to_string(getpid()) + "-" + name) {
    sh("ip netns add " + name_);
    run("ip link set lo up");
  }
  ~Netns() {
    // Servers that nobody came to.
    static_cast<void>(std::system(("ip netns pids " + name_ + " | xargs -r kill").c_str()));
    static_cast<void>(std::system(("ip netns del " + name_).c_str()));
  }
  Netns(const Netns&) = delete;
  Netns& operator=(const Netns&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string exec(const std::string& command) const {
    return "ip netns exec " + name_ + " " + command;
  }
  void run(const std::string& command) const { sh(exec(command)); }
  // Puts the calling thread inside until the object goes.
  class Entered {
   public:
    explicit Entered(const Netns& inside) : back_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
      const int fd = open(("/run/netns/" + inside.name()).c_str(), O_RDONLY | O_CLOEXEC);
      EXPECT_EQ(setns(fd, CLONE_NEWNET), 0);
      close(fd);
    }
    ~Entered() {
      EXPECT_EQ(setns(back_, CLONE_NEWNET), 0);
      close(back_);
    }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    int back_;
  };

 private:
  std::string name_;
};

}  // namespace fairlead::test
