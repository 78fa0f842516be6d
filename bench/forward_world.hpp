#pragma once

#include "dataplane/core/forwarder.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

// A node with a hundred pods and one peer, and small packets over any number of connections: what
// forward_bench times and forward_instructions counts.

namespace fairlead::core::bench {

constexpr uint32_t kFrameLength = 60;
constexpr uint32_t kHeadroom = 128;
constexpr uint32_t kStride = 37 * 64;  // of buffers, as DPDK's usual ones lie
constexpr PortId kUplink = 1, kTrunk = 2, kHost = 3;

// Pod number `host` of node `net`.
inline IpAddress pod_address4(uint32_t net, uint32_t host) {
  return IpAddress::ipv4(to_be32(0x0af40000u | net << 8 | (host + 2)).raw);
}
inline IpAddress pod_address6(uint32_t net, uint32_t host) {
  const be32 words[4] = {to_be32(0xfd000000u), to_be32(net), be32{0}, to_be32(host + 2)};
  return IpAddress::ipv6(reinterpret_cast<const uint8_t*>(words));
}

// Of the Service that has this pod as its only backend: 10.96.0.(host + 2), fd00:96::(host + 2).
inline IpAddress service_address(const IpAddress& backend) {
  IpAddress address = backend;
  if (backend.is_ipv4()) {
    address.bytes[1] = 96;
    address.bytes[2] = 0;
  } else {
    address.bytes[3] = 0x96;
    address.bytes[7] = 0;  // the node
  }
  return address;
}

// Pod `host` of node 2 behind an address of its own.
inline std::shared_ptr<const Service> service_of(ServiceId id, uint32_t host, bool v6) {
  Service service;
  service.id = id;
  service.service_namespace = "default";
  service.name = "s" + std::to_string(host);
  service.protocol = 17;
  service.is_ipv6 = v6;
  Backend backend;
  backend.address = v6 ? pod_address6(2, host) : pod_address4(2, host);
  service.frontends = {{FrontendKind::kClusterIp, service_address(backend.address), 80}};
  backend.port = 8080;
  service.backends = {backend};
  service.cluster_backends = {0};
  return std::make_shared<const Service>(service);
}

struct World {
  Forwarder forwarder;

  explicit World(Transport transport, uint32_t flow_capacity = 1u << 20,
                 Encapsulation encapsulation = Encapsulation::kVxlan, bool reads_plain = true)
      : forwarder({.workers = 1, .flow_capacity = flow_capacity, .seed = 42, .reads_plain = reads_plain}) {
    const PortFacts ports[] = {{.id = kUplink, .kind = PortKind::kUplink, .mac = {{2, 0, 0, 0, 0, 1}}},
                               {.id = kTrunk, .kind = PortKind::kTrunk, .mac = {{2, 0, 0, 0, 0, 2}}},
                               {.id = kHost, .kind = PortKind::kHost, .mac = {{2, 0, 0, 0, 0, 3}}}};
    check(forwarder.set_ports(ports));
    Underlay underlay;
    underlay.links[kUplink] = {{{2, 0, 0, 0, 0, 1}}, 1500, true};
    underlay.routes[*Prefix::parse("192.0.2.0/24")].next_hops.push_back({{}, kUplink, 1});
    underlay.neighbours[{kUplink, *IpAddress::parse("192.0.2.2")}] = {{2, 0, 0, 0, 0, 9}};
    underlay.routes[*Prefix::parse("2001:db8::/64")].next_hops.push_back({{}, kUplink, 1});
    underlay.neighbours[{kUplink, *IpAddress::parse("2001:db8::2")}] = {{2, 0, 0, 0, 0, 9}};
    check(forwarder.set_underlay(underlay));

    NodeState state;
    state.generation = 1;
    state.settings.encapsulation = encapsulation;
    state.settings.vtep4 = *IpAddress::parse("192.0.2.1");
    state.settings.local_pods = {*Prefix::parse("10.244.1.0/24"), *Prefix::parse("fd00:0:0:1::/64")};
    state.settings.cluster_pods = {*Prefix::parse("10.244.0.0/16"), *Prefix::parse("fd00::/56")};
    state.routes[*Prefix::parse("192.0.2.1/32")] = {RouteKind::kHost, 0};
    for (EndpointId id = 1; id <= 100; ++id) {
      Endpoint& endpoint = state.endpoints[id];
      endpoint.id = id;
      endpoint.host_interface = "fl" + std::to_string(id);
      endpoint.host_ifindex = id;
      endpoint.addresses = {pod_address4(1, id - 1), pod_address6(1, id - 1)};
      for (const IpAddress& address : endpoint.addresses) {
        state.routes[Prefix::host(address)] = {RouteKind::kEndpoint, id};
      }
    }
    Peer& peer = state.peers[2];
    peer.id = 2;
    peer.node = "node-2";
    peer.transport = transport;
    peer.vtep = peer.next_hop4 = *IpAddress::parse("192.0.2.2");
    peer.next_hop6 = *IpAddress::parse("2001:db8::2");
    peer.pod_cidrs = {*Prefix::parse("10.244.2.0/24"), *Prefix::parse("fd00:0:0:2::/64")};
    for (const Prefix& range : peer.pod_cidrs) state.routes[range] = {RouteKind::kPeer, 2};
    for (uint32_t host = 0; host < 200; ++host) {
      for (const bool v6 : {false, true}) {
        const ServiceId id = 1 + 2 * host + (v6 ? 1 : 0);
        state.services[id] = service_of(id, host, v6);
      }
    }
    check(forwarder.publish(diff(NodeState{}, state)));
  }

  static void check(const Result<void>& result) {
    if (!result) std::abort();
  }
};

using Frame = std::vector<uint8_t>;

// What a packet of a flow is: from one of our pods to node 2's, or to a Service that has that pod as its
// backend; or the answer to either, as it comes to us.
enum class Way { kOut, kBack, kToService, kFromService };

// A UDP packet of `flow`, from or to one of a hundred pods of ours.
inline Frame udp_frame(uint32_t flow, Way way, uint8_t ip_version = 4) {
  const bool to_us = way == Way::kBack || way == Way::kFromService;
  Frame frame(ip_version == 4 ? kFrameLength : kFrameLength + 20);
  const uint32_t ours = flow % 100, theirs = flow / 100 % 200;
  const auto address = ip_version == 4 ? pod_address4 : pod_address6;
  const IpAddress source = to_us ? address(2, theirs) : address(1, ours);
  const IpAddress backend = address(2, theirs);
  const IpAddress destination = to_us                    ? address(1, ours)
                                : way == Way::kToService ? service_address(backend)
                                                         : backend;
  auto* ethernet = reinterpret_cast<ethernet_header*>(frame.data());
  const MacAddress named = endpoint_mac(1 + ours);
  std::memcpy(ethernet->source.bytes, named.bytes.data(), 6);
  ethernet->ethertype = to_be16(ip_version == 4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6);
  uint8_t* l4 = frame.data() + 14;
  if (ip_version == 4) {
    auto* ip = reinterpret_cast<ipv4_header*>(l4);
    ip->version_ihl = 0x45;
    ip->total_length = to_be16(static_cast<uint16_t>(frame.size() - 14));
    ip->ttl = 64;
    ip->protocol = FL_PROTOCOL_UDP;
    std::memcpy(&ip->source, source.bytes.data(), 4);
    std::memcpy(&ip->destination, destination.bytes.data(), 4);
    ip->checksum = checksum_finish(checksum_ipv4_header(ip));
    l4 += sizeof(*ip);
  } else {
    auto* ip = reinterpret_cast<ipv6_header*>(l4);
    ip->version_class_flow = to_be32(6u << 28);
    ip->payload_length = to_be16(static_cast<uint16_t>(frame.size() - 54));
    ip->next_header = FL_PROTOCOL_UDP;
    ip->hop_limit = 64;
    std::memcpy(&ip->source, source.bytes.data(), 16);
    std::memcpy(&ip->destination, destination.bytes.data(), 16);
    l4 += sizeof(*ip);
  }
  auto* udp = reinterpret_cast<udp_header*>(l4);
  const auto port = to_be16(static_cast<uint16_t>(1024 + flow / 20000));
  udp->source_port = way == Way::kFromService ? to_be16(8080) : to_us ? to_be16(80) : port;
  udp->destination_port = to_us ? port : to_be16(80);
  const auto udp_length = static_cast<uint32_t>(frame.data() + frame.size() - l4);
  udp->length = to_be16(static_cast<uint16_t>(udp_length));
  if (way == Way::kToService || way == Way::kFromService) {
    ip_address from, to;
    std::memcpy(&from, source.bytes.data(), sizeof(from));
    std::memcpy(&to, destination.bytes.data(), sizeof(to));
    const uint64_t pseudo =
        checksum_pseudo6(&from, &to, FL_PROTOCOL_UDP, udp_length);  // IPv4: the rest is zero
    udp->checksum = checksum_finish_udp(checksum_add(pseudo, l4, udp_length));
  }
  return frame;
}

inline Frame tunnelled(const Frame& inner, fl_tunnel_kind kind = FL_TUNNEL_VXLAN) {
  encap_spec spec{};
  spec.source.word[0] = to_be32(0xc0000202);
  spec.destination.word[0] = to_be32(0xc0000201);
  spec.vni = 100;
  spec.port = to_be16(4789);
  spec.kind = kind;
  spec.ip_version = 4;
  encap_template header;
  encap_build_tunnel(&header, &spec);
  Frame room(128 + inner.size());
  std::copy(inner.begin(), inner.end(), room.begin() + 128);
  be16 ethertype;
  std::memcpy(&ethertype, inner.data() + 12, sizeof(ethertype));
  const uint8_t* start =
      encap_push(&header, room.data() + 142, static_cast<uint32_t>(inner.size() - 14), ethertype, 0, 7);
  return {start, static_cast<const uint8_t*>(room.data()) + room.size()};
}

// The bursts one after the other, over all frames.
class Source {
 public:
  Source(std::vector<Frame> frames, PortId port)
      : frames_(std::move(frames)), port_(port), buffers_(kBurst * kStride + 64) {}

  std::span<Packet> next() {
    for (unsigned i = 0; i < kBurst; ++i) {
      const Frame& frame = frames_[at_];
      if (++at_ == frames_.size()) at_ = 0;
      uint8_t* data = base() + i * kStride + kHeadroom;
      std::memcpy(data, frame.data(), frame.size());
      packets_[i] = Packet{};
      packets_[i].data = data;
      packets_[i].length = static_cast<uint32_t>(frame.size());
      packets_[i].headroom = kHeadroom;
      packets_[i].tailroom = 64;
      packets_[i].rx_port = port_;
    }
    return packets_;
  }

 private:
  [[nodiscard]] uint8_t* base() {
    return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(buffers_.data()) + 63) & ~uintptr_t{63});
  }

  std::vector<Frame> frames_;
  PortId port_;
  std::vector<uint8_t> buffers_;
  std::array<Packet, kBurst> packets_;
  size_t at_ = 0;
};

inline std::vector<Frame> frames(uint32_t flows, Way way, uint8_t ip_version = 4) {
  std::vector<Frame> all;
  for (uint32_t flow = 0; flow < std::max(flows, kBurst); ++flow) {
    all.push_back(udp_frame(flow % flows, way, ip_version));
  }
  return all;
}

inline std::vector<Frame> tunnelled(std::vector<Frame> inner, fl_tunnel_kind kind = FL_TUNNEL_VXLAN) {
  for (Frame& frame : inner) frame = tunnelled(frame, kind);
  return inner;
}

}  // namespace fairlead::core::bench
