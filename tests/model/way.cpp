#include "tests/model/way.hpp"

#include <algorithm>

namespace fairlead::model {

using golden::Frame;
using golden::kHostPort;
using golden::kTrunkPort;
using golden::kUplinkPort;
using golden::Net;
using golden::WorldEndpoint;
using golden::WorldPeer;
using golden::WorldRoute;

using Fate = Judgement::Fate;

Judgement drop(const std::string& reason) {
  return {Fate::kDrop, 0, reason, {}};
}

Bytes text_mac(const World& world, const std::string& name) {
  return golden::parse_mac(world.macs().at(name));
}

bool is_in(const std::vector<Net>& nets, const Bytes& address) {
  return std::any_of(nets.begin(), nets.end(), [&](const Net& net) { return net.contains(address); });
}

static Bytes own_address(const World& world, size_t size) {
  return size == 4 ? world.vtep4 : world.vtep6;
}

bool is_own(const World& world, const Bytes& address) {
  return address == world.vtep4 || address == world.vtep6;
}

static bool in_prefix(const Bytes& address, const char* prefix, unsigned length) {
  return Net{golden::parse_address(prefix), length}.contains(address);
}

// RFC 6890 and RFC 1122 3.2.1.3: addresses that never stand on a routed packet.
bool is_martian(const Bytes& address) {
  if (address.size() == 4)
    return in_prefix(address, "0.0.0.0", 8) || in_prefix(address, "127.0.0.0", 8) ||
           in_prefix(address, "240.0.0.0", 4);
  return in_prefix(address, "::", 96) || in_prefix(address, "::ffff:0:0", 96);
}
bool is_link_local(const Bytes& address) {
  return address.size() == 4 ? in_prefix(address, "169.254.0.0", 16) : in_prefix(address, "fe80::", 10);
}
bool is_multicast(const Bytes& address) {
  if (address.size() == 4)
    return in_prefix(address, "224.0.0.0", 4) || in_prefix(address, "255.255.255.255", 32);
  return in_prefix(address, "ff00::", 8);
}

const WorldPeer* peer_with_vtep(const World& world, const Bytes& address) {
  for (const WorldPeer& peer : world.peers) {
    if (peer.vtep == address || peer.alternate == address) return &peer;
  }
  return nullptr;
}

// What a pod may not send, wherever that pod is: it would speak as a node.
bool is_tunnel_to_a_node(const World& world, const IpPacket& packet) {
  return packet.protocol == 17 && !packet.later_fragment && packet.destination_port == world.tunnel_port &&
         (is_own(world, packet.destination) || peer_with_vtep(world, packet.destination) != nullptr);
}

// The next hop on the underlay for `address`: longest prefix, then the neighbour's MAC.
static Way underlay_way(const World& world, const Bytes& address) {
  const WorldRoute* best = nullptr;
  for (const WorldRoute& route : world.underlay) {
    if (route.net.contains(address) && (best == nullptr || route.net.length > best->net.length))
      best = &route;
  }
  if (best == nullptr) return {};
  if (best->kind == "local" || best->port == 0) return {Way::Kind::kHost, nullptr, nullptr, {}};
  const auto neighbour = world.neighbours.find(best->gateway.empty() ? address : best->gateway);
  if (neighbour == world.neighbours.end()) return {Way::Kind::kHold, nullptr, nullptr, {}};
  return {Way::Kind::kLink, nullptr, nullptr, neighbour->second};
}

// The FIB: pods of this node, its ranges, its own addresses, other nodes' ranges, the underlay.
Way way_to(const World& world, const Bytes& address) {
  for (const WorldEndpoint& endpoint : world.endpoints) {
    for (const Bytes& own : endpoint.addresses) {
      if (own == address) return {Way::Kind::kEndpoint, &endpoint, nullptr, {}};
    }
  }
  if (is_own(world, address)) return {Way::Kind::kHost, nullptr, nullptr, {}};
  if (is_in(world.local_pods, address)) return {Way::Kind::kBlackhole, nullptr, nullptr, {}};
  for (const WorldPeer& peer : world.peers) {
    if (!is_in(peer.cidrs, address)) continue;
    if (peer.overlay) {
      Way way = underlay_way(world, peer.vtep);
      if (way.kind == Way::Kind::kLink) way.kind = Way::Kind::kOverlay;
      way.peer = &peer;
      return way;
    }
    const Bytes& next_hop = address.size() == 4 ? peer.next_hop4 : peer.next_hop6;
    return next_hop.empty() ? Way{} : underlay_way(world, next_hop);
  }
  if (is_in(world.cluster_pods, address)) return {};  // a pod address of nobody never goes to the wire
  return underlay_way(world, address);
}

static void append(Frame& frame, const Bytes& bytes, uint8_t mask = 0xff) {
  frame.bytes.insert(frame.bytes.end(), bytes.begin(), bytes.end());
  frame.mask.resize(frame.bytes.size(), mask);
}

static void append_packet(Frame& frame, const IpPacket& packet) {
  const size_t start = frame.bytes.size();
  append(frame, packet.bytes);
  for (const auto& [at, length] : packet.unknown) {
    std::fill_n(frame.mask.begin() + static_cast<std::ptrdiff_t>(start + at), length, uint8_t{0});
  }
}

static void append_ethernet(Frame& frame, const Bytes& destination, const Bytes& source, int version) {
  append(frame, destination);
  append(frame, source);
  append(frame, version == 4 ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
}

static Bytes vtep_mac(const Bytes& vtep) {
  return {
      0x02, 0x46, vtep[vtep.size() - 4], vtep[vtep.size() - 3], vtep[vtep.size() - 2], vtep[vtep.size() - 1]};
}

// RFC 7348 / RFC 8926 around `packet`; DSCP and ECN copied (RFC 6040, RFC 2983 uniform model).
static void append_tunnel(const World& world, Frame& frame, const Way& way, const IpPacket& packet) {
  const Bytes& to = way.peer->vtep;
  const int version = to.size() == 4 ? 4 : 6;
  const Bytes& from = own_address(world, to.size());
  append_ethernet(frame, way.mac, world.port_macs.at(kUplinkPort), version);
  const size_t start = frame.bytes.size();
  const size_t udp_length = 8 + 8 + 14 + packet.bytes.size();
  const auto high = [](size_t value) { return static_cast<uint8_t>(value >> 8); };
  const auto low = [](size_t value) { return static_cast<uint8_t>(value); };
  const uint8_t tc = packet.traffic_class;
  if (version == 4) {
    append(frame, {0x45, tc, high(20 + udp_length), low(20 + udp_length)});
    append(frame, {0, 0}, 0);
    append(frame, {0x40, 0, 64, 17});
    append(frame, {0, 0}, 0);  // checksum: depends on the id; verified by whoever compares
  } else {
    append(frame, {static_cast<uint8_t>(0x60 | tc >> 4), static_cast<uint8_t>(tc << 4), 0, 0,
                   high(udp_length), low(udp_length), 17, 64});
    frame.mask[start + 1] = 0xf0;
    frame.mask[start + 2] = frame.mask[start + 3] = 0;  // flow label may carry entropy, RFC 6438
  }
  append(frame, from);
  append(frame, to);
  append(frame, {0, 0}, 0);  // source port: entropy
  append(frame, {high(world.tunnel_port), low(world.tunnel_port), high(udp_length), low(udp_length)});
  append(frame, {0, 0}, version == 4 ? 0xff : 0);
  const Bytes vni{low(world.vni >> 16), low(world.vni >> 8), low(world.vni), 0};
  append(frame, world.geneve ? Bytes{0, 0, 0x65, 0x58} : Bytes{0x08, 0, 0, 0});
  append(frame, vni);
  append(frame, way.peer->vtep_mac);
  append(frame, vtep_mac(from));
  append(frame, packet.version == 4 ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
}

// How many bytes of IP fit on the way.
size_t mtu_of(const World& world, const Way& way) {
  if (way.kind == Way::Kind::kEndpoint) return world.uplink_mtu;
  const size_t link = world.port_mtus.at(kUplinkPort);
  if (way.kind == Way::Kind::kOverlay) return link - (way.peer->vtep.size() == 4 ? 50 : 70);
  return link;
}

Judgement send(const World& world, const Way& way, const IpPacket& packet, Fate fate,
               const std::string& reason) {
  Judgement judgement{fate, way.kind == Way::Kind::kEndpoint ? kTrunkPort : kUplinkPort, reason, {}};
  Frame& frame = judgement.frame;
  if (way.kind == Way::Kind::kEndpoint) {
    append_ethernet(frame, text_mac(world, "ep" + std::to_string(way.endpoint->id)), text_mac(world, "gw"),
                    packet.version);
  } else if (way.kind == Way::Kind::kOverlay) {
    append_tunnel(world, frame, way, packet);
  } else {
    append_ethernet(frame, way.mac, world.port_macs.at(kUplinkPort), packet.version);
  }
  append_packet(frame, packet);
  return judgement;
}

// The punted packet keeps its TTL: the node's stack is the end of the way, not a hop.
Judgement punt(const World& world, const IpPacket& packet) {
  Judgement judgement{Fate::kPunt, kHostPort, "", {}};
  append(judgement.frame, world.port_macs.at(kHostPort));
  append(judgement.frame, Bytes(6), 0);
  append(judgement.frame, packet.version == 4 ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
  append_packet(judgement.frame, packet);
  return judgement;
}

bool is_icmp_error(const IpPacket& packet) {
  if (packet.version == 4 && packet.protocol == 1) {
    return packet.icmp_type != 0 && packet.icmp_type != 8 &&
           !(packet.icmp_type >= 13 && packet.icmp_type <= 18) && packet.icmp_type != 9 &&
           packet.icmp_type != 10;
  }
  return packet.version == 6 && packet.protocol == 58 && (packet.icmp_type < 128 || packet.icmp_type == 137);
}

namespace {

// `packet`, made by this node, back to the sender of what came `from` there.
Judgement send_back(const World& world, const From& from, const IpPacket& packet, const std::string& reason) {
  const bool is4 = packet.version == 4;
  Way way = from.port == kHostPort ? Way{Way::Kind::kHost, nullptr, nullptr, {}}
                                   : way_to(world, packet.destination);
  if (from.endpoint != nullptr) way = {Way::Kind::kEndpoint, from.endpoint, nullptr, {}};
  if (way.kind == Way::Kind::kNone || way.kind == Way::Kind::kBlackhole || way.kind == Way::Kind::kHold)
    return drop(reason);
  Judgement judgement =
      way.kind == Way::Kind::kHost ? punt(world, packet) : send(world, way, packet, Fate::kAnswer, reason);
  judgement.fate = Fate::kAnswer;
  judgement.reason = reason;
  // Free choices: TOS/TC, id, TTL, DF and so the header checksum of what we send, and what is copied of it
  // outside.
  const size_t header = is4 ? 20 : 40;
  const size_t at = judgement.frame.bytes.size() - packet.bytes.size();
  for (size_t byte = 0; byte < header; ++byte) {
    const bool free =
        is4 ? byte == 1 || byte == 4 || byte == 5 || byte == 6 || byte == 8 || byte == 10 || byte == 11
            : (byte >= 1 && byte <= 3) || byte == 7;
    if (free) judgement.frame.mask[at + byte] = 0;
  }
  if (!is4) judgement.frame.mask[at] = 0xf0;
  if (way.kind == Way::Kind::kOverlay) {
    judgement.frame.mask[15] = 0;
    if (way.peer->vtep.size() == 16) judgement.frame.mask[14] = 0xf0;
  }
  return judgement;
}

// An IP packet of ours: header without checksum, then `payload`, whose checksum field at `checksum_at` is
// filled in (ICMPv4 alone has no pseudo-header).
IpPacket packet_of(const Bytes& source, const Bytes& destination, uint8_t protocol, Bytes payload,
                   size_t checksum_at) {
  IpPacket packet;
  const bool is4 = source.size() == 4;
  packet.version = is4 ? 4 : 6;
  packet.source = source;
  packet.destination = destination;
  uint32_t sum = 0;
  if (protocol != 1) {
    sum = golden::partial_sum(source.data(), source.size()) +
          golden::partial_sum(destination.data(), destination.size()) + protocol +
          static_cast<uint32_t>(payload.size());
  }
  const uint16_t checksum = golden::internet_checksum(payload.data(), payload.size(), sum);
  payload[checksum_at] = static_cast<uint8_t>(checksum >> 8);
  payload[checksum_at + 1] = static_cast<uint8_t>(checksum);
  const size_t header = is4 ? 20 : 40;
  packet.bytes.resize(header);
  const size_t length = is4 ? header + payload.size() : payload.size();
  packet.bytes[0] = is4 ? 0x45 : 0x60;
  packet.bytes[is4 ? 2 : 4] = static_cast<uint8_t>(length >> 8);
  packet.bytes[is4 ? 3 : 5] = static_cast<uint8_t>(length);
  packet.bytes[is4 ? 9 : 6] = protocol;
  std::copy(source.begin(), source.end(), packet.bytes.begin() + (is4 ? 12 : 8));
  std::copy(destination.begin(), destination.end(), packet.bytes.begin() + (is4 ? 16 : 24));
  packet.bytes.insert(packet.bytes.end(), payload.begin(), payload.end());
  return packet;
}

}  // namespace

Judgement answer(const World& world, const From& from, const IpPacket& packet, const std::string& reason,
                 const Error& error) {
  if (packet.later_fragment || is_icmp_error(packet)) return drop(reason);
  const bool is4 = packet.version == 4;
  const Bytes own = own_address(world, packet.source.size());
  const Bytes source = own.empty() ? golden::parse_address(is4 ? "169.254.1.1" : "fe80::1") : own;
  const size_t quoted = std::min(packet.bytes.size(), is4 ? size_t{548} : size_t{1232});
  Bytes icmp{is4 ? error.type4 : error.type6,
             is4 ? error.code4 : error.code6,
             0,
             0,
             static_cast<uint8_t>(error.mtu >> 24),
             static_cast<uint8_t>(error.mtu >> 16),
             static_cast<uint8_t>(error.mtu >> 8),
             static_cast<uint8_t>(error.mtu)};
  icmp.insert(icmp.end(), packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(quoted));
  return send_back(world, from, packet_of(source, packet.source, is4 ? 1 : 58, icmp, 2), reason);
}

Judgement reset(const World& world, const From& from, const IpPacket& packet, const std::string& reason) {
  const uint8_t* tcp = packet.bytes.data() + packet.header_length;
  const uint8_t flags = tcp[13];
  if ((flags & 0x04) != 0) return drop(reason);
  const auto number = [&](size_t at) {
    return static_cast<uint32_t>(tcp[at]) << 24 | static_cast<uint32_t>(tcp[at + 1]) << 16 |
           static_cast<uint32_t>(tcp[at + 2]) << 8 | tcp[at + 3];
  };
  const auto data = static_cast<uint32_t>(packet.bytes.size() - packet.header_length - (tcp[12] >> 4) * 4u);
  const bool has_ack = (flags & 0x10) != 0;
  const uint32_t sequence = has_ack ? number(8) : 0;
  const uint32_t acknowledged =
      has_ack ? 0 : number(4) + data + ((flags & 0x02) != 0 ? 1 : 0) + ((flags & 0x01) != 0 ? 1 : 0);
  Bytes segment{tcp[2], tcp[3], tcp[0], tcp[1]};
  for (const uint32_t value : {sequence, acknowledged}) {
    for (const int shift : {24, 16, 8, 0}) segment.push_back(static_cast<uint8_t>(value >> shift));
  }
  const Bytes rest{0x50, static_cast<uint8_t>(has_ack ? 0x04 : 0x14), 0, 0, 0, 0, 0, 0};
  segment.insert(segment.end(), rest.begin(), rest.end());
  return send_back(world, from, packet_of(packet.destination, packet.source, 6, segment, 16), reason);
}

}  // namespace fairlead::model
