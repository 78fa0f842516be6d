#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace fairlead::control {

// A network namespace that lives as long as the object, without a name anywhere.
class TestNetns {
 public:
  TestNetns() {
    std::thread([this] {
      if (::unshare(CLONE_NEWNET) == 0) fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY);
    }).join();
  }
  ~TestNetns() { close(); }
  TestNetns(const TestNetns&) = delete;
  TestNetns& operator=(const TestNetns&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
  }

  // What iproute2 prints in there; an opinion that shares no code with ours.
  [[nodiscard]] std::string ip(const std::string& arguments) const {
    std::string output;
    std::thread([&] {
      if (::setns(fd_, CLONE_NEWNET) == 0) output = print_of("ip " + arguments + " 2>&1");
    }).join();
    return output;
  }

  [[nodiscard]] static std::string print_of(const std::string& command) {
    std::string output;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return output;
    std::array<char, 4096> part{};
    for (size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;)
      output.append(part.data(), got);
    ::pclose(pipe);
    return output;
  }

 private:
  int fd_ = -1;
};

// Every test is a node of its own: the thread that runs it is in a fresh network namespace.
class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    (void)ip("link set lo up");
  }
  [[nodiscard]] static std::string ip(const std::string& arguments) {
    return TestNetns::print_of("ip " + arguments + " 2>&1");
  }
  static void expect_has(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
  }
  static void expect_lacks(const std::string& text, const std::string& part) {
    EXPECT_EQ(text.find(part), std::string::npos) << "\"" << part << "\" in:\n" << text;
  }
};

}  // namespace fairlead::control
