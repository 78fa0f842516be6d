#include "dataplane/core/trace_frame.hpp"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/sctp.h"
#include "dataplane/packet/tcp.h"
#include "dataplane/packet/udp.h"

#include <algorithm>

namespace fairlead::core {

namespace {

constexpr uint16_t kHeadroom = 256;

template <typename Header>
void put(std::vector<uint8_t>& bytes, const Header& header) {
  const auto* raw = reinterpret_cast<const uint8_t*>(&header);
  bytes.insert(bytes.end(), raw, raw + sizeof(header));
}

// The L4 header, with `length` bytes of L4 in all where a header says so.
std::vector<uint8_t> l4_header(const TraceRequest& request, bool v4, uint32_t length) {
  std::vector<uint8_t> bytes;
  switch (request.protocol) {
    case FL_PROTOCOL_TCP: {
      tcp_header tcp{};
      tcp.source_port = to_be16(request.source_port);
      tcp.destination_port = to_be16(request.destination_port);
      tcp.data_offset = 5 << 4;
      tcp.flags = FL_TCP_SYN;
      put(bytes, tcp);
      break;
    }
    case FL_PROTOCOL_UDP: {
      udp_header udp{};
      udp.source_port = to_be16(request.source_port);
      udp.destination_port = to_be16(request.destination_port);
      udp.length = to_be16(static_cast<uint16_t>(length));
      put(bytes, udp);
      break;
    }
    case FL_PROTOCOL_SCTP: {
      sctp_header sctp{};
      sctp.source_port = to_be16(request.source_port);
      sctp.destination_port = to_be16(request.destination_port);
      put(bytes, sctp);
      break;
    }
    case FL_PROTOCOL_ICMP:
    case FL_PROTOCOL_ICMPV6: {
      icmp_header icmp{};
      icmp.type = v4 ? uint8_t{FL_ICMP_ECHO_REQUEST} : uint8_t{FL_ICMPV6_ECHO_REQUEST};
      icmp.id = to_be16(request.source_port);
      put(bytes, icmp);
      break;
    }
    default:
      break;
  }
  return bytes;
}

Error no_packet(const std::string& what) {
  return {"FL2204", "the packet to trace makes no sense: " + what,
          "give source and destination of one address family"};
}

}  // namespace

Result<TraceFrame> build_trace_frame(const TraceRequest& request, const Snapshot& snapshot) {
  if (!request.source || !request.destination || request.source.family != request.destination.family) {
    return no_packet("source and destination must be two IPv4 or two IPv6 addresses");
  }
  const bool v4 = request.source.is_ipv4();
  TraceFrame frame;
  Packet& packet = frame.packet;
  MacAddress sender;
  packet.rx_port = request.from_port;
  if (request.from_endpoint != 0) {
    const Endpoint* endpoint = snapshot.endpoint(request.from_endpoint);
    if (endpoint == nullptr) {
      return Error{"FL2203",
                   "there is no endpoint " + std::to_string(request.from_endpoint) + " on this node",
                   "fairlead get endpoints"};
    }
    packet.rx_port = endpoint->fast_port != 0 ? endpoint->fast_port : snapshot.trunk_port;
    sender = endpoint->fast_port != 0 ? endpoint->mac : endpoint_mac(endpoint->id);
  }
  if (snapshot.port(packet.rx_port) == nullptr) {
    return Error{"FL2203", "there is no port " + std::to_string(packet.rx_port), "fairlead get ports"};
  }

  // ICMP names its family's own protocol.
  uint8_t protocol = request.protocol;
  if (protocol == FL_PROTOCOL_ICMP && !v4) protocol = FL_PROTOCOL_ICMPV6;
  TraceRequest described = request;
  described.protocol = protocol;
  const uint32_t ip_length = v4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
  const uint32_t l4_minimum = static_cast<uint32_t>(l4_header(described, v4, 0).size());
  const uint32_t length = std::max<uint32_t>(request.length, ip_length + l4_minimum);

  std::vector<uint8_t>& bytes = frame.buffer;
  bytes.assign(kHeadroom, 0);
  ethernet_header ethernet{};
  std::memcpy(ethernet.destination.bytes, kGatewayMac.bytes.data(), 6);
  std::memcpy(ethernet.source.bytes, sender.bytes.data(), 6);
  ethernet.ethertype = to_be16(v4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6);
  put(bytes, ethernet);
  if (v4) {
    ipv4_header ip{};
    ip.version_ihl = 0x45;
    ip.total_length = to_be16(static_cast<uint16_t>(length));
    ip.fragment = to_be16(FL_IPV4_DONT_FRAGMENT);
    ip.ttl = request.ttl;
    ip.protocol = protocol;
    ip.source.raw = request.source.ipv4_wire();
    ip.destination.raw = request.destination.ipv4_wire();
    ip.checksum = checksum_finish(checksum_ipv4_header(&ip));
    put(bytes, ip);
  } else {
    ipv6_header ip{};
    ip.version_class_flow = to_be32(6u << 28);
    ip.payload_length = to_be16(static_cast<uint16_t>(length - ip_length));
    ip.next_header = protocol;
    ip.hop_limit = request.ttl;
    std::memcpy(&ip.source, request.source.bytes.data(), 16);
    std::memcpy(&ip.destination, request.destination.bytes.data(), 16);
    put(bytes, ip);
  }
  const std::vector<uint8_t> l4 = l4_header(described, v4, length - ip_length);
  bytes.insert(bytes.end(), l4.begin(), l4.end());
  bytes.resize(kHeadroom + sizeof(ethernet) + length);
  packet.data = bytes.data() + kHeadroom;
  packet.length = static_cast<uint32_t>(bytes.size()) - kHeadroom;
  packet.headroom = kHeadroom;
  return frame;
}

}  // namespace fairlead::core
