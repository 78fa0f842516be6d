#include "tests/model/generate.hpp"

#include <arpa/inet.h>
#include <string>

namespace fairlead::model {
namespace {

using golden::Bytes;
using golden::Net;
using golden::World;

std::string text_of(const Bytes& address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
}

Bytes pod4(uint32_t node, uint32_t host) {
  return {10, 244, static_cast<uint8_t>(node), static_cast<uint8_t>(host)};
}
Bytes pod6(uint32_t node, uint32_t host) {
  Bytes address = golden::parse_address("fd00:10:244::");
  address[7] = static_cast<uint8_t>(node);
  address[15] = static_cast<uint8_t>(host);
  return address;
}
Bytes node4(uint32_t node) {
  return {192, 0, 2, static_cast<uint8_t>(node)};
}
Bytes node6(uint32_t node) {
  Bytes address = golden::parse_address("2001:db8::");
  address[15] = static_cast<uint8_t>(node);
  return address;
}
Net net(const Bytes& address, unsigned length) {
  return {address, length};
}
Bytes mac(uint8_t kind, uint32_t number) {
  return {0x02, kind, 0, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
}

}  // namespace

World Generator::world() {
  World world;
  const bool has4 = chance(90), has6 = !has4 || chance(80);
  world.geneve = chance(25);
  world.tunnel_port = world.geneve ? 6081 : 4789;
  world.vni = 1 + below(0xfffffe);
  if (has4) world.vtep4 = node4(1);
  if (has6) world.vtep6 = node6(1);
  world.cluster_pods = {net({10, 244, 0, 0}, 16), net(golden::parse_address("fd00:10:244::"), 48)};
  world.local_pods = {net(pod4(1, 0), 24), net(pod6(1, 0), 64)};
  // Never below what IPv6 needs behind the largest tunnel header (RFC 8200 5: 1,280).
  const uint32_t link_mtu = chance(50) ? 1500 : 1350 + below(650);
  for (const uint32_t port : {golden::kUplinkPort, golden::kTrunkPort, golden::kHostPort}) {
    world.port_macs[port] = mac(0xaa, port);
    world.port_mtus[port] = link_mtu;
  }
  world.uplink_mtu = link_mtu;
  world.pod_mtu = link_mtu - (has4 ? 50 : 70);
  for (uint32_t id = 1; id <= 1 + below(4); ++id) {
    golden::WorldEndpoint endpoint;
    endpoint.id = id * (chance(10) ? 70000 : 1);
    endpoint.name = "p" + std::to_string(id);
    endpoint.mac = mac(0x0a, id);
    if (chance(95)) endpoint.addresses.push_back(pod4(1, 1 + id));
    if (chance(80) || endpoint.addresses.empty()) endpoint.addresses.push_back(pod6(1, 1 + id));
    world.endpoints.push_back(endpoint);
  }
  if (has4) {
    world.underlay.push_back({net(node4(0), 27), "unicast", {}, 1});
    world.underlay.push_back({net(node4(1), 32), "local", {}, 0});
    if (chance(80)) world.underlay.push_back({net({0, 0, 0, 0}, 0), "unicast", node4(30), 1});
    if (chance(90)) world.neighbours[node4(30)] = mac(0xbb, 30);
  }
  if (has6) {
    world.underlay.push_back({net(node6(0), 64), "unicast", {}, 1});
    world.underlay.push_back({net(node6(1), 128), "local", {}, 0});
    if (chance(80)) world.underlay.push_back({net(Bytes(16), 0), "unicast", node6(30), 1});
    if (chance(90)) world.neighbours[node6(30)] = mac(0xbb, 30);
  }
  for (uint32_t id = 2; id <= 2 + below(4); ++id) {
    golden::WorldPeer peer;
    peer.id = id;
    peer.name = "node-" + std::to_string(id);
    peer.overlay = chance(50);
    peer.vtep = has4 ? node4(id) : node6(id);
    if (has4 && has6 && chance(70)) peer.alternate = node6(id);
    peer.vtep_mac = mac(0x46, id);
    if (has4) peer.next_hop4 = node4(id);
    if (has6) peer.next_hop6 = node6(id);
    peer.cidrs = {net(pod4(id, 0), 24), net(pod6(id, 0), 64)};
    if (chance(85)) world.neighbours[node4(id)] = mac(0xbb, id);
    if (chance(85)) world.neighbours[node6(id)] = mac(0xbb, id);
    world.peers.push_back(peer);
  }
  return world;
}

Bytes Generator::some_address(const World& world, bool ipv4) {
  static const char* odd4[] = {"127.0.0.1", "0.0.0.0",     "224.0.0.1",  "255.255.255.255",
                               "240.1.2.3", "169.254.1.1", "203.0.113.9"};
  static const char* odd6[] = {
      "::1", "::", "ff02::1", "::ffff:1.2.3.4", "2001:db8:99::1", "fd00:10:244:1::ffff"};
  const uint32_t kind = below(100);
  if (kind < 45 && !world.endpoints.empty()) {
    const auto& endpoint = world.endpoints[below(static_cast<uint32_t>(world.endpoints.size()))];
    for (const Bytes& address : endpoint.addresses) {
      if ((address.size() == 4) == ipv4) return address;
    }
  }
  const uint32_t node = 1 + below(6);
  if (kind < 80) return ipv4 ? pod4(node, 1 + below(8)) : pod6(node, 1 + below(8));
  if (kind < 90) return ipv4 ? node4(node) : node6(node);
  return golden::parse_address(ipv4 ? odd4[below(7)] : odd6[below(6)]);
}

std::string Generator::some_address_text(const World& world, bool ipv4) {
  return text_of(some_address(world, ipv4));
}

std::string Generator::packet_text(const World& world, bool ipv4, const std::string& source,
                                   const std::string& destination) {
  const uint32_t ttl = chance(90) ? 2 + below(250) : below(3);
  const uint32_t traffic_class = chance(60) ? 0 : below(256);
  const uint32_t payload = chance(85) ? below(200) : 1100 + below(900);
  std::string text = ipv4 ? "ip4(" : "ip6(";
  text += source + ">" + destination;
  if (ipv4) {
    text += " ttl=" + std::to_string(ttl) + " tos=" + std::to_string(traffic_class) +
            " id=" + std::to_string(below(65536));
    // Too big and not to be fragmented is ours to answer; too big without DF is the engine's to fragment (own
    // tests).
    if (payload > 1000 || chance(50)) text += " df";
    if (chance(3)) text += " mf";
    if (chance(3)) text += " off=64 proto=17";
    if (chance(2)) text += " csum=bad";
    if (chance(2)) text += " opts=94040000";
  } else {
    text += " hl=" + std::to_string(ttl) + " tc=" + std::to_string(traffic_class) +
            " fl=" + std::to_string(below(1u << 20));
  }
  text += ") ";
  if (!ipv4 && chance(15)) {
    static const char* extensions[] = {
        "hbh() ",         "dstopt(len=1) ",           "ah(len=4) ",     "rh(type=0) ", "frag() ",
        "frag(mf id=N) ", "frag(off=64 nh=17 id=N) ", "dstopt() hbh() "};
    std::string extension = extensions[below(8)];
    // Datagrams of their own: what two with one id become is not compared.
    if (const size_t id = extension.find('N'); id != std::string::npos)
      extension.replace(id, 1, std::to_string(1000000 + random_() % 1000000000));
    text += extension;
    if (chance(30)) text += "dstopt() ";
  }
  const std::string ports = std::to_string(chance(80) ? 1 + below(4) : below(65536)) + ">" +
                            std::to_string(chance(10)   ? world.tunnel_port
                                           : chance(80) ? 1 + below(4)
                                                        : below(65536));
  switch (below(6)) {
    case 0:
      text += "tcp(" + ports + " flags=" + (chance(30) ? "S" : chance(30) ? "FA" : "A") + ")";
      break;
    case 1:
      text += ipv4 ? (chance(70) ? "icmp(8 0 id=5 seq=6)" : "icmp(" + std::to_string(below(20)) + " 0)")
                   : (chance(70) ? "icmp6(128 0 id=5 seq=6)" : "icmp6(" + std::to_string(below(160)) + " 0)");
      break;
    case 2:
      text += "sctp(" + ports + ")";
      break;
    default:
      text += "udp(" + ports + (chance(10) ? " csum=0)" : ")");
  }
  return text + " zeros(" + std::to_string(payload) + ")";
}

std::string Generator::tunnel_text(const World& world, const std::string& inner) {
  const bool outer4 = !world.vtep4.empty() && (world.vtep6.empty() || chance(80));
  const uint32_t peer = 2 + below(5);
  const std::string source = text_of(outer4 ? node4(peer) : node6(peer));
  const std::string destination = text_of(outer4 ? node4(chance(97) ? 1 : 9) : node6(chance(97) ? 1 : 9));
  const std::string tc = std::to_string(chance(70) ? 0 : below(256));
  const std::string vni = std::to_string(chance(95) ? world.vni : below(1u << 24));
  std::string text = outer4 ? "ip4(" + source + ">" + destination + " df tos=" + tc + ") "
                            : "ip6(" + source + ">" + destination + " tc=" + tc + ") ";
  text +=
      "udp(50000>" + std::to_string(chance(97) ? world.tunnel_port : 4788) + (outer4 ? " csum=0) " : ") ");
  if (world.geneve) {
    text += "geneve(" + vni + " optlen=" + std::to_string(chance(70) ? 0 : 1 + below(8)) +
            (chance(3) ? " critical" : "") + (chance(2) ? " ver=1" : "") + ") ";
  } else {
    text += "vxlan(" + vni + (chance(3) ? " flags=0" : "") + ") ";
  }
  return text + "eth(02:00:00:00:00:09>02:00:00:00:00:08) " + inner;
}

void Generator::mutate(Bytes& frame) {
  switch (below(4)) {
    case 0:
      frame.resize(below(static_cast<uint32_t>(frame.size()) + 1));
      break;
    case 1:
      frame.resize(frame.size() + below(40));
      break;
    default:
      for (uint32_t times = 1 + below(3); times > 0 && !frame.empty(); --times) {
        // Mostly in the headers, where it matters.
        const auto limit = static_cast<uint32_t>(frame.size());
        frame[below(chance(80) ? std::min(limit, 110u) : limit)] = static_cast<uint8_t>(below(256));
      }
  }
}

std::pair<uint32_t, Bytes> Generator::packet(const World& world) {
  const bool ipv4 = chance(55);
  const uint32_t kind = below(100);
  uint32_t port = golden::kTrunkPort;
  std::string text;
  if (kind < 50 && !world.endpoints.empty()) {
    const auto& endpoint = world.endpoints[below(static_cast<uint32_t>(world.endpoints.size()))];
    std::string source = some_address_text(world, ipv4);
    for (const Bytes& address : endpoint.addresses) {
      if ((address.size() == 4) == ipv4 && chance(93)) source = text_of(address);
    }
    const std::string mac = chance(97) ? "ep" + std::to_string(endpoint.id) : "02:46:4c:00:12:34";
    text = "eth(" + mac + ">gw) " + packet_text(world, ipv4, source, some_address_text(world, ipv4));
  } else if (kind < 90) {
    port = golden::kUplinkPort;
    const uint32_t node = 2 + below(5);
    const std::string source = chance(85)
                                   ? text_of(ipv4 ? pod4(node, 1 + below(8)) : pod6(node, 1 + below(8)))
                                   : some_address_text(world, ipv4);
    const std::string inner = packet_text(world, ipv4, source, some_address_text(world, ipv4));
    text = "eth(02:bb:00:00:00:02>self) " + (chance(55) ? tunnel_text(world, inner) : inner);
  } else {
    port = golden::kHostPort;
    const std::string source = text_of(ipv4 ? node4(1) : node6(1));
    text = "eth(host>host) " + packet_text(world, ipv4, source, some_address_text(world, ipv4));
  }
  Bytes frame = golden::build_frame(text, world.macs()).bytes;
  if (chance(12)) mutate(frame);
  return {port, frame};
}

}  // namespace fairlead::model
