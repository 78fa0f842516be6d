#pragma once

#include "dataplane/core/walk.hpp"
#include "dataplane/packet/parse.h"
#include "dataplane/tables/drop_reasons.h"

namespace fairlead::core::steps {

// The drop reason of a parser's error. A VLAN tag is a pod's offence; elsewhere it is an EtherType we do not
// speak.
[[nodiscard]] inline DropReason reason_of(int error, bool from_pod) {
  const auto reason = static_cast<DropReason>(drop_reason_of_parse(error));
  return reason == DropReason::VLAN_FROM_POD && !from_pod ? DropReason::UNKNOWN_ETHERTYPE : reason;
}

// The endpoint a frame on the trunk names in its source MAC; 0: none.
[[nodiscard]] inline EndpointId endpoint_on_trunk(const uint8_t* frame) {
  const uint8_t* mac = frame + 6;
  if (mac[0] != 0x02 || mac[1] != 0x46 || mac[2] != 0x4c) return 0;
  return static_cast<EndpointId>(mac[3]) << 16 | static_cast<EndpointId>(mac[4]) << 8 | mac[5];
}

// A frame that is not a unicast IP packet: dropped, unless it is what the kernel's stack and an exclusive
// uplink's link say to each other without us (ARP, ND, broadcasts, other protocols).
[[nodiscard]] inline Verdict refused(Walk& walk, const Snapshot& snapshot, const PortView& port, int error) {
  Packet& packet = *walk.packet;
  const bool link_talk = (packet.data[0] & 1) != 0 || error == FL_PARSE_ARP_NOT_EXPECTED ||
                         error == FL_PARSE_UNKNOWN_ETHERTYPE || error == FL_PARSE_VLAN_FROM_POD;
  if (link_talk && port.kind == PortKind::kUplink && port.exclusive && snapshot.host_port != 0) {
    packet.tx_port = snapshot.host_port;
    return Verdict::as_it_stands(Fate::kPunt);
  }
  if (link_talk && port.kind == PortKind::kHost && snapshot.exclusive_uplink != 0) {
    packet.tx_port = snapshot.exclusive_uplink;
    return Verdict::as_it_stands(Fate::kForward);
  }
  if (error == FL_PARSE_OK) return Verdict::drop(DropReason::MULTICAST);
  return Verdict::drop(reason_of(error, port.kind == PortKind::kTrunk || port.kind == PortKind::kFast));
}

// Reads the headers once, checks every length, and names where the packet came from.
//
// Reads:  snapshot.ports, snapshot.endpoints (fast ports)
// Writes: walk.p, walk.side
// Drops:  NO_UPLINK (a port nobody announced), UNKNOWN_ENDPOINT, SPOOFED_MAC, MULTICAST (frames to a group on
//         an uplink), every reason of the parser
[[nodiscard]] inline Verdict parse(Walk& walk, const Snapshot& snapshot) {
  const Packet& packet = *walk.packet;
  const PortView* port = snapshot.port(packet.rx_port);
  if (port == nullptr) return Verdict::drop(DropReason::NO_UPLINK);
  const int error = parse_frame(packet.data, packet.data + packet.length, 0, &walk.p);
  if (error != FL_PARSE_OK) [[unlikely]] {
    return error == FL_PARSE_MALFORMED_ETHERNET ? Verdict::drop(DropReason::MALFORMED_ETHERNET)
                                                : refused(walk, snapshot, *port, error);
  }
  switch (port->kind) {
    case PortKind::kTrunk: {
      const EndpointId id = endpoint_on_trunk(packet.data);
      if (id == 0) return Verdict::drop(DropReason::UNKNOWN_ENDPOINT);
      walk.side = Side::endpoint(id);
      break;
    }
    case PortKind::kFast: {
      const Endpoint* endpoint = snapshot.endpoint(port->endpoint);
      if (endpoint == nullptr) return Verdict::drop(DropReason::UNKNOWN_ENDPOINT);
      if (std::memcmp(packet.data + 6, endpoint->mac.bytes.data(), 6) != 0) {
        return Verdict::drop(DropReason::SPOOFED_MAC);
      }
      walk.side = Side::endpoint(port->endpoint);
      break;
    }
    case PortKind::kHost:
      walk.side = Side::host();
      if ((packet.data[0] & 1) != 0 && snapshot.exclusive_uplink != 0)
        return refused(walk, snapshot, *port, error);
      break;
    case PortKind::kUplink:
      walk.side = Side::uplink();
      // RFC 1812 section 5.3.4: what came as a link broadcast is not forwarded, whatever its IP destination.
      if ((packet.data[0] & 1) != 0) return refused(walk, snapshot, *port, error);
      break;
  }
  return Verdict::go_on();
}

}  // namespace fairlead::core::steps
