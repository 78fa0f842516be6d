#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace fairlead::control {

// What CNI calls an attachment: one interface of one container. Everything a node keeps for a pod hangs on
// it.
//
// This header is also compiled into the static CNI plugin: it needs nothing but the standard library.
struct AttachmentKey {
  std::string container_id;
  std::string interface;  // inside the pod, e.g. eth0

  auto operator<=>(const AttachmentKey&) const = default;
  [[nodiscard]] std::string text() const { return container_id + "/" + interface; }
};

// How many names host_interface_name() has for one attachment before a collision is an error.
inline constexpr unsigned kHostInterfaceNames = 8;

// The name of the veth end on the node: "fl" and 11 hex digits of a hash of the key (13 characters of 15).
// `attempt` 1, 2, ... gives the next candidates for when another attachment already has the first.
[[nodiscard]] std::string host_interface_name(const AttachmentKey& key, unsigned attempt = 0);

// The alias (`ip link show`) that the node's veth end carries. It says whose the link is, so that a link is
// only ever removed for the attachment it was made for, whatever its name.
[[nodiscard]] std::string link_alias(const AttachmentKey& key);

// 64 bits of FNV-1a, stirred. For names, not against an adversary: every use checks for collisions.
[[nodiscard]] uint64_t name_hash(std::string_view text, uint64_t seed = 0);

}  // namespace fairlead::control
