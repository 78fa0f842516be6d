#include "dataplane/dpdk/socket_filter.hpp"

#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/udp.h"

#include <cstddef>

namespace fairlead::dpdk {
namespace {

constexpr uint32_t kL3 = sizeof(ethernet_header);
constexpr uint32_t kTakeAll = 0xffffffff;

// One alternative: if every test holds the frame is taken, else the next alternative is tried.
class Alternative {
 public:
  void load(uint16_t size, uint32_t offset) {
    code_.push_back(BPF_STMT(static_cast<uint16_t>(BPF_LD | size | BPF_ABS), offset));
  }
  void statement(uint16_t code, uint32_t k) { code_.push_back(BPF_STMT(code, k)); }
  // Falls to the next alternative unless the accumulator equals `value`.
  void require_equal(uint32_t value) { branch(BPF_JMP | BPF_JEQ | BPF_K, value, true); }
  // ... unless none of `bits` is set.
  void require_clear(uint32_t bits) { branch(BPF_JMP | BPF_JSET | BPF_K, bits, false); }

  void append_to(std::vector<sock_filter>& program) {
    code_.push_back(BPF_STMT(BPF_RET | BPF_K, kTakeAll));
    for (size_t at : branches_) {
      const auto distance = static_cast<uint8_t>(code_.size() - at - 1);
      (fails_if_false_[at] ? code_[at].jf : code_[at].jt) = distance;
    }
    program.insert(program.end(), code_.begin(), code_.end());
  }

 private:
  void branch(uint16_t code, uint32_t value, bool fails_if_false) {
    branches_.push_back(code_.size());
    fails_if_false_.resize(code_.size() + 1);
    fails_if_false_[code_.size()] = fails_if_false;
    code_.push_back(sock_filter{code, 0, 0, value});
  }

  std::vector<sock_filter> code_;
  std::vector<size_t> branches_;
  std::vector<bool> fails_if_false_;
};

uint32_t word_of(const core::IpAddress& address, unsigned i) {
  return uint32_t{address.bytes[i * 4]} << 24 | uint32_t{address.bytes[i * 4 + 1]} << 16 |
         uint32_t{address.bytes[i * 4 + 2]} << 8 | address.bytes[i * 4 + 3];
}

void require_destination(Alternative& test, const core::Prefix& prefix) {
  const bool is_ipv4 = prefix.address.is_ipv4();
  test.load(BPF_H, offsetof(ethernet_header, ethertype));
  test.require_equal(is_ipv4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6);
  const uint32_t at =
      kL3 + (is_ipv4 ? offsetof(ipv4_header, destination) : offsetof(ipv6_header, destination));
  for (unsigned i = 0; i * 32 < prefix.length; ++i) {
    const unsigned bits = std::min(32u, prefix.length - i * 32u);
    const uint32_t mask = bits == 32 ? ~0u : ~(~0u >> bits);
    test.load(BPF_W, at + i * 4);
    if (bits != 32) test.statement(BPF_ALU | BPF_AND | BPF_K, mask);
    test.require_equal(word_of(prefix.address, i) & mask);
  }
}

void require_tunnel(Alternative& test, const core::IpAddress& vtep, uint16_t port) {
  require_destination(test, core::Prefix::host(vtep));
  if (vtep.is_ipv4()) {
    test.load(BPF_B, kL3 + offsetof(ipv4_header, protocol));
    test.require_equal(FL_PROTOCOL_UDP);
    test.load(BPF_H, kL3 + offsetof(ipv4_header, fragment));
    test.require_clear(FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK);
    test.statement(BPF_LDX | BPF_B | BPF_MSH, kL3);  // X = 4 * header words
    test.statement(BPF_LD | BPF_H | BPF_IND, kL3 + offsetof(udp_header, destination_port));
  } else {
    test.load(BPF_B, kL3 + offsetof(ipv6_header, next_header));
    test.require_equal(FL_PROTOCOL_UDP);
    test.load(BPF_H, kL3 + sizeof(ipv6_header) + offsetof(udp_header, destination_port));
  }
  test.require_equal(port);
}

// A router's word that a packet of our tunnels was too big.
void require_too_big(Alternative& test, const core::IpAddress& vtep, uint16_t port) {
  require_destination(test, core::Prefix::host(vtep));
  if (vtep.is_ipv4()) {
    test.load(BPF_B, kL3 + offsetof(ipv4_header, protocol));
    test.require_equal(FL_PROTOCOL_ICMP);
    test.load(BPF_H, kL3 + offsetof(ipv4_header, fragment));
    test.require_clear(FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK);
    test.statement(BPF_LDX | BPF_B | BPF_MSH, kL3);  // X = 4 * header words
    test.statement(BPF_LD | BPF_H | BPF_IND, kL3);
    test.require_equal(FL_ICMP_UNREACHABLE << 8 | FL_ICMP_FRAGMENTATION_NEEDED);
    constexpr uint32_t kQuote = kL3 + sizeof(icmp_header);
    test.statement(BPF_LD | BPF_B | BPF_IND, kQuote);
    test.require_equal(0x45);  // we send no options
    test.statement(BPF_LD | BPF_B | BPF_IND, kQuote + offsetof(ipv4_header, protocol));
    test.require_equal(FL_PROTOCOL_UDP);
    test.statement(BPF_LD | BPF_W | BPF_IND, kQuote + offsetof(ipv4_header, source));
    test.require_equal(word_of(vtep, 0));
    test.statement(BPF_LD | BPF_H | BPF_IND,
                   kQuote + sizeof(ipv4_header) + offsetof(udp_header, destination_port));
  } else {
    test.load(BPF_B, kL3 + offsetof(ipv6_header, next_header));
    test.require_equal(FL_PROTOCOL_ICMPV6);
    test.load(BPF_B, kL3 + sizeof(ipv6_header));
    test.require_equal(FL_ICMPV6_PACKET_TOO_BIG);
    constexpr uint32_t kQuote = kL3 + sizeof(ipv6_header) + sizeof(icmp_header);
    test.load(BPF_B, kQuote + offsetof(ipv6_header, next_header));
    test.require_equal(FL_PROTOCOL_UDP);
    for (unsigned i = 0; i < 4; ++i) {
      test.load(BPF_W, kQuote + offsetof(ipv6_header, source) + i * 4);
      test.require_equal(word_of(vtep, i));
    }
    test.load(BPF_H, kQuote + sizeof(ipv6_header) + offsetof(udp_header, destination_port));
  }
  test.require_equal(port);
}

}  // namespace

std::vector<sock_filter> reject_all_filter() {
  return {BPF_STMT(BPF_RET | BPF_K, 0)};
}

std::vector<sock_filter> uplink_filter(const core::NodeSettings& settings) {
  // The kernel takes VLAN tags out of frames before packet sockets see them; the tag's presence is an extra
  // field.
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  for (const core::IpAddress& vtep : {settings.vtep4, settings.vtep6}) {
    if (!vtep) continue;
    Alternative test;
    require_tunnel(test, vtep, settings.tunnel_port);
    test.append_to(program);
    Alternative too_big;
    require_too_big(too_big, vtep, settings.tunnel_port);
    too_big.append_to(program);
  }
  constexpr size_t kLongestAlternative = 16;
  for (const core::Prefix& pods : settings.local_pods) {
    if (program.size() + kLongestAlternative + 1 > BPF_MAXINSNS) break;
    Alternative test;
    require_destination(test, pods);
    test.append_to(program);
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  return program;
}

}  // namespace fairlead::dpdk
