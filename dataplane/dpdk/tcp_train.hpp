#pragma once

#include "dataplane/core/packet.hpp"
#include "dataplane/dpdk/vnet_header.hpp"

#include <array>
#include <cstdint>
#include <sys/uio.h>

namespace fairlead::dpdk {

// Consecutive TCP segments of one flow, coupled so that the kernel takes them in one write as the
// super-packet they were before the wire cut them (generic receive offload, without copying: one iovec per
// segment).
//
// Only what can be cut again into exactly these segments is coupled: same Ethernet and IP header but for
// length, id and checksum; same ports, acknowledgement, window, flags and options; sequence numbers without a
// gap; equal payloads but for a shorter last one. A segment whose checksum is wrong is never coupled: alone,
// it reaches the receiver as it is and is refused there.
class TcpTrain {
 public:
  static constexpr unsigned kSegmentsMax = 60;
  static constexpr uint32_t kBytesMax = 60'000;

  // A packet's place in its burst, so that the caller can tell its fate.
  struct Car {
    core::Packet* packet;
    uint16_t index;
  };

  // What of a packet decides whether it can be coupled.
  struct Segment {
    uint16_t l4_offset = 0;
    uint16_t header_bytes = 0;  // Ethernet to end of TCP options
    uint16_t payload_bytes = 0;
    uint32_t sequence = 0;
    uint8_t flags = 0;
    bool is_ipv6 = false;
  };

  enum class Kind : uint8_t {
    kNotTcp,   // no order to keep with any train
    kAlone,    // TCP, `l4_offset` and `is_ipv6` are good: must not overtake its flow's train
    kSegment,  // a plain data segment
  };
  [[nodiscard]] static Kind examine(const core::Packet& packet, Segment& segment);
  // The packet belongs to the train's flow, whether or not it can be coupled.
  [[nodiscard]] bool same_flow(const core::Packet& packet, const Segment& segment) const;

  [[nodiscard]] bool empty() const { return count_ == 0; }
  void start(Car car, const Segment& segment);
  [[nodiscard]] bool append(Car car, const Segment& segment);

  [[nodiscard]] unsigned size() const { return count_; }
  [[nodiscard]] const Car& car(unsigned i) const { return cars_[i]; }

  // Makes the first packet's headers those of the super-packet and lists the pieces behind iov[0], which is
  // the caller's (the virtio header). Returns the number of iovecs used, iov[0] included. The train is empty
  // afterwards but car() stays good.
  unsigned close(VnetHeader& header, std::array<iovec, kSegmentsMax + 1>& iov);
  void clear() { count_ = 0; }

 private:
  [[nodiscard]] static bool checksum_right(const core::Packet& packet, const Segment& segment);

  std::array<Car, kSegmentsMax> cars_;
  unsigned count_ = 0;
  Segment first_;
  uint32_t payload_total_ = 0;
  uint32_t next_sequence_ = 0;
  uint8_t flags_seen_ = 0;
  bool is_closed_ = false;  // a short or pushed segment ended it
};

}  // namespace fairlead::dpdk
