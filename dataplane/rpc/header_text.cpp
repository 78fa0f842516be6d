#include "dataplane/rpc/header_text.hpp"

#include "dataplane/core/address.hpp"
#include "dataplane/packet/cursor.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/geneve.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/udp.h"
#include "dataplane/packet/vlan.h"
#include "dataplane/packet/vxlan.h"

#include <algorithm>
#include <cstring>

namespace fairlead::ipc {
namespace {

std::string mac_text(const mac_address& address) {
  core::MacAddress copy;
  std::memcpy(copy.bytes.data(), address.bytes, sizeof(address.bytes));
  return copy.text();
}

std::string ipv6_text(const ip_address& address) {
  uint8_t bytes[16];
  std::memcpy(bytes, &address, sizeof(bytes));
  return core::IpAddress::ipv6(bytes).text();
}

void add_line(std::string& text, const char* protocol, const std::string& fields) {
  text += protocol;
  text += std::string(10 - std::strlen(protocol), ' ') + fields + "\n";
}

std::string hex16(uint16_t value) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[value >> shift & 15];
  return text;
}

// One line for the header at the cursor; says what comes next.
enum class Next { kEthernet, kIpv4, kIpv6, kUdp, kVxlan, kGeneve, kEnd };

Next after_ethertype(uint16_t ethertype) {
  if (ethertype == FL_ETHERTYPE_IPV4) return Next::kIpv4;
  if (ethertype == FL_ETHERTYPE_IPV6) return Next::kIpv6;
  return Next::kEnd;
}

Next ethernet(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, ethernet_header);
  if (header == nullptr) return Next::kEnd;
  std::string fields = mac_text(header->source) + " > " + mac_text(header->destination);
  uint16_t ethertype = from_be16(header->ethertype);
  while (ethertype == FL_ETHERTYPE_VLAN || ethertype == FL_ETHERTYPE_QINQ) {
    const auto* tag = FL_TAKE(&at, vlan_tag);
    if (tag == nullptr) break;
    fields += "  vlan " + std::to_string(vlan_id(tag));
    ethertype = from_be16(tag->ethertype);
  }
  add_line(text, "Ethernet", fields + "  type " + hex16(ethertype));
  return after_ethertype(ethertype);
}

Next ipv4(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, ipv4_header);
  if (header == nullptr || cursor_skip(&at, std::max(ipv4_header_length(header), 20u) - 20u) != 0) {
    return Next::kEnd;
  }
  const bool dont_fragment = (from_be16(header->fragment) & FL_IPV4_DONT_FRAGMENT) != 0;
  add_line(text, "IPv4",
           core::IpAddress::ipv4(header->source.raw).text() + " > " +
               core::IpAddress::ipv4(header->destination.raw).text() + "  ttl " +
               std::to_string(header->ttl) + (dont_fragment ? "  DF" : "") + "  protocol " +
               std::to_string(header->protocol));
  return header->protocol == FL_PROTOCOL_UDP ? Next::kUdp : Next::kEnd;
}

Next ipv6(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, ipv6_header);
  if (header == nullptr) return Next::kEnd;
  add_line(text, "IPv6",
           ipv6_text(header->source) + " > " + ipv6_text(header->destination) + "  hop limit " +
               std::to_string(header->hop_limit) + "  next header " + std::to_string(header->next_header));
  return header->next_header == FL_PROTOCOL_UDP ? Next::kUdp : Next::kEnd;
}

// The tunnel's port is configurable; Geneve is told from VXLAN by its protocol field, which VXLAN has
// reserved.
Next udp(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, udp_header);
  if (header == nullptr) return Next::kEnd;
  add_line(text, "UDP",
           std::to_string(from_be16(header->source_port)) + " > " +
               std::to_string(from_be16(header->destination_port)));
  cursor ahead = at;
  const auto* geneve = FL_TAKE(&ahead, geneve_header);
  if (geneve == nullptr) return Next::kEnd;
  return from_be16(geneve->protocol) == FL_ETHERTYPE_TRANSPARENT_ETHERNET ? Next::kGeneve : Next::kVxlan;
}

Next vxlan(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, vxlan_header);
  if (header == nullptr || (from_be32(header->flags) & FL_VXLAN_VNI_VALID) == 0) return Next::kEnd;
  add_line(text, "VXLAN", "vni " + std::to_string(from_be32(header->vni) >> 8));
  return Next::kEthernet;
}

Next geneve(cursor& at, std::string& text) {
  const auto* header = FL_TAKE(&at, geneve_header);
  if (header == nullptr || cursor_skip(&at, geneve_options_length(header)) != 0) return Next::kEnd;
  add_line(text, "Geneve", "vni " + std::to_string(from_be32(header->vni) >> 8));
  return Next::kEthernet;
}

}  // namespace

std::string header_text(std::span<const uint8_t> bytes) {
  std::string text;
  cursor at = cursor_open(bytes.data(), bytes.data() + bytes.size());
  uint32_t understood = 0;
  // A header stack of ours has at most six headers; what is longer is none.
  Next next = Next::kEthernet;
  for (int layer = 0; layer < 8 && next != Next::kEnd && at.offset < at.length; ++layer) {
    const size_t length_before = text.size();
    switch (next) {
      case Next::kEthernet:
        next = ethernet(at, text);
        break;
      case Next::kIpv4:
        next = ipv4(at, text);
        break;
      case Next::kIpv6:
        next = ipv6(at, text);
        break;
      case Next::kUdp:
        next = udp(at, text);
        break;
      case Next::kVxlan:
        next = vxlan(at, text);
        break;
      case Next::kGeneve:
        next = geneve(at, text);
        break;
      case Next::kEnd:
        break;
    }
    if (text.size() != length_before) understood = at.offset;
  }
  if (understood < bytes.size()) add_line(text, "rest", std::to_string(bytes.size() - understood) + " bytes");
  return text;
}

}  // namespace fairlead::ipc
