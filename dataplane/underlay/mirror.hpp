#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/underlay.hpp"

#include <cstdint>
#include <memory>
#include <span>

namespace fairlead {

// A port of the forwarder and the kernel's device it stands on.
struct MirroredPort {
  core::PortId port = 0;
  uint32_t ifindex = 0;
  bool is_host_port = false;  // fairlead0: routes that point to it are ours and are left out
};

// Mirrors the kernel's links, routes and neighbours, as far as they concern the forwarder's ports, into
// core::Underlay.
//
// The kernel stays the source of truth. Routes: main and local tables. A route by a device that is no port of
// ours has next hops with port 0; routes to the host port, link-local and multicast prefixes are left out.
// Threads: one control thread. Costs O(change) per event; a full read after open(), set_ports() and lost
// events, and a re-read of the routes when a link or address goes (the kernel removes IPv4 routes silently
// then).
class UnderlayMirror {
 public:
  // Opens netlink in the current network namespace, or in that of `netns_fd`.
  static Result<std::unique_ptr<UnderlayMirror>> open(int netns_fd = -1);
  ~UnderlayMirror();
  UnderlayMirror(const UnderlayMirror&) = delete;
  UnderlayMirror& operator=(const UnderlayMirror&) = delete;

  // Says which devices are ports, and reads everything anew. Wanted neighbours of ports that are gone are
  // forgotten.
  Result<void> set_ports(std::span<const MirroredPort> ports);

  // Readable when process_events() has something to do.
  [[nodiscard]] int poll_fd() const;

  // Takes in what the kernel has reported, without blocking. true: current() has changed.
  Result<bool> process_events();

  [[nodiscard]] const core::Underlay& current() const;

  // Asks the kernel to find `address` on `port`'s link; the answer arrives as an event. From then on the
  // neighbour is wanted: refresh() keeps it fresh, since the kernel does not see our traffic that would
  // confirm it.
  // Each call for a neighbour that failed or was flushed makes the kernel try again: the caller sets the
  // pace.
  Result<void> resolve(core::PortId port, const core::IpAddress& address);

  // Call about once a second. Tells the kernel every few seconds that wanted neighbours are in use, so that
  // it probes stale ones, and at once for failed ones. A neighbour that stays unresolved and is not asked for
  // again is forgotten. `now_ns`: CLOCK_MONOTONIC.
  Result<void> refresh(uint64_t now_ns);

 private:
  struct State;
  explicit UnderlayMirror(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fairlead
