#include "tests/model/history.hpp"

#include "tests/model/ip.hpp"

#include <algorithm>
#include <optional>

namespace fairlead::model {
namespace {

using golden::address_text;
using golden::Bytes;
using golden::World;
using golden::WorldBackend;
using golden::WorldEndpoint;
using golden::WorldFrontend;
using golden::WorldPeer;
using golden::WorldService;

Bytes with_last(const char* base, uint32_t last) {
  Bytes address = golden::parse_address(base);
  address.back() = static_cast<uint8_t>(last);
  return address;
}

Bytes cluster_ip(bool ipv6, uint32_t number) {
  return with_last(ipv6 ? "fd00:10:96::" : "10.96.0.0", number);
}
Bytes outsider(bool ipv6, uint32_t number) {
  return with_last(ipv6 ? "2001:db8:99::" : "198.51.100.0", number);
}
Bytes pod_of(uint32_t node, bool ipv6, uint32_t host) {
  Bytes address = with_last(ipv6 ? "fd00:10:244::" : "10.244.0.0", host);
  address[ipv6 ? 7 : 2] = static_cast<uint8_t>(node);
  return address;
}

std::optional<Bytes> address_of(const WorldEndpoint& endpoint, bool ipv6) {
  for (const Bytes& one : endpoint.addresses) {
    if ((one.size() == 16) == ipv6) return one;
  }
  return std::nullopt;
}

constexpr size_t kRemembered = 32;

template <typename T>
void remember(std::deque<T>& where, const T& what) {
  where.push_back(what);
  if (where.size() > kRemembered) where.pop_front();
}

}  // namespace

History::History(uint64_t seed) : Generator(seed) {
  world_ = Generator::world();
  make_services();
}

void History::make_services() {
  world_.cluster_services = {{cluster_ip(false, 0), 16}, {cluster_ip(true, 0), 112}};
  world_.no_masquerade = {{golden::parse_address("198.18.0.0"), 15}};
  for (const Bytes& own : {world_.vtep4, world_.vtep6}) {
    if (own.empty()) continue;
    world_.node_port_addresses.push_back(own);
    (own.size() == 4 ? world_.masquerade4 : world_.masquerade6) = own;
  }
  if (chance(15)) world_.snat_last = world_.snat_first + 40;
  // Everybody's MAC is known: what happens to a Service's packet that is held is not compared.
  for (uint32_t node = 2; node <= 30; ++node) {
    const Bytes mac{0x02, 0xbb, 0, 0, 0, static_cast<uint8_t>(node)};
    world_.neighbours[with_last("192.0.2.0", node)] = mac;
    world_.neighbours[with_last("2001:db8::", node)] = mac;
  }
  for (uint32_t count = 3 + below(8); count > 0; --count) add_service(next_service_++);
}

WorldBackend History::some_backend(bool ipv6) {
  WorldBackend backend;
  backend.port = 8080 + below(2);
  const uint32_t kind = below(100);
  backend.address = pod_of(2 + below(4), ipv6, 1 + below(4));
  if (kind < 50) {
    const auto& endpoint = world_.endpoints[below(static_cast<uint32_t>(world_.endpoints.size()))];
    if (const auto own = address_of(endpoint, ipv6)) {
      backend.address = *own;
      backend.local = true;
    }
  } else if (kind < 55 && !(ipv6 ? world_.vtep6 : world_.vtep4).empty()) {
    backend.address = ipv6 ? world_.vtep6 : world_.vtep4;
    backend.local = true;
  }
  backend.in_cluster = chance(85);
  backend.in_local = backend.local && chance(85);
  backend.serving = backend.in_cluster || backend.in_local || chance(60);
  return backend;
}

void History::add_service(uint32_t id) {
  using Kind = WorldFrontend::Kind;
  static const int protocols[] = {6, 6, 17, 17, 132};
  WorldService service;
  service.id = id;
  service.name = "default/s" + std::to_string(id);
  service.protocol = protocols[below(5)];
  service.ipv6 = chance(45);
  const uint32_t number = 10 + id % 200;
  service.frontends.push_back({Kind::kClusterIp, cluster_ip(service.ipv6, number), 80});
  if (chance(60)) service.frontends.push_back({Kind::kNodePort, {}, 30000 + number});
  if (chance(40)) {
    const char* base = service.ipv6 ? "2001:db8:113::" : "203.0.113.0";
    service.frontends.push_back({Kind::kLoadBalancer, with_last(base, number), 80});
    if (chance(40)) service.source_ranges = {{outsider(service.ipv6, 0), service.ipv6 ? 127u : 31u}};
  }
  if (chance(20)) {
    const char* base = service.ipv6 ? "2001:db8:114::" : "203.0.114.0";
    service.frontends.push_back({Kind::kExternalIp, with_last(base, number), 80});
  }
  for (uint32_t count = chance(12) ? 0 : 1 + below(4); count > 0; --count) {
    const WorldBackend backend = some_backend(service.ipv6);
    const bool is_new = std::none_of(service.backends.begin(), service.backends.end(), [&](const auto& one) {
      return one.address == backend.address && one.port == backend.port;
    });
    if (is_new) service.backends.push_back(backend);
  }
  service.internal_local = chance(15);
  service.external_local = chance(30);
  service.affinity_seconds = chance(25) ? 10800 : 0;
  world_.services[id] = service;
}

std::string History::change_service() {
  if (world_.services.size() < 3 || chance(10)) {
    add_service(next_service_);
    return "service " + std::to_string(next_service_++) + " added";
  }
  auto at = world_.services.begin();
  std::advance(at, below(static_cast<uint32_t>(world_.services.size())));
  WorldService& service = at->second;
  const std::string name = "service " + std::to_string(service.id);
  if (chance(10)) {
    world_.services.erase(at);
    return name + " removed";
  }
  if (service.backends.empty() || chance(25)) {
    const WorldBackend backend = some_backend(service.ipv6);
    std::erase_if(service.backends, [&](const WorldBackend& one) {
      return one.address == backend.address && one.port == backend.port;
    });
    service.backends.push_back(backend);
    return name + ": " + address_text(backend.address) + " added";
  }
  const uint32_t index = below(static_cast<uint32_t>(service.backends.size()));
  WorldBackend& backend = service.backends[index];
  const std::string which = name + ": " + address_text(backend.address) + ":" + std::to_string(backend.port);
  switch (below(3)) {
    case 0:
      service.backends.erase(service.backends.begin() + index);
      return which + " removed";
    case 1:
      backend.in_cluster = backend.in_local = false;
      backend.serving = chance(50);
      return which + (backend.serving ? " terminating" : " not serving");
    default:
      backend.in_cluster = backend.serving = true;
      backend.in_local = backend.local;
      return which + " ready";
  }
}

// A pod goes and another one gets its addresses.
std::string History::replace_pod() {
  WorldEndpoint& endpoint = world_.endpoints[below(static_cast<uint32_t>(world_.endpoints.size()))];
  const uint32_t before = endpoint.id;
  endpoint.id = next_endpoint_++;
  endpoint.name = "p" + std::to_string(endpoint.id);
  return "pod " + std::to_string(before) + " replaced by " + std::to_string(endpoint.id);
}

bool History::choose_source(Talk& talk) {
  const bool ipv6 = talk.version == 6;
  const uint32_t kind = below(100);
  if (kind < 45) {
    const auto& endpoint = world_.endpoints[below(static_cast<uint32_t>(world_.endpoints.size()))];
    const auto own = address_of(endpoint, ipv6);
    if (!own) return false;
    talk.source = *own;
    talk.wrap = {Wrap::kPod, world_.macs().at("ep" + std::to_string(endpoint.id)), 0};
  } else if (kind < 70) {
    talk.source = outsider(ipv6, below(4));
    talk.wrap.kind = Wrap::kPlain;
  } else if (kind < 90) {
    talk.wrap.peer = below(static_cast<uint32_t>(world_.peers.size()));
    talk.wrap.kind = chance(70) ? Wrap::kTunnel : Wrap::kPlain;
    talk.source = pod_of(world_.peers[talk.wrap.peer].id, ipv6, 1 + below(4));
  } else {
    const Bytes& own = ipv6 ? world_.vtep6 : world_.vtep4;
    if (own.empty()) return false;
    talk.source = own;
    talk.wrap.kind = Wrap::kHost;
  }
  return true;
}

void History::choose_destination(Talk& talk) {
  const bool ipv6 = talk.version == 6;
  std::vector<const WorldService*> of_family;
  for (const auto& [id, one] : world_.services) {
    if (one.ipv6 == ipv6) of_family.push_back(&one);
  }
  const uint32_t kind = below(100);
  if (kind < 70 && !of_family.empty()) {
    const WorldService& service = *of_family[below(static_cast<uint32_t>(of_family.size()))];
    const WorldFrontend& frontend = service.frontends[below(static_cast<uint32_t>(service.frontends.size()))];
    talk.protocol = service.protocol;
    talk.destination_port = chance(95) ? frontend.port : 81;
    talk.destination = frontend.address;
    if (frontend.address.empty()) talk.destination = ipv6 ? world_.vtep6 : world_.vtep4;
    if (talk.destination.empty()) talk.destination = cluster_ip(ipv6, 9);
    return;
  }
  talk.destination_port = 80;
  if (kind < 76) {
    talk.destination = cluster_ip(ipv6, 200 + below(50));
  } else if (kind < 92) {
    talk.destination = outsider(ipv6, 100 + below(3));
    if (chance(30)) {
      talk.protocol = ipv6 ? 58 : 1;
      talk.destination_port = 0;
    }
  } else {
    talk.destination = pod_of(1 + below(3), ipv6, 2 + below(3));
    talk.destination_port = 8080;
  }
}

History::Talk History::new_talk() {
  for (;;) {
    Talk talk;
    talk.version = chance(55) ? 4 : 6;
    static const int protocols[] = {6, 17, 17, 132};
    talk.protocol = protocols[below(4)];
    if (!choose_source(talk)) continue;
    choose_destination(talk);
    if (next_port_ >= 60000) next_port_ = 1024;
    talk.source_port = chance(92) ? next_port_++ : 700 + below(3);
    return talk;
  }
}

Event History::wrapped(const Wrap& wrap, const std::string& ip) {
  std::string text;
  Event event;
  switch (wrap.kind) {
    case Wrap::kPod:
      event.port = golden::kTrunkPort;
      text = "eth(" + wrap.mac + ">gw) " + ip;
      break;
    case Wrap::kHost:
      event.port = golden::kHostPort;
      text = "eth(host>host) " + ip;
      break;
    case Wrap::kPlain:
      event.port = golden::kUplinkPort;
      text = "eth(02:bb:00:00:00:30>self) " + ip;
      break;
    case Wrap::kTunnel: {
      event.port = golden::kUplinkPort;
      const WorldPeer& peer = world_.peers[wrap.peer];
      const bool outer4 = peer.vtep.size() == 4;
      const std::string ends =
          address_text(peer.vtep) + ">" + address_text(outer4 ? world_.vtep4 : world_.vtep6);
      text = "eth(02:bb:00:00:00:02>self) " + (outer4 ? "ip4(" + ends + " df) " : "ip6(" + ends + ") ");
      text += "udp(50000>" + std::to_string(world_.tunnel_port) + (outer4 ? " csum=0) " : ") ");
      text += (world_.geneve ? "geneve(" : "vxlan(") + std::to_string(world_.vni) +
              ") eth(02:00:00:00:00:09>02:00:00:00:00:08) " + ip;
      break;
    }
  }
  event.frame = golden::build_frame(text, world_.macs()).bytes;
  return event;
}

Event History::say(const Talk& talk, const std::string& flags) {
  const bool is4 = talk.version == 4;
  const std::string ends = address_text(talk.source) + ">" + address_text(talk.destination);
  const std::string ports = std::to_string(talk.source_port) + ">" + std::to_string(talk.destination_port);
  const uint32_t ttl = chance(97) ? 64 : 1 + below(2);
  std::string text = is4 ? "ip4(" + ends + " df ttl=" + std::to_string(ttl) + ") "
                         : "ip6(" + ends + " hl=" + std::to_string(ttl) + ") ";
  if (talk.protocol == 6) {
    text += "tcp(" + ports + " seq=" + std::to_string(below(1u << 30)) +
            " ack=" + std::to_string(below(1u << 30)) + " flags=" + flags + (chance(3) ? " csum=bad" : "") +
            ") ";
  } else if (talk.protocol == 17) {
    text += "udp(" + ports + (chance(8) ? " csum=0" : "") + ") ";
  } else if (talk.protocol == 132) {
    text += "sctp(" + ports + (chance(90) ? " crc" : "") + ") ";
  } else {
    const bool reply = talk.destination_port == 1;
    text += is4 ? (reply ? "icmp(0 0 id=" : "icmp(8 0 id=") : (reply ? "icmp6(129 0 id=" : "icmp6(128 0 id=");
    text += std::to_string(talk.source_port) + " seq=1) ";
  }
  // Too big for the smallest link now and then; always DF.
  std::string data;
  for (uint32_t byte = below(40); byte > 0; --byte) data += static_cast<char>('a' + below(26));
  text += "\"" + data + "\"";
  if (chance(4)) text += " zeros(" + std::to_string(1300 + below(700)) + ")";
  return wrapped(talk.wrap, text);
}

void History::say_in_fragments(const Talk& talk) {
  const bool is4 = talk.version == 4;
  const std::string ends = address_text(talk.source) + ">" + address_text(talk.destination);
  const std::string id = std::to_string(next_id_++ % 65536);
  const std::string ports = std::to_string(talk.source_port) + ">" + std::to_string(talk.destination_port);
  const std::string head = "udp(" + ports + " len=92 csum=" + (chance(20) ? "0" : "0x1234") + ") zeros(56)";
  const std::string tail = "zeros(28)";
  const auto ip = [&](bool first) {
    if (is4) return "ip4(" + ends + " id=" + id + (first ? " mf) " : " off=64 proto=17) ");
    return "ip6(" + ends + (first ? ") frag(mf id=" + id + ") " : ") frag(off=64 nh=17 id=" + id + ") ");
  };
  std::vector<Event> events{wrapped(talk.wrap, ip(true) + head), wrapped(talk.wrap, ip(false) + tail)};
  if (chance(20)) std::swap(events[0], events[1]);
  for (const Event& one : events) queued_.push_back(one);
}

void History::left(uint32_t port, const Bytes& frame) {
  remember(left_, {port, frame});
}

// The other end of what left, or somebody between, says something.
bool History::answer(Event& event) {
  const Left& left = left_[below(static_cast<uint32_t>(left_.size()))];
  const auto ip_of = [](const Bytes& frame) {
    return read_ip(static_cast<uint16_t>(frame[12] << 8 | frame[13]), Bytes(frame.begin() + 14, frame.end()));
  };
  Read read = ip_of(left.frame);
  if (!read.packet) return false;
  Talk talk;
  talk.wrap.kind = Wrap::kHost;
  if (left.port == golden::kTrunkPort) {
    std::string mac;
    for (size_t byte = 0; byte < 6; ++byte) mac += (byte == 0 ? "" : ":") + golden::hex({left.frame[byte]});
    talk.wrap = {Wrap::kPod, mac, 0};
  } else if (left.port == golden::kUplinkPort) {
    talk.wrap.kind = Wrap::kPlain;
    for (uint32_t index = 0; index < world_.peers.size(); ++index) {
      const bool tunnel = read.packet->protocol == 17 && read.packet->destination_port == world_.tunnel_port;
      if (!tunnel || world_.peers[index].vtep != read.packet->destination) continue;
      talk.wrap = {Wrap::kTunnel, "", index};
    }
    if (talk.wrap.kind == Wrap::kTunnel) {
      const size_t inner = 14 + read.packet->header_length + 8 + 8;
      if (left.frame.size() < inner + 14) return false;  // the host's own words to that port
      read = ip_of(Bytes(left.frame.begin() + static_cast<std::ptrdiff_t>(inner), left.frame.end()));
      if (!read.packet) return false;
    }
  }
  const IpPacket& packet = *read.packet;
  if (packet.later_fragment) return false;
  const bool is4 = packet.version == 4;
  talk.version = packet.version;
  talk.protocol = packet.protocol;
  talk.source = packet.destination;
  talk.destination = packet.source;
  talk.source_port = packet.destination_port;
  talk.destination_port = packet.source_port;
  const bool known = packet.protocol == 6 || packet.protocol == 17 || packet.protocol == 132;
  const bool echo = packet.icmp_type == (is4 ? 8 : 128);
  if (!known && !echo) return false;
  if (echo) {
    talk.source_port = static_cast<uint32_t>(packet.bytes[packet.header_length + 4] << 8 |
                                             packet.bytes[packet.header_length + 5]);
    talk.destination_port = 1;
  }
  if (chance(75)) {
    static const char* flags[] = {"SA", "SA", "SA", "A", "A", "A", "A", "PA", "FA", "R", "RA", "S"};
    event = say(talk, flags[below(12)]);
    if (chance(40)) remember(talks_, talk);
    return true;
  }
  // The end itself, or a router that may speak there.
  Bytes source = talk.source;
  if (chance(40) && talk.wrap.kind == Wrap::kPlain) source = with_last(is4 ? "192.0.2.0" : "2001:db8::", 30);
  if (chance(40) && talk.wrap.kind == Wrap::kTunnel &&
      world_.peers[talk.wrap.peer].vtep.size() == talk.source.size())
    source = world_.peers[talk.wrap.peer].vtep;
  const size_t quote =
      std::min<size_t>(packet.bytes.size(), packet.header_length + (chance(30) ? 8 : 20 + below(40)));
  const Bytes quoted(packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(quote));
  static const char* errors4[] = {"icmp(3 1) ", "icmp(3 3) ", "icmp(3 4 mtu=1400) ", "icmp(11 0) "};
  static const char* errors6[] = {"icmp6(1 3) ", "icmp6(1 4) ", "icmp6(2 0 mtu=1400) ", "icmp6(3 0) "};
  const std::string ends = address_text(source) + ">" + address_text(talk.destination);
  event = wrapped(
      talk.wrap, (is4 ? "ip4(" + ends + ") " + errors4[below(4)] : "ip6(" + ends + ") " + errors6[below(4)]) +
                     "hex(" + golden::hex(quoted) + ")");
  return true;
}

Event History::next() {
  if (!queued_.empty()) {
    const Event event = queued_.front();
    queued_.pop_front();
    return event;
  }
  Event event;
  if (chance(1)) {
    event.change = chance(85) ? change_service() : replace_pod();
    event.world = world_;
    return event;
  }
  if (below(400) == 0) {
    // All that there is forgets, or nothing does: what lies between has rows.
    const bool hours = short_waits_ >= 3 || chance(20);
    event.seconds = hours ? 30000 : 1;
    short_waits_ = hours ? 0 : short_waits_ + 1;
    return event;
  }
  const uint32_t kind = below(100);
  if (kind < 35 && !left_.empty() && answer(event)) return event;
  if (kind < 50 && !talks_.empty()) {
    static const char* flags[] = {"A", "A", "A", "A", "PA", "PA", "FA", "FA", "R", "S", "S", "SFA"};
    return say(talks_[below(static_cast<uint32_t>(talks_.size()))], flags[below(12)]);
  }
  if (kind < 60) {
    std::tie(event.port, event.frame) = packet(world_);
    return event;
  }
  const Talk talk = new_talk();
  if (talk.protocol == 17 && chance(12)) {
    say_in_fragments(talk);
    return next();
  }
  remember(talks_, talk);
  return say(talk, chance(85) ? "S" : chance(70) ? "A" : chance(50) ? "R" : "FA");
}

}  // namespace fairlead::model
