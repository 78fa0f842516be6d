#pragma once

#include "dataplane/dpdk/port.hpp"
#include "dataplane/dpdk/wire_tap.hpp"

#include <array>
#include <memory>
#include <vector>

namespace fairlead::dpdk {

// An uplink that receives by one port (AF_XDP, a packet socket) and has two ways out: TCP goes by a WireTap,
// super-packets whole, everything else by that port.
//
// Order: the way is chosen by IP protocol (of the inner packet, inside a tunnel) and by whether there is a
// tunnel, never by size, so that all packets of a flow take one way and cannot overtake each other.
class OffloadUplink final : public Port {
 public:
  OffloadUplink(std::unique_ptr<Port> nic, std::unique_ptr<WireTap> wire, unsigned workers);

  unsigned receive(unsigned queue, std::span<core::Packet> room) override {
    return nic_->receive(queue, room);
  }
  void transmit(unsigned lane, std::span<core::Packet* const> packets,
                std::span<core::DropReason> outcome) override;
  [[nodiscard]] int poll_fd(unsigned queue) const override { return nic_->poll_fd(queue); }
  [[nodiscard]] unsigned queues() const override { return nic_->queues(); }
  Result<void> follow(const core::NodeSettings& settings) override { return nic_->follow(settings); }
  [[nodiscard]] bool link_up() const override { return nic_->link_up(); }
  [[nodiscard]] uint64_t missed() const override { return nic_->missed(); }

 private:
  // One worker's packets for one way, and their places in the burst.
  struct Share {
    std::array<core::Packet*, core::kBurst> packets;
    std::array<uint16_t, core::kBurst> place;
    std::array<core::DropReason, core::kBurst> outcome;
    unsigned count = 0;
  };
  struct alignas(64) Lane {
    Share wire, nic;
  };

  [[nodiscard]] bool goes_by_wire(const core::Packet& packet) const;
  static void send(Port& way, unsigned lane, Share& share, std::span<core::DropReason> outcome);

  std::unique_ptr<Port> nic_;
  std::unique_ptr<WireTap> wire_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace fairlead::dpdk
