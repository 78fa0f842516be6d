#pragma once

#include "tests/golden/world.hpp"
#include "tests/model/ip.hpp"
#include "tests/model/model.hpp"

#include <optional>
#include <string>
#include <vector>

namespace fairlead::model {

// Where packets come from and go to, and how they look there: links, tunnels, the node's own stack.

// Where a packet goes.
struct Way {
  enum class Kind { kNone, kEndpoint, kBlackhole, kHost, kOverlay, kLink, kHold } kind = Kind::kNone;
  const golden::WorldEndpoint* endpoint = nullptr;
  const golden::WorldPeer* peer = nullptr;
  Bytes mac;
};

[[nodiscard]] bool is_in(const std::vector<golden::Net>& nets, const Bytes& address);
[[nodiscard]] bool is_own(const World& world, const Bytes& address);
[[nodiscard]] bool is_martian(const Bytes& address);
[[nodiscard]] bool is_link_local(const Bytes& address);
[[nodiscard]] bool is_multicast(const Bytes& address);
[[nodiscard]] bool is_icmp_error(const IpPacket& packet);
[[nodiscard]] const golden::WorldPeer* peer_with_vtep(const World& world, const Bytes& address);
// What a pod may not send, wherever that pod is: it would speak as a node.
[[nodiscard]] bool is_tunnel_to_a_node(const World& world, const IpPacket& packet);
[[nodiscard]] Bytes text_mac(const World& world, const std::string& name);

// The FIB: pods of this node, its ranges, its own addresses, other nodes' ranges, the underlay.
[[nodiscard]] Way way_to(const World& world, const Bytes& address);
// How many bytes of IP fit on the way.
[[nodiscard]] size_t mtu_of(const World& world, const Way& way);

[[nodiscard]] Judgement drop(const std::string& reason);
[[nodiscard]] Judgement send(const World& world, const Way& way, const IpPacket& packet, Judgement::Fate fate,
                             const std::string& reason);
[[nodiscard]] Judgement punt(const World& world, const IpPacket& packet);

// What an ICMP error says, per family.
struct Error {
  uint8_t type4, code4, type6, code6;
  uint32_t mtu = 0;
};
// RFC 792, 1191, 1812 4.3.2; RFC 4443: an error towards the source of `packet`, or just a drop where none may
// be sent.
[[nodiscard]] Judgement answer(const World& world, const From& from, const IpPacket& packet,
                               const std::string& reason, const Error& error);
// RFC 9293 3.10.7.1: as a host without the connection answers a segment; a drop when that is a reset itself.
[[nodiscard]] Judgement reset(const World& world, const From& from, const IpPacket& packet,
                              const std::string& reason);

}  // namespace fairlead::model
