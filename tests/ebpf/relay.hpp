#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/ebpf/hooks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <map>
#include <mutex>
#include <net/if.h>
#include <poll.h>
#include <string>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fairlead::test {

inline uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// struct virtio_net_hdr; its header is no C++.
struct VirtioHeader {
  uint8_t flags, gso_type;
  uint16_t header_length, gso_size, checksum_start, checksum_offset;
};
static_assert(sizeof(VirtioHeader) == 10);
constexpr uint8_t kNeedsChecksum = 1;

// The smallest forwarder there is: a trunk TAP and a thread that sends every frame to the endpoint its
// destination address belongs to. What comes and goes crosses the TAP as the real forwarder sees it, virtio
// header included.
class Relay {
 public:
  Relay() {
    tap_ = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    EXPECT_GE(tap_, 0) << strerror(errno);
    ifreq request{};
    std::strcpy(request.ifr_name, "fltrunk");
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    EXPECT_EQ(ioctl(tap_, TUNSETIFF, &request), 0) << strerror(errno);
    EXPECT_EQ(ioctl(tap_, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0) << strerror(errno);
  }
  ~Relay() {
    stop();
    close(tap_);
  }

  void route(const core::IpAddress& address, core::EndpointId id) {
    const std::lock_guard lock(mutex_);
    routes_[address] = id;
  }

  // Relays and beats until stop().
  void start(ebpf::Hooks& hooks) {
    running_ = true;
    hooks.beat(monotonic_ns());
    thread_ = std::thread([this, &hooks] {
      std::vector<uint8_t> buffer(sizeof(VirtioHeader) + 65550);
      while (running_) {
        if (beating_) hooks.beat(monotonic_ns());
        pollfd ready{tap_, POLLIN, 0};
        if (poll(&ready, 1, 20) != 1) continue;
        for (ssize_t length; (length = read(tap_, buffer.data(), buffer.size())) > 0;) {
          relay(buffer.data(), static_cast<size_t>(length));
        }
      }
    });
  }
  void stop() {
    running_ = false;
    if (thread_.joinable()) thread_.join();
  }
  void set_beating(bool beating) { beating_ = beating; }

  // Writes a frame as the forwarder would.
  void inject(const std::vector<uint8_t>& frame) {
    std::vector<uint8_t> bytes(sizeof(VirtioHeader));
    bytes.insert(bytes.end(), frame.begin(), frame.end());
    EXPECT_EQ(write(tap_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size())) << strerror(errno);
  }

  [[nodiscard]] uint64_t frames() const { return frames_; }
  [[nodiscard]] uint64_t largest_frame() const { return largest_; }
  [[nodiscard]] uint64_t partial_checksums() const { return partial_checksums_; }
  // Source MACs that frames came with.
  [[nodiscard]] std::map<core::MacAddress, uint64_t> sources() {
    const std::lock_guard lock(mutex_);
    return sources_;
  }

 private:
  void relay(uint8_t* bytes, size_t length) {
    VirtioHeader header;
    std::memcpy(&header, bytes, sizeof(header));
    uint8_t* frame = bytes + sizeof(header);
    const size_t frame_length = length - sizeof(header);
    core::IpAddress destination;
    const bool is_ipv4 = frame[12] == 0x08 && frame[13] == 0x00;
    destination = is_ipv4 ? core::IpAddress::ipv4(load32(frame + 30)) : core::IpAddress::ipv6(frame + 38);
    core::MacAddress source;
    std::copy_n(frame + 6, 6, source.bytes.begin());
    const std::lock_guard lock(mutex_);
    ++frames_;
    ++sources_[source];
    largest_ = std::max<uint64_t>(largest_, frame_length);
    if ((header.flags & kNeedsChecksum) != 0) ++partial_checksums_;
    const auto found = routes_.find(destination);
    if (found == routes_.end()) return;
    const auto to = core::endpoint_mac(found->second);
    std::copy(to.bytes.begin(), to.bytes.end(), frame);
    std::copy(core::kGatewayMac.bytes.begin(), core::kGatewayMac.bytes.end(), frame + 6);
    (void)!write(tap_, bytes, length);  // a full queue loses the frame, as on a wire
  }

  static uint32_t load32(const uint8_t* bytes) {
    uint32_t value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }

  int tap_ = -1;
  std::thread thread_;
  std::atomic<bool> running_{false};
  std::atomic<bool> beating_{true};
  std::mutex mutex_;
  std::map<core::IpAddress, core::EndpointId> routes_;
  std::map<core::MacAddress, uint64_t> sources_;
  std::atomic<uint64_t> frames_{0}, largest_{0}, partial_checksums_{0};
};

}  // namespace fairlead::test
