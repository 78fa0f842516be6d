#pragma once

#include "controlplane/ipam/ipam.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace fairlead::control {

// A directory of its own per test, gone afterwards, and a clock the test moves.
class IpamTest : public ::testing::Test {
 protected:
  IpamTest() {
    static std::atomic<int> serial{0};
    directory_ = std::filesystem::temp_directory_path() /
                 ("fl-ipam-" + std::to_string(::getpid()) + "-" + std::to_string(serial++));
    std::filesystem::create_directories(directory_);
  }
  ~IpamTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name = "a") const { return directory_ / name; }
  [[nodiscard]] std::string journal(const std::string& name = "a") const {
    return path(name) + "/addresses.journal";
  }

  Result<std::unique_ptr<Ipam>> try_open(const std::string& name = "a") {
    return Ipam::open({path(name), std::chrono::seconds(30), {boot_id_, [this] { return now_ns_; }}});
  }
  std::unique_ptr<Ipam> open(const std::vector<std::string>& cidrs = {"10.244.1.0/24", "fd00:1::/64"},
                             const std::string& name = "a") {
    Result<std::unique_ptr<Ipam>> ipam = try_open(name);
    if (!ipam) {
      ADD_FAILURE() << ipam.error().text();
      return nullptr;
    }
    std::vector<core::Prefix> prefixes;
    for (const std::string& cidr : cidrs) prefixes.push_back(*core::Prefix::parse(cidr));
    const Result<void> set = (*ipam)->set_cidrs(prefixes);
    EXPECT_TRUE(set.ok()) << set.error().text();
    return std::move(*ipam);
  }

  static AttachmentRequest pod(const std::string& name) {
    return {{"container-" + name, "eth0"}, "default", name, "uid-" + name, "/var/run/netns/" + name};
  }
  static std::string reserved(Ipam& ipam, const std::string& name) {
    const Result<Ipam::Reservation> got = ipam.reserve(pod(name));
    return got ? got->attachment.addresses.front().text() : got.error().code;
  }
  static bool committed(Ipam& ipam, const std::string& name) {
    return ipam.reserve(pod(name)).ok() && ipam.commit(pod(name).key).ok();
  }
  static bool released(Ipam& ipam, const std::string& name) {
    const Result<bool> done = ipam.release(pod(name).key);
    return done.ok() && *done;
  }

  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& file, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }

  std::filesystem::path directory_;
  std::string boot_id_ = "boot-1";
  int64_t now_ns_ = 1'000'000'000'000;
};

}  // namespace fairlead::control
