#include "tests/golden/world.hpp"

#include <sstream>
#include <stdexcept>

namespace fairlead::golden {
namespace {

Net parse_net(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) throw std::invalid_argument("not a prefix: " + text);
  return {parse_address(text.substr(0, slash)), static_cast<unsigned>(std::stoul(text.substr(slash + 1)))};
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string mac_text(const Bytes& mac) {
  std::string text;
  for (size_t at = 0; at < mac.size(); ++at) text += (at != 0 ? ":" : "") + hex({mac[at]});
  return text;
}

}  // namespace

bool Net::contains(const Bytes& other) const {
  if (other.size() != address.size()) return false;
  for (unsigned bit = 0; bit < length; ++bit) {
    const uint8_t mask = static_cast<uint8_t>(0x80u >> (bit % 8));
    if (((address[bit / 8] ^ other[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

std::map<std::string, std::string> World::macs() const {
  std::map<std::string, std::string> names{{"gw", "02:46:4c:ff:ff:ff"}, {"any", "00:00:00:00:00:00"}};
  if (port_macs.contains(kUplinkPort)) names["self"] = mac_text(port_macs.at(kUplinkPort));
  if (port_macs.contains(kHostPort)) names["host"] = mac_text(port_macs.at(kHostPort));
  for (const WorldEndpoint& endpoint : endpoints) {
    const Bytes id{0x02,
                   0x46,
                   0x4c,
                   static_cast<uint8_t>(endpoint.id >> 16),
                   static_cast<uint8_t>(endpoint.id >> 8),
                   static_cast<uint8_t>(endpoint.id)};
    names["ep" + std::to_string(endpoint.id)] = mac_text(id);
    names["pod" + std::to_string(endpoint.id)] = mac_text(endpoint.mac);
  }
  for (const WorldPeer& peer : peers) {
    const auto neighbour = neighbours.find(peer.vtep);
    if (neighbour != neighbours.end()) names["peer" + std::to_string(peer.id)] = mac_text(neighbour->second);
    names["vtep" + std::to_string(peer.id)] = mac_text(peer.vtep_mac);
  }
  for (const WorldRoute& route : underlay) {
    const auto neighbour = neighbours.find(route.gateway);
    if (!route.gateway.empty() && neighbour != neighbours.end())
      names["router"] = mac_text(neighbour->second);
  }
  return names;
}

void read_world_line(World& world, const std::string& line) {
  std::stringstream stream(line);
  std::string verb;
  stream >> verb;
  std::vector<std::string> words;
  std::map<std::string, std::string> values;
  for (std::string word; stream >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      words.push_back(word);
    } else {
      values[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  const auto number = [&](const char* key, uint32_t otherwise) {
    return values.contains(key) ? static_cast<uint32_t>(std::stoul(values[key])) : otherwise;
  };
  const auto address = [&](const char* key) {
    return values.contains(key) ? parse_address(values[key]) : Bytes{};
  };
  if (verb == "node") {
    if (!words.empty()) world.name = words[0];
    if (values.contains("mode")) world.mode = values["mode"];
    if (values.contains("encap")) world.geneve = values["encap"] == "geneve";
    world.vni = number("vni", world.vni);
    world.tunnel_port = number("port", world.tunnel_port);
    world.pod_mtu = number("pod_mtu", world.pod_mtu);
    world.uplink_mtu = number("uplink_mtu", world.uplink_mtu);
    if (values.contains("vtep4")) world.vtep4 = address("vtep4");
    if (values.contains("vtep6")) world.vtep6 = address("vtep6");
  } else if (verb == "cluster") {
    for (const std::string& word : words) world.cluster_pods.push_back(parse_net(word));
  } else if (verb == "local") {
    for (const std::string& word : words) world.local_pods.push_back(parse_net(word));
  } else if (verb == "endpoint") {
    WorldEndpoint endpoint;
    endpoint.id = static_cast<uint32_t>(std::stoul(words.at(0)));
    endpoint.name = words.at(1);
    for (size_t at = 2; at < words.size(); ++at) endpoint.addresses.push_back(parse_address(words[at]));
    endpoint.mac = parse_mac(values.at("mac"));
    world.endpoints.push_back(endpoint);
  } else if (verb == "peer") {
    WorldPeer peer;
    peer.id = static_cast<uint32_t>(std::stoul(words.at(0)));
    peer.name = words.at(1);
    peer.overlay = words.at(2) == "overlay";
    peer.vtep = address("vtep");
    peer.alternate = address("alt");
    peer.vtep_mac = parse_mac(values.at("mac"));
    peer.next_hop4 = address("nh4");
    peer.next_hop6 = address("nh6");
    for (const std::string& cidr : split(values["cidrs"], ',')) peer.cidrs.push_back(parse_net(cidr));
    world.peers.push_back(peer);
  } else if (verb == "link") {
    const auto port = static_cast<uint32_t>(std::stoul(words.at(0)));
    world.port_macs[port] = parse_mac(values.at("mac"));
    world.port_mtus[port] = number("mtu", 1500);
  } else if (verb == "route") {
    WorldRoute route;
    route.net = parse_net(words.at(0));
    if (words.size() > 1) route.kind = words[1];
    route.gateway = address("via");
    route.port = number("port", 0);
    world.underlay.push_back(route);
  } else if (verb == "neighbour") {
    world.neighbours[parse_address(words.at(0))] = parse_mac(words.at(1));
  } else if (verb == "no-neighbour") {
    world.neighbours.erase(parse_address(words.at(0)));
  } else {
    throw std::invalid_argument("unknown state line: " + line);
  }
}

}  // namespace fairlead::golden
