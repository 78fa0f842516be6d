#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::golden {

using Bytes = std::vector<uint8_t>;
// What names in a row mean: MAC addresses ("gw", "ep1", "self") and sets of values ("snat").
using Names = std::map<std::string, std::string>;
// What a row's variables are bound to: "$p" -> "61234".
using Bindings = std::map<std::string, std::string>;

// A variable without a value yet: where its value stands in the frame.
struct Variable {
  std::string name;     // with its $
  std::string allowed;  // as written behind the colon
  size_t at = 0, length = 0;
};

// A frame written as text, with a mask of the bits that matter when it is compared.
//
// Built from the RFCs and nothing else: no header of the dataplane is included, so that a layout mistake
// there cannot hide here. Lengths, protocol numbers and checksums are filled in from what follows unless they
// are given.
struct Frame {
  Bytes bytes;
  Bytes mask;  // 0xff: compared; 0: any value (written `*`)
  std::vector<Variable> open;

  [[nodiscard]] bool matches(const Bytes& other) const;
  // Both frames in hex, differing bytes marked: for a test's message.
  [[nodiscard]] std::string difference(const Bytes& other) const;
};

// Reads a sequence of layers. Throws std::invalid_argument.
//
//   eth(SRC>DST [type=0x88cc])   vlan(ID)   arp()
//   ip4(SRC>DST [ttl= tos= id= df df=* mf off=BYTES proto= len= hlen=WORDS ver= csum=bad|* opts=HEX])
//   ip6(SRC>DST [hl= tc= fl= nh= len= ver=])
//   hbh() dstopt([len=]) rh([type=]) frag([off=BYTES mf id=]) ah([len=])     extension headers
//   udp(SPORT>DPORT [csum=0xVALUE|bad|partial|* len=])   tcp(SPORT>DPORT [flags=SAFRPU seq= ack= doff= csum=
//   win=]) sctp(SPORT>DPORT [crc: a right CRC32c; otherwise 0]) icmp(TYPE CODE [id= seq= mtu= csum=])
//   icmp6(TYPE CODE [id= seq= mtu= csum=]) vxlan(VNI [flags=0x08])   geneve(VNI [optlen=WORDS ver= type=
//   critical]) "text"   hex(…)   zeros(N)   pad(N): padding after everything   cut(N): keep the first N bytes
//
// An IP address, a port or an echo id may be a variable: `$p`, or `$p:ALLOWED` where it is first seen.
// ALLOWED is `LOW-HIGH`, `VALUE|VALUE|...` or a name for one of these, followed by `!q` for "not what $q is".
// A MAC address `ep$b` is that of the endpoint with the address $b.
[[nodiscard]] Frame build_frame(std::string_view text, const Names& names, const Bindings& bindings = {});

// Is `frame` what `text` says? If so, binds the variables that had no value. Bits that `mask` clears are not
// known in `frame` (an empty mask: all are).
[[nodiscard]] bool match_frame(std::string_view text, const Names& names, Bindings& bindings,
                               const Bytes& frame, const Bytes& mask = {});

[[nodiscard]] Bytes parse_address(std::string_view text);  // 4 or 16 bytes; throws
[[nodiscard]] Bytes parse_mac(std::string_view text);      // 6 bytes; throws
[[nodiscard]] std::string address_text(const Bytes& address);
[[nodiscard]] std::string hex(const Bytes& bytes);

// RFC 1071 over `bytes`, an odd last byte padded with zero; `start` is a partial sum.
[[nodiscard]] uint16_t internet_checksum(const uint8_t* bytes, size_t length, uint32_t start = 0);
[[nodiscard]] uint32_t partial_sum(const uint8_t* bytes, size_t length, uint32_t start = 0);

}  // namespace fairlead::golden
