// What arrives: which port, from whom, whole or not, in a tunnel or not.
#include "tests/model/model.hpp"
#include "tests/model/way.hpp"

#include <algorithm>

namespace fairlead::model {

using golden::kTrunkPort;
using golden::kUplinkPort;
using golden::WorldEndpoint;
using golden::WorldPeer;

static std::vector<Allowed> only(const Judgement& judgement) {
  Allowed one;
  one.judgement = judgement;
  return {one};
}

std::vector<Allowed> Model::tunnelled(const Bytes& outer_source, uint8_t outer_class,
                                      const Bytes& udp_payload) const {
  const World& world = world_;
  const WorldPeer* peer = peer_with_vtep(world, outer_source);
  if (peer == nullptr) return only(drop("UNKNOWN_VTEP"));
  if (udp_payload.size() < 8) return only(drop("MALFORMED_TUNNEL"));
  size_t header = 8;
  if (world.geneve) {  // RFC 8926 3.4
    header += static_cast<size_t>(udp_payload[0] & 0x3f) * 4;
    const bool critical_or_control = (udp_payload[1] & 0xc0) != 0;
    if (udp_payload[0] >> 6 != 0 || critical_or_control || udp_payload[2] != 0x65 || udp_payload[3] != 0x58 ||
        header > udp_payload.size()) {
      return only(drop("MALFORMED_TUNNEL"));
    }
  } else if (udp_payload[0] != 0x08 || udp_payload[1] != 0 || udp_payload[2] != 0 || udp_payload[3] != 0 ||
             udp_payload[7] != 0) {  // RFC 7348 5: the I flag; the rest would be an extension we do not speak
    return only(drop("MALFORMED_TUNNEL"));
  }
  const Bytes inner(udp_payload.begin() + static_cast<std::ptrdiff_t>(header), udp_payload.end());
  if (inner.size() < 14) return only(drop("MALFORMED_TUNNEL"));
  const uint32_t vni = static_cast<uint32_t>(udp_payload[4] << 16 | udp_payload[5] << 8 | udp_payload[6]);
  if (vni != world.vni) return only(drop("WRONG_VNI"));
  const auto ethertype = static_cast<uint16_t>(inner[12] << 8 | inner[13]);
  if (ethertype == 0x0806) return only(drop("ARP_NOT_EXPECTED"));
  if (ethertype != 0x0800 && ethertype != 0x86dd) return only(drop("UNKNOWN_ETHERTYPE"));
  Read read = read_ip(ethertype, Bytes(inner.begin() + 14, inner.end()));
  if (!read.packet) return only(drop(read.error));
  IpPacket& packet = *read.packet;
  // RFC 6040 figure 4: CE outside marks an ECN-capable packet and discards one that is not.
  const uint8_t outer_ecn = outer_class & 3, inner_ecn = packet.traffic_class & 3;
  uint8_t ecn = inner_ecn;
  if (outer_ecn == 3) {
    if (inner_ecn == 0) return only(drop("CONGESTED_NOT_ECT"));
    ecn = 3;
  } else if (outer_ecn == 1 && inner_ecn == 2) {
    ecn = 1;
  }
  const bool owned =
      is_in(peer->cidrs, packet.source) || packet.source == peer->vtep || packet.source == peer->alternate;
  if (!owned) return only(drop("INNER_SOURCE_NOT_OWNED"));
  if (is_tunnel_to_a_node(world, packet)) return only(drop("TUNNEL_FROM_POD"));
  if (ecn != inner_ecn) {
    packet.traffic_class = static_cast<uint8_t>((packet.traffic_class & 0xfc) | ecn);
    set_traffic_class(packet.bytes, packet.traffic_class);
  }
  return decide({kUplinkPort, nullptr, peer}, packet);
}

std::vector<Allowed> Model::judge(uint32_t port, const Bytes& bytes) const {
  const World& world = world_;
  if (bytes.size() < 14) return only(drop("MALFORMED_ETHERNET"));
  const auto ethertype = static_cast<uint16_t>(bytes[12] << 8 | bytes[13]);
  if (ethertype == 0x8100 || ethertype == 0x88a8)
    return only(drop(port == kUplinkPort ? "UNKNOWN_ETHERTYPE" : "VLAN_FROM_POD"));
  if (ethertype == 0x0806) return only(drop("ARP_NOT_EXPECTED"));
  if (ethertype != 0x0800 && ethertype != 0x86dd) return only(drop("UNKNOWN_ETHERTYPE"));
  const Read read = read_ip(ethertype, Bytes(bytes.begin() + 14, bytes.end()));
  if (!read.packet) return only(drop(read.error));
  const IpPacket& packet = *read.packet;
  From from{port, nullptr, nullptr};

  if (port == kTrunkPort) {
    const Bytes source_mac(bytes.begin() + 6, bytes.begin() + 12);
    for (const WorldEndpoint& endpoint : world.endpoints) {
      if (text_mac(world, "ep" + std::to_string(endpoint.id)) == source_mac) from.endpoint = &endpoint;
    }
    if (from.endpoint == nullptr) return only(drop("UNKNOWN_ENDPOINT"));
    const std::vector<Bytes>& own = from.endpoint->addresses;
    if (std::find(own.begin(), own.end(), packet.source) == own.end()) return only(drop("SPOOFED_SOURCE"));
    if (is_tunnel_to_a_node(world, packet)) return only(drop("TUNNEL_FROM_POD"));
    return decide(from, packet);
  }

  if (port == kUplinkPort) {
    if ((bytes[0] & 1) != 0) return only(drop("MULTICAST"));  // RFC 1812 5.3.4: a link broadcast
    const bool to_tunnel_end = packet.protocol == 17 && !packet.later_fragment &&
                               packet.destination_port == world.tunnel_port &&
                               is_own(world, packet.destination);
    if (to_tunnel_end) {
      if (packet.more_fragments) return only(drop("FRAGMENT"));  // tunnels set DF: nobody sends us these
      const auto udp = packet.bytes.begin() + static_cast<std::ptrdiff_t>(packet.header_length);
      const Bytes payload(udp + 8, udp + (udp[4] << 8 | udp[5]));
      return tunnelled(packet.source, packet.traffic_class, payload);
    }
    const bool ours = is_in(world.local_pods, packet.source) || is_own(world, packet.source);
    if (ours || is_martian(packet.source) || is_multicast(packet.source)) return only(drop("MARTIAN_SOURCE"));
  }
  return decide(from, packet);
}

}  // namespace fairlead::model
