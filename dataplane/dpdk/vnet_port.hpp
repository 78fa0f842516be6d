#pragma once

#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/port.hpp"
#include "dataplane/dpdk/software_offload.hpp"
#include "dataplane/dpdk/tcp_train.hpp"

#include <rte_mempool.h>

#include <atomic>
#include <memory>
#include <vector>

namespace fairlead::dpdk {

// A descriptor over which the kernel exchanges whole frames with a VnetHeader in front: a TAP, or a
// packet socket.
//
// TCP super-packets cross whole in both directions, checksums travel as "still to be done". Each frame is
// read into one contiguous 64 KiB buffer, header included; each write hands the kernel a frame or a train of
// TCP segments.
class VnetPort : public Port {
 public:
  // Bytes taken in one burst: keeps a burst of super-packets inside the caches.
  static constexpr uint32_t kBurstBytes = 512 * 1024;

  ~VnetPort() override;
  unsigned receive(unsigned queue, std::span<core::Packet> room) override;
  void transmit(unsigned lane, std::span<core::Packet* const> packets,
                std::span<core::DropReason> outcome) override;
  [[nodiscard]] int poll_fd(unsigned queue) const override { return queues_[queue].fd; }
  [[nodiscard]] unsigned queues() const override { return static_cast<unsigned>(queues_.size()); }
  [[nodiscard]] bool link_up() const override { return link_.is_up(); }
  [[nodiscard]] uint64_t missed() const override { return missed_.load(std::memory_order_relaxed); }

 protected:
  // `lanes`: how many workers will transmit.
  VnetPort(PortSpec spec, rte_mempool* big_pool, rte_mempool* small_pool, unsigned lanes);

  struct Queue {
    int fd = -1;
    rte_mbuf* spare = nullptr;  // allocated, not filled yet
  };
  std::vector<Queue> queues_;
  KernelLink link_;
  unsigned header_bytes_ = kVnetHeaderBytes;  // or kTunnelVnetHeaderBytes: what the kernel expects here
  bool cuts_tunnels_ = false;                 // the kernel cuts super-packets inside of tunnels

 private:
  static constexpr unsigned kTrains = 4;
  struct alignas(64) Lane {
    std::array<TcpTrain, kTrains> trains;
    unsigned next_victim = 0;
    SoftwareOffload software;

    explicit Lane(rte_mempool* small_pool) : software(small_pool) {}
  };

  rte_mbuf* fill_buffer(Queue& queue, core::Offload& offload, bool& again);
  void send_alone(int fd, core::Packet& packet, core::DropReason& outcome);
  [[nodiscard]] bool send_cut(Lane& lane, int fd, core::Packet& packet, core::DropReason& outcome);
  void depart(TcpTrain& train, int fd, std::span<core::DropReason> outcome);
  [[nodiscard]] TcpTrain& free_train(Lane& lane, int fd, std::span<core::DropReason> outcome);
  [[nodiscard]] static TcpTrain* train_of(Lane& lane, const core::Packet& packet,
                                          const TcpTrain::Segment& segment);

  rte_mempool* big_pool_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<uint64_t> missed_{0};
};

}  // namespace fairlead::dpdk
