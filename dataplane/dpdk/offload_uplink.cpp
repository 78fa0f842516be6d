#include "dataplane/dpdk/offload_uplink.hpp"

#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"

#include <cstddef>
#include <cstring>

namespace fairlead::dpdk {

OffloadUplink::OffloadUplink(std::unique_ptr<Port> nic, std::unique_ptr<WireTap> wire, unsigned workers)
    : Port(nic->spec()), nic_(std::move(nic)), wire_(std::move(wire)) {
  mac_ = nic_->mac();
  driver_ = nic_->driver();
  note_ = nic_->note();
  is_exclusive_ = nic_->is_exclusive();
  for (unsigned i = 0; i < workers; ++i) lanes_.push_back(std::make_unique<Lane>());
}

// The first protocol that the IP header names decides, also of fragments; forward() has seen that there is a
// whole IP header.
bool OffloadUplink::goes_by_wire(const core::Packet& packet) const {
  if (packet.encap_length != 0 && !wire_->cuts_tunnels()) return false;
  const uint8_t* frame = packet.data + packet.encap_length;
  if (packet.length < packet.encap_length + sizeof(ethernet_header) + sizeof(ipv4_header)) return false;
  const be16 ethertype = reinterpret_cast<const ethernet_header*>(frame)->ethertype;
  const uint8_t* l3 = frame + sizeof(ethernet_header);
  if (ethertype == to_be16(FL_ETHERTYPE_IPV4)) {
    return l3[offsetof(ipv4_header, protocol)] == FL_PROTOCOL_TCP;
  }
  return ethertype == to_be16(FL_ETHERTYPE_IPV6) && l3[offsetof(ipv6_header, next_header)] == FL_PROTOCOL_TCP;
}

void OffloadUplink::send(Port& way, unsigned lane, Share& share, std::span<core::DropReason> outcome) {
  if (share.count == 0) return;
  way.transmit(lane, std::span<core::Packet* const>(share.packets.data(), share.count),
               std::span(share.outcome.data(), share.count));
  for (unsigned i = 0; i < share.count; ++i) outcome[share.place[i]] = share.outcome[i];
  share.count = 0;
}

void OffloadUplink::transmit(unsigned lane_index, std::span<core::Packet* const> packets,
                             std::span<core::DropReason> outcome) {
  Lane& lane = *lanes_[lane_index];
  const auto count = static_cast<uint16_t>(packets.size());  // at most core::kBurst
  for (uint16_t i = 0; i < count; ++i) {
    Share& share = goes_by_wire(*packets[i]) ? lane.wire : lane.nic;
    share.packets[share.count] = packets[i];
    share.place[share.count++] = i;
  }
  send(*nic_, lane_index, lane.nic, outcome);
  send(*wire_, lane_index, lane.wire, outcome);
}

}  // namespace fairlead::dpdk
