#include "tests/golden/world.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <tuple>

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

// "10.96.0.10:80" or "[fd00::1]:80".
std::pair<Bytes, uint32_t> parse_address_and_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw std::invalid_argument("no port in " + text);
  std::string address = text.substr(0, colon);
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  const auto port = static_cast<uint32_t>(std::stoul(text.substr(colon + 1)));
  if (port == 0 || port > 65535) throw std::invalid_argument("no port in " + text);
  return {parse_address(address), port};
}

WorldService& service_of(World& world, const std::string& id) {
  const auto found = world.services.find(static_cast<uint32_t>(std::stoul(id)));
  if (found == world.services.end()) throw std::invalid_argument("no service " + id);
  return found->second;
}

using Words = std::vector<std::string>;
using Values = std::map<std::string, std::string>;

void read_service(World& world, const Words& words, const Values& values) {
  static const std::map<std::string, int> protocols{{"tcp", 6}, {"udp", 17}, {"sctp", 132}};
  WorldService service;
  service.id = static_cast<uint32_t>(std::stoul(words.at(0)));
  service.name = words.at(1);
  if (!protocols.contains(words.at(2))) throw std::invalid_argument("no protocol is called " + words[2]);
  service.protocol = protocols.at(words[2]);
  for (size_t at = 3; at < words.size(); ++at) {
    if (words[at] == "internal-local") {
      service.internal_local = true;
    } else if (words[at] == "external-local") {
      service.external_local = true;
    } else if (words[at] == "ipv6") {
      service.ipv6 = true;
    } else {
      throw std::invalid_argument("unknown word for a service: " + words[at]);
    }
  }
  using Kind = WorldFrontend::Kind;
  static const std::map<std::string, Kind> kinds{
      {"cluster", Kind::kClusterIp}, {"lb", Kind::kLoadBalancer}, {"external", Kind::kExternalIp}};
  for (const auto& [key, value] : values) {
    if (const auto kind = kinds.find(key); kind != kinds.end()) {
      const auto [address, port] = parse_address_and_port(value);
      service.ipv6 = address.size() == 16;
      service.frontends.push_back({kind->second, address, port});
    } else if (key == "node") {
      service.frontends.push_back({Kind::kNodePort, {}, static_cast<uint32_t>(std::stoul(value))});
    } else if (key == "affinity") {
      service.affinity_seconds = static_cast<uint32_t>(std::stoul(value));
    } else if (key == "ranges") {
      for (const std::string& range : split(value, ',')) service.source_ranges.push_back(parse_net(range));
    } else {
      throw std::invalid_argument("unknown key for a service: " + key);
    }
  }
  world.services[service.id] = service;
}

void remove_backend(WorldService& service, const Bytes& address, uint32_t port) {
  std::erase_if(service.backends,
                [&](const WorldBackend& one) { return one.address == address && one.port == port; });
}

void read_backend(World& world, const Words& words, const Values& values) {
  WorldService& service = service_of(world, words.at(0));
  WorldBackend backend;
  std::tie(backend.address, backend.port) = parse_address_and_port(words.at(1));
  bool terminating = false;
  for (size_t at = 2; at < words.size(); ++at) {
    if (words[at] == "local") {
      backend.local = true;
    } else if (words[at] == "not-serving") {
      backend.serving = false;
      terminating = true;
    } else if (words[at] == "terminating") {
      terminating = true;
    } else if (words[at] == "not-cluster") {
      backend.in_cluster = false;
    } else {
      throw std::invalid_argument("unknown word for a backend: " + words[at]);
    }
  }
  backend.in_local = backend.local && !terminating;
  backend.in_cluster = backend.in_cluster && !terminating;
  if (values.contains("object")) backend.object = values.at("object");
  remove_backend(service, backend.address, backend.port);
  service.backends.push_back(backend);
}

// True when the line is one of the Services' or of translation's.
bool read_service_line(World& world, const std::string& verb, const Words& words, const Values& values) {
  if (verb == "services") {
    for (const std::string& word : words) world.cluster_services.push_back(parse_net(word));
  } else if (verb == "no-masquerade") {
    for (const std::string& word : words) world.no_masquerade.push_back(parse_net(word));
  } else if (verb == "node-ports") {
    for (const std::string& word : words) world.node_port_addresses.push_back(parse_address(word));
  } else if (verb == "masquerade") {
    for (const std::string& word : words) {
      const Bytes address = parse_address(word);
      (address.size() == 4 ? world.masquerade4 : world.masquerade6) = address;
    }
    if (values.contains("ports")) {
      const std::vector<std::string> ends = split(values.at("ports"), '-');
      world.snat_first = static_cast<uint32_t>(std::stoul(ends.at(0)));
      world.snat_last = static_cast<uint32_t>(std::stoul(ends.at(1)));
    }
  } else if (verb == "service") {
    read_service(world, words, values);
  } else if (verb == "backend") {
    read_backend(world, words, values);
  } else if (verb == "no-service") {
    if (world.services.erase(static_cast<uint32_t>(std::stoul(words.at(0)))) == 0)
      throw std::invalid_argument("no service " + words[0]);
  } else if (verb == "no-backend") {
    const auto [address, port] = parse_address_and_port(words.at(1));
    WorldService& service = service_of(world, words.at(0));
    const size_t before = service.backends.size();
    remove_backend(service, address, port);
    if (service.backends.size() == before) throw std::invalid_argument("no backend " + words[1]);
  } else {
    return false;
  }
  return true;
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
  std::map<std::string, std::string> names{
      {"gw", "02:46:4c:ff:ff:ff"},
      {"any", "00:00:00:00:00:00"},
      {"snat", std::to_string(snat_first) + "-" + std::to_string(snat_last)}};
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
    for (const Bytes& address : endpoint.addresses) names["ep@" + address_text(address)] = mac_text(id);
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
  if (read_service_line(world, verb, words, values)) return;
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
  } else if (verb == "peer-mode") {
    const auto id = static_cast<uint32_t>(std::stoul(words.at(0)));
    for (WorldPeer& peer : world.peers) {
      if (peer.id == id) peer.overlay = words.at(1) == "overlay";
    }
  } else if (verb == "no-endpoint") {
    const auto id = static_cast<uint32_t>(std::stoul(words.at(0)));
    std::erase_if(world.endpoints, [&](const WorldEndpoint& one) { return one.id == id; });
  } else if (verb == "no-neighbour") {
    world.neighbours.erase(parse_address(words.at(0)));
  } else {
    throw std::invalid_argument("unknown state line: " + line);
  }
}

}  // namespace fairlead::golden
