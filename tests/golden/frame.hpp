#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::golden {

using Bytes = std::vector<uint8_t>;

// A frame written as text, with a mask of the bits that matter when it is compared.
//
// Built from the RFCs and nothing else: no header of the dataplane is included, so that a layout mistake
// there cannot hide here. Lengths, protocol numbers and checksums are filled in from what follows unless they
// are given.
struct Frame {
  Bytes bytes;
  Bytes mask;  // 0xff: compared; 0: any value (written `*`)

  [[nodiscard]] bool matches(const Bytes& other) const;
  // Both frames in hex, differing bytes marked: for a test's message.
  [[nodiscard]] std::string difference(const Bytes& other) const;
};

// Reads a sequence of layers. Names of MAC addresses ("gw", "ep1", "self") come from `macs`. Throws
// std::invalid_argument.
//
//   eth(SRC>DST [type=0x88cc])   vlan(ID)   arp()
//   ip4(SRC>DST [ttl= tos= id= df mf off=BYTES proto= len= hlen=WORDS ver= csum=bad|* opts=HEX])
//   ip6(SRC>DST [hl= tc= fl= nh= len= ver=])
//   hbh() dstopt([len=]) rh([type=]) frag([off=BYTES mf id=]) ah([len=])     extension headers
//   udp(SPORT>DPORT [csum=0xVALUE|bad|* len=])   tcp(SPORT>DPORT [flags=SAFRPU seq= ack= doff= csum= win=])
//   sctp(SPORT>DPORT) icmp(TYPE CODE [id= seq= mtu= csum=])   icmp6(TYPE CODE [id= seq= mtu= csum=])
//   vxlan(VNI [flags=0x08])   geneve(VNI [optlen=WORDS ver= type= critical])
//   "text"   hex(…)   zeros(N)   pad(N): padding after everything   cut(N): keep the first N bytes
[[nodiscard]] Frame build_frame(std::string_view text, const std::map<std::string, std::string>& macs);

[[nodiscard]] Bytes parse_address(std::string_view text);  // 4 or 16 bytes; throws
[[nodiscard]] Bytes parse_mac(std::string_view text);      // 6 bytes; throws
[[nodiscard]] std::string hex(const Bytes& bytes);

// RFC 1071 over `bytes`, an odd last byte padded with zero; `start` is a partial sum.
[[nodiscard]] uint16_t internet_checksum(const uint8_t* bytes, size_t length, uint32_t start = 0);
[[nodiscard]] uint32_t partial_sum(const uint8_t* bytes, size_t length, uint32_t start = 0);

}  // namespace fairlead::golden
