#pragma once

#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/port.hpp"
#include "dataplane/dpdk/software_offload.hpp"

#include <rte_spinlock.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::dpdk {

// A port that a DPDK driver serves: memif, ring, null, pcap, PCI devices, AF_XDP.
//
// Checksums and TCP segmentation are left to the device where it says that it can (not inside tunnels);
// otherwise they are done here on transmission, so that no frame leaves unfinished.
class EthdevPort final : public Port {
 public:
  struct Opening {
    std::string devargs;  // "net_memif0,role=server" or the name of a device that exists already
    std::string driver;   // for people; empty: the driver's own name
    std::string
        kernel_device;  // the interface behind it, when there is one: its MAC, MTU and link state count
    unsigned queue_pairs = 1;
    uint16_t frame_room = 0;  // bytes a buffer must hold; 0: the usual 2 KiB
    bool private_pool =
        false;              // transmit only from the port's own buffers (AF_XDP: they are the shared memory)
    bool sets_mtu = false;  // the device takes its MTU from us
    unsigned buffers = 4096;  // per queue
  };

  // Errors: FL2010 unknown device, FL2013 the driver refused (with its words), FL2002.
  [[nodiscard]] static Result<std::unique_ptr<EthdevPort>> open(const PortSpec& spec, const Opening& opening,
                                                                unsigned workers);
  ~EthdevPort() override;

  unsigned receive(unsigned queue, std::span<core::Packet> room) override;
  void transmit(unsigned lane, std::span<core::Packet* const> packets,
                std::span<core::DropReason> outcome) override;
  [[nodiscard]] int poll_fd(unsigned queue) const override { return poll_fds_[queue]; }
  [[nodiscard]] unsigned queues() const override { return static_cast<unsigned>(poll_fds_.size()); }
  [[nodiscard]] bool link_up() const override;
  [[nodiscard]] uint64_t missed() const override;
  [[nodiscard]] uint16_t ethdev() const { return ethdev_; }
  void set_exclusive(bool exclusive) { is_exclusive_ = exclusive; }

 private:
  static constexpr unsigned kFrames = 64;

  // One worker's frames on their way out; `owner` is the packet's place in the burst.
  struct alignas(64) Lane {
    rte_mbuf* frames[kFrames];
    uint16_t owner[kFrames];
    bool is_packets_own[kFrames];  // the frame is the packet's own buffer, not a copy
    unsigned count = 0;
    SoftwareOffload software;

    explicit Lane(rte_mempool* pool) : software(pool) {}
  };

  EthdevPort(PortSpec spec, const Opening& opening);
  Result<void> find_or_probe();
  Result<void> configure(unsigned workers);
  Result<void> set_up_queues();
  Error refused(const char* doing, int error) const;
  // The mbuf to send for a packet that needs no cutting: its own, or a copy from our pool. nullptr:
  // NO_BUFFER.
  rte_mbuf* whole_frame(const core::Packet& packet, bool& is_own) const;
  void push(unsigned lane, rte_mbuf* frame, uint16_t owner, bool is_own, std::span<core::DropReason> outcome);
  void flush(unsigned lane, std::span<core::DropReason> outcome);
  bool transmit_ready(unsigned lane, std::span<core::Packet* const> packets,
                      std::span<core::DropReason> outcome);
  core::DropReason send(unsigned lane, core::Packet& packet, uint16_t index, bool& keeps_buffer,
                        std::span<core::DropReason> outcome);

  Opening opening_;
  KernelLink kernel_link_;  // with Opening::kernel_device
  uint16_t ethdev_ = UINT16_MAX;
  bool was_probed_ = false;
  bool is_started_ = false;
  rte_mempool* pool_ = nullptr;
  uint64_t tx_offloads_ = 0;
  uint16_t tx_queues_ = 1;
  bool shares_tx_ = false;
  std::vector<rte_spinlock_t> tx_locks_;
  std::vector<int> poll_fds_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<uint64_t> malformed_{0};
};

}  // namespace fairlead::dpdk
