#include "tests/model/model.hpp"

#include "tests/model/ip.hpp"

#include <algorithm>
#include <vector>

namespace fairlead::model {
namespace {

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

// Where a packet came from, once that is known.
struct From {
  uint32_t port = 0;
  const WorldEndpoint* endpoint = nullptr;  // trunk
  const WorldPeer* peer = nullptr;          // tunnel
};

// Where a packet goes.
struct Way {
  enum class Kind { kNone, kEndpoint, kBlackhole, kHost, kOverlay, kLink, kHold } kind = Kind::kNone;
  const WorldEndpoint* endpoint = nullptr;
  const WorldPeer* peer = nullptr;
  Bytes mac;
};

Bytes text_mac(const World& world, const std::string& name) {
  return golden::parse_mac(world.macs().at(name));
}

bool is_in(const std::vector<Net>& nets, const Bytes& address) {
  return std::any_of(nets.begin(), nets.end(), [&](const Net& net) { return net.contains(address); });
}

Bytes own_address(const World& world, size_t size) {
  return size == 4 ? world.vtep4 : world.vtep6;
}

bool is_own(const World& world, const Bytes& address) {
  return address == world.vtep4 || address == world.vtep6;
}

bool in_prefix(const Bytes& address, const char* prefix, unsigned length) {
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
Way underlay_way(const World& world, const Bytes& address) {
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

void append(Frame& frame, const Bytes& bytes, uint8_t mask = 0xff) {
  frame.bytes.insert(frame.bytes.end(), bytes.begin(), bytes.end());
  frame.mask.resize(frame.bytes.size(), mask);
}

void append_ethernet(Frame& frame, const Bytes& destination, const Bytes& source, int version) {
  append(frame, destination);
  append(frame, source);
  append(frame, version == 4 ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
}

Bytes vtep_mac(const Bytes& vtep) {
  return {
      0x02, 0x46, vtep[vtep.size() - 4], vtep[vtep.size() - 3], vtep[vtep.size() - 2], vtep[vtep.size() - 1]};
}

// RFC 7348 / RFC 8926 around `packet`; DSCP and ECN copied (RFC 6040, RFC 2983 uniform model).
void append_tunnel(const World& world, Frame& frame, const Way& way, const IpPacket& packet) {
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
  append(frame, packet.bytes);
  return judgement;
}

// The punted packet keeps its TTL: the node's stack is the end of the way, not a hop.
Judgement punt(const World& world, const IpPacket& packet) {
  Judgement judgement{Fate::kPunt, kHostPort, "", {}};
  append(judgement.frame, world.port_macs.at(kHostPort));
  append(judgement.frame, Bytes(6), 0);
  append(judgement.frame, packet.version == 4 ? Bytes{0x08, 0x00} : Bytes{0x86, 0xdd});
  append(judgement.frame, packet.bytes);
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

// RFC 792, 1191, 1812 4.3.2; RFC 4443: an error towards the source of `packet`, or just a drop where none may
// be sent.
Judgement answer(const World& world, const From& from, const IpPacket& packet, const std::string& reason,
                 uint8_t type4, uint8_t code4, uint8_t type6, uint8_t code6, uint32_t mtu) {
  if (packet.later_fragment || is_icmp_error(packet)) return drop(reason);
  const Bytes source = own_address(world, packet.source.size());
  const bool is4 = packet.version == 4;
  IpPacket error;
  error.version = packet.version;
  error.source = source.empty() ? golden::parse_address(is4 ? "169.254.1.1" : "fe80::1") : source;
  error.destination = packet.source;
  const size_t quoted = std::min(packet.bytes.size(), is4 ? size_t{548} : size_t{1232});
  Bytes icmp{is4 ? type4 : type6,
             is4 ? code4 : code6,
             0,
             0,
             static_cast<uint8_t>(mtu >> 24),
             static_cast<uint8_t>(mtu >> 16),
             static_cast<uint8_t>(mtu >> 8),
             static_cast<uint8_t>(mtu)};
  icmp.insert(icmp.end(), packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(quoted));
  uint32_t sum = 0;
  if (!is4) {
    sum = golden::partial_sum(error.source.data(), 16) + golden::partial_sum(error.destination.data(), 16) +
          58 + static_cast<uint32_t>(icmp.size());
  }
  const uint16_t checksum = golden::internet_checksum(icmp.data(), icmp.size(), sum);
  icmp[2] = static_cast<uint8_t>(checksum >> 8);
  icmp[3] = static_cast<uint8_t>(checksum);
  const size_t header = is4 ? 20 : 40;
  error.bytes.resize(header);
  const size_t length = is4 ? header + icmp.size() : icmp.size();
  error.bytes[0] = is4 ? 0x45 : 0x60;
  error.bytes[is4 ? 2 : 4] = static_cast<uint8_t>(length >> 8);
  error.bytes[is4 ? 3 : 5] = static_cast<uint8_t>(length);
  error.bytes[is4 ? 9 : 6] = is4 ? 1 : 58;
  std::copy(error.source.begin(), error.source.end(), error.bytes.begin() + (is4 ? 12 : 8));
  std::copy(error.destination.begin(), error.destination.end(), error.bytes.begin() + (is4 ? 16 : 24));
  error.bytes.insert(error.bytes.end(), icmp.begin(), icmp.end());
  Way way =
      from.port == kHostPort ? Way{Way::Kind::kHost, nullptr, nullptr, {}} : way_to(world, packet.source);
  if (from.endpoint != nullptr) way = {Way::Kind::kEndpoint, from.endpoint, nullptr, {}};
  if (way.kind == Way::Kind::kNone || way.kind == Way::Kind::kBlackhole || way.kind == Way::Kind::kHold)
    return drop(reason);
  Judgement judgement =
      way.kind == Way::Kind::kHost ? punt(world, error) : send(world, way, error, Fate::kAnswer, reason);
  judgement.fate = Fate::kAnswer;
  judgement.reason = reason;
  // Free choices: TOS/TC, id, TTL and so the header checksum of the error itself, and what is copied of it
  // outside.
  const size_t at = judgement.frame.bytes.size() - error.bytes.size();
  for (size_t byte = 0; byte < header; ++byte) {
    const bool free = is4 ? byte == 1 || byte == 4 || byte == 5 || byte == 8 || byte == 10 || byte == 11
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

Judgement route(const World& world, const From& from, IpPacket packet) {
  const Way way = way_to(world, packet.destination);
  const bool from_uplink = from.port == kUplinkPort;
  if (way.kind == Way::Kind::kHost) return from.port == kHostPort ? drop("HAIRPIN") : punt(world, packet);
  // RFC 3927 2.7, RFC 4291 2.5.6: not beyond the link.
  if (is_link_local(packet.destination)) return drop("MARTIAN_DESTINATION");
  if (is_link_local(packet.source)) return drop("MARTIAN_SOURCE");
  if (way.kind == Way::Kind::kBlackhole) return answer(world, from, packet, "NO_ENDPOINT", 3, 1, 1, 3, 0);
  if (from_uplink && way.kind != Way::Kind::kEndpoint) return drop("NO_ROUTE");
  if (way.kind == Way::Kind::kNone) return answer(world, from, packet, "NO_ROUTE", 3, 0, 1, 0, 0);
  if (way.kind == Way::Kind::kEndpoint && way.endpoint == from.endpoint) return drop("HAIRPIN");
  if (packet.ttl <= 1) return answer(world, from, packet, "TTL_EXCEEDED", 11, 0, 3, 0, 0);
  const size_t mtu = way.kind == Way::Kind::kHold ? 0 : mtu_of(world, way);
  if (mtu != 0 && packet.bytes.size() > mtu && packet.dont_fragment) {
    return answer(world, from, packet, "TOO_BIG", 3, 4, 2, 0, static_cast<uint32_t>(mtu));
  }
  if (way.kind == Way::Kind::kHold) return {Fate::kHold, kUplinkPort, "", {}};
  decrement_ttl(packet.bytes);
  return send(world, way, packet, Fate::kForward, "");
}

Judgement judge_destination(const World& world, const From& from, const IpPacket& packet) {
  if (is_multicast(packet.destination)) return drop("MULTICAST");
  if (is_martian(packet.destination)) return drop("MARTIAN_DESTINATION");
  return route(world, from, packet);
}

Judgement from_tunnel(const World& world, const Bytes& outer_source, uint8_t outer_class,
                      const Bytes& udp_payload) {
  const WorldPeer* peer = peer_with_vtep(world, outer_source);
  if (peer == nullptr) return drop("UNKNOWN_VTEP");
  if (udp_payload.size() < 8) return drop("MALFORMED_TUNNEL");
  size_t header = 8;
  if (world.geneve) {  // RFC 8926 3.4
    header += static_cast<size_t>(udp_payload[0] & 0x3f) * 4;
    const bool critical_or_control = (udp_payload[1] & 0xc0) != 0;
    if (udp_payload[0] >> 6 != 0 || critical_or_control || udp_payload[2] != 0x65 || udp_payload[3] != 0x58 ||
        header > udp_payload.size()) {
      return drop("MALFORMED_TUNNEL");
    }
  } else if (udp_payload[0] != 0x08 || udp_payload[1] != 0 || udp_payload[2] != 0 || udp_payload[3] != 0 ||
             udp_payload[7] != 0) {  // RFC 7348 5: the I flag; the rest would be an extension we do not speak
    return drop("MALFORMED_TUNNEL");
  }
  const Bytes inner(udp_payload.begin() + static_cast<std::ptrdiff_t>(header), udp_payload.end());
  if (inner.size() < 14) return drop("MALFORMED_TUNNEL");
  const uint32_t vni = static_cast<uint32_t>(udp_payload[4] << 16 | udp_payload[5] << 8 | udp_payload[6]);
  if (vni != world.vni) return drop("WRONG_VNI");
  const auto ethertype = static_cast<uint16_t>(inner[12] << 8 | inner[13]);
  if (ethertype == 0x0806) return drop("ARP_NOT_EXPECTED");
  if (ethertype != 0x0800 && ethertype != 0x86dd) return drop("UNKNOWN_ETHERTYPE");
  Read read = read_ip(ethertype, Bytes(inner.begin() + 14, inner.end()));
  if (!read.packet) return drop(read.error);
  IpPacket& packet = *read.packet;
  // RFC 6040 figure 4: CE outside marks an ECN-capable packet and discards one that is not.
  const uint8_t outer_ecn = outer_class & 3, inner_ecn = packet.traffic_class & 3;
  uint8_t ecn = inner_ecn;
  if (outer_ecn == 3) {
    if (inner_ecn == 0) return drop("CONGESTED_NOT_ECT");
    ecn = 3;
  } else if (outer_ecn == 1 && inner_ecn == 2) {
    ecn = 1;
  }
  const bool owned =
      is_in(peer->cidrs, packet.source) || packet.source == peer->vtep || packet.source == peer->alternate;
  if (!owned) return drop("INNER_SOURCE_NOT_OWNED");
  if (is_tunnel_to_a_node(world, packet)) return drop("TUNNEL_FROM_POD");
  if (ecn != inner_ecn) {
    packet.traffic_class = static_cast<uint8_t>((packet.traffic_class & 0xfc) | ecn);
    set_traffic_class(packet.bytes, packet.traffic_class);
  }
  return judge_destination(world, {kUplinkPort, nullptr, peer}, packet);
}

}  // namespace

Judgement judge(const World& world, uint32_t port, const Bytes& bytes) {
  if (bytes.size() < 14) return drop("MALFORMED_ETHERNET");
  const auto ethertype = static_cast<uint16_t>(bytes[12] << 8 | bytes[13]);
  if (ethertype == 0x8100 || ethertype == 0x88a8)
    return drop(port == kUplinkPort ? "UNKNOWN_ETHERTYPE" : "VLAN_FROM_POD");
  if (ethertype == 0x0806) return drop("ARP_NOT_EXPECTED");
  if (ethertype != 0x0800 && ethertype != 0x86dd) return drop("UNKNOWN_ETHERTYPE");
  const Read read = read_ip(ethertype, Bytes(bytes.begin() + 14, bytes.end()));
  if (!read.packet) return drop(read.error);
  const IpPacket& packet = *read.packet;
  From from{port, nullptr, nullptr};

  if (port == kTrunkPort) {
    const Bytes source_mac(bytes.begin() + 6, bytes.begin() + 12);
    for (const WorldEndpoint& endpoint : world.endpoints) {
      if (text_mac(world, "ep" + std::to_string(endpoint.id)) == source_mac) from.endpoint = &endpoint;
    }
    if (from.endpoint == nullptr) return drop("UNKNOWN_ENDPOINT");
    const std::vector<Bytes>& own = from.endpoint->addresses;
    if (std::find(own.begin(), own.end(), packet.source) == own.end()) return drop("SPOOFED_SOURCE");
    if (is_tunnel_to_a_node(world, packet)) return drop("TUNNEL_FROM_POD");
    return judge_destination(world, from, packet);
  }

  if (port == kUplinkPort) {
    if ((bytes[0] & 1) != 0) return drop("MULTICAST");  // RFC 1812 5.3.4: a link broadcast
    const bool to_tunnel_end = packet.protocol == 17 && !packet.later_fragment &&
                               packet.destination_port == world.tunnel_port &&
                               is_own(world, packet.destination);
    if (to_tunnel_end) {
      if (packet.more_fragments) return drop("FRAGMENT");  // tunnels set DF: nobody sends us these
      const auto udp = packet.bytes.begin() + static_cast<std::ptrdiff_t>(packet.header_length);
      const Bytes payload(udp + 8, udp + (udp[4] << 8 | udp[5]));
      return from_tunnel(world, packet.source, packet.traffic_class, payload);
    }
    const bool ours = is_in(world.local_pods, packet.source) || is_own(world, packet.source);
    if (ours || is_martian(packet.source) || is_multicast(packet.source)) return drop("MARTIAN_SOURCE");
  }
  return judge_destination(world, from, packet);
}

}  // namespace fairlead::model
