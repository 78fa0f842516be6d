#pragma once

#include "dataplane/core/counters.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/engine.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::dpdk {

// What workers receive from and send to. One virtual call per burst.
//
// Threads: receive() of one queue from one worker at a time (the engine gives every queue one owner);
// transmit() from any worker with its own `lane`; everything else from the control thread. Buffers of
// received packets belong to the receiver until a transmit() takes them or it frees them.
class Port {
 public:
  explicit Port(PortSpec spec) : spec_(std::move(spec)) {}
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // Takes at most room.size() frames; fills data, length, headroom, tailroom, buffer, offload and rx_port,
  // and resets the rest.
  virtual unsigned receive(unsigned queue, std::span<core::Packet> room) = 0;

  // Sends packets[i] and says how it went in outcome[i]: NONE means the buffer is taken, anything else
  // (TX_FULL, NO_BUFFER, NO_UPLINK, ...) that the packet was not sent whole and stays the caller's.
  virtual void transmit(unsigned lane, std::span<core::Packet* const> packets,
                        std::span<core::DropReason> outcome) = 0;

  // Readable when `queue` has something; -1: this port can only be polled.
  [[nodiscard]] virtual int poll_fd(unsigned queue) const = 0;
  [[nodiscard]] virtual unsigned queues() const = 0;

  // Tells the device that the forwarder's state changed (kernel filters that depend on pod CIDRs and the
  // tunnel).
  virtual Result<void> follow(const core::NodeSettings& settings) {
    static_cast<void>(settings);
    return {};
  }

  [[nodiscard]] virtual bool link_up() const = 0;
  [[nodiscard]] virtual uint64_t missed() const { return 0; }  // frames lost before receive()

  [[nodiscard]] const PortSpec& spec() const { return spec_; }
  [[nodiscard]] const core::MacAddress& mac() const { return mac_; }
  [[nodiscard]] const std::string& driver() const { return driver_; }
  [[nodiscard]] const std::string& note() const { return note_; }
  [[nodiscard]] bool is_exclusive() const {
    return is_exclusive_;
  }  // the kernel does not see this device's traffic
  void set_note(std::string note) { note_ = std::move(note); }

 protected:
  PortSpec spec_;
  core::MacAddress mac_;
  std::string driver_;
  std::string note_;
  bool is_exclusive_ = false;
};

}  // namespace fairlead::dpdk
