#pragma once

#include <arpa/inet.h>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

// Frames for tests, made byte by byte from the RFCs: nothing here knows the dataplane's headers or checksums.

namespace fairlead::test {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes be(uint64_t value, unsigned bytes) {
  Bytes out;
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
  return out;
}

inline uint32_t get(std::span<const uint8_t> bytes, size_t at, unsigned width) {
  uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i) value = value << 8 | bytes[at + i];
  return value;
}

inline void put(std::span<uint8_t> bytes, size_t at, uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * (width - 1 - i)));
}

inline Bytes pattern(size_t length, unsigned seed = 0) {
  Bytes out(length);
  for (size_t i = 0; i < length; ++i) out[i] = static_cast<uint8_t>(i * 7 + seed * 31 + (i >> 8));
  return out;
}

inline Bytes address(const std::string& text) {
  Bytes out(text.find(':') == std::string::npos ? 4 : 16);
  inet_pton(out.size() == 4 ? AF_INET : AF_INET6, text.c_str(), out.data());
  return out;
}

// RFC 1071, the slow way: byte by byte, in network order.
inline uint16_t slow_sum(std::span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

inline uint16_t slow_pseudo_sum(const Bytes& source, const Bytes& destination, uint8_t protocol,
                                size_t length) {
  return slow_sum(source + destination + be(length, 4) + be(protocol, 4));
}

// Where the checksum of an L4 header stands, or -1.
inline int l4_checksum_offset(uint8_t protocol) {
  switch (protocol) {
    case 6:
      return 16;
    case 17:
      return 6;
    case 1:
    case 58:
      return 2;
    default:
      return -1;
  }
}

struct Ip {
  std::string source = "10.1.0.5", destination = "10.2.0.9";
  uint8_t protocol = 6;
  uint8_t ttl = 64, tos = 0;
  uint16_t id = 0x1234, fragment = 0x4000;                 // IPv4: flags and offset
  Bytes options = {};                                      // IPv4
  std::vector<std::pair<uint8_t, Bytes>> extensions = {};  // IPv6: type, bytes from the second on
  bool fill_checksum = true;                               // of L4, over all of `l4`
};

inline void fill_l4_checksum(const Ip& ip, Bytes& l4) {
  const int at = l4_checksum_offset(ip.protocol);
  if (!ip.fill_checksum || at < 0 || l4.size() < static_cast<size_t>(at) + 2) return;
  put(l4, at, 0, 2);
  const uint32_t pseudo =
      ip.protocol == 1 ? 0
                       : slow_pseudo_sum(address(ip.source), address(ip.destination), ip.protocol, l4.size());
  const auto sum = static_cast<uint16_t>(~slow_sum(l4, pseudo));
  put(l4, at, ip.protocol == 17 && sum == 0 ? 0xffff : sum, 2);
}

inline Bytes ipv4(const Ip& ip, Bytes l4) {
  fill_l4_checksum(ip, l4);
  const size_t header = 20 + ip.options.size();
  Bytes out = be(0x40 | header / 4, 1) + be(ip.tos, 1) + be(header + l4.size(), 2) + be(ip.id, 2) +
              be(ip.fragment, 2) + be(ip.ttl, 1) + be(ip.protocol, 1) + be(0, 2) + address(ip.source) +
              address(ip.destination) + ip.options;
  put(out, 10, static_cast<uint16_t>(~slow_sum(out)), 2);
  return out + l4;
}

inline Bytes ipv6(Ip ip, Bytes l4) {
  if (ip.source == Ip{}.source) ip.source = "fd00:1::5";
  if (ip.destination == Ip{}.destination) ip.destination = "fd00:2::9";
  fill_l4_checksum(ip, l4);
  Bytes chain;
  for (size_t i = 0; i < ip.extensions.size(); ++i) {
    const uint8_t next = i + 1 < ip.extensions.size() ? ip.extensions[i + 1].first : ip.protocol;
    chain = chain + be(next, 1) + ip.extensions[i].second;
  }
  const uint8_t first = ip.extensions.empty() ? ip.protocol : ip.extensions[0].first;
  return be(6u << 28 | ip.tos << 20 | 0xabcde, 4) + be(chain.size() + l4.size(), 2) + be(first, 1) +
         be(ip.ttl, 1) + address(ip.source) + address(ip.destination) + chain + l4;
}

inline Bytes ethernet(uint16_t ethertype, const Bytes& payload) {
  return Bytes{0x02, 0x46, 0x4c, 0xff, 0xff, 0xff, 0x02, 0x46, 0x4c, 0, 0, 7} + be(ethertype, 2) + payload;
}

inline Bytes frame4(const Ip& ip, const Bytes& l4) {
  return ethernet(0x0800, ipv4(ip, l4));
}
inline Bytes frame6(const Ip& ip, const Bytes& l4) {
  return ethernet(0x86dd, ipv6(ip, l4));
}

inline Bytes tcp(const Bytes& payload, uint8_t flags = 0x10, const Bytes& options = {},
                 uint32_t sequence = 1000) {
  return be(40000, 2) + be(443, 2) + be(sequence, 4) + be(2000, 4) + be((20 + options.size()) / 4 << 4, 1) +
         be(flags, 1) + be(512, 2) + be(0, 2) + be(0, 2) + options + payload;
}

inline Bytes udp(const Bytes& payload, uint16_t source = 5353, uint16_t destination = 53) {
  return be(source, 2) + be(destination, 2) + be(8 + payload.size(), 2) + be(0, 2) + payload;
}

inline Bytes icmp(uint8_t type, uint8_t code, uint16_t id, uint16_t sequence, const Bytes& payload = {}) {
  return be(type, 1) + be(code, 1) + be(0, 2) + be(id, 2) + be(sequence, 2) + payload;
}

inline Bytes sctp(const Bytes& payload) {
  return be(7000, 2) + be(8000, 2) + be(0xdeadbeef, 4) + be(0, 4) + payload;
}

inline Bytes vxlan(uint32_t vni, const Bytes& inner, uint8_t flags = 0x08) {
  return be(flags, 1) + be(0, 3) + be(vni, 3) + be(0, 1) + inner;
}

inline Bytes geneve(uint32_t vni, const Bytes& inner, const Bytes& options = {}, uint8_t flags = 0,
                    uint16_t protocol = 0x6558, uint8_t version = 0) {
  return be(version << 6 | options.size() / 4, 1) + be(flags, 1) + be(protocol, 2) + be(vni, 3) + be(0, 1) +
         options + inner;
}

// IPv6 extension headers, without their first byte (ipv6() writes it).
inline Bytes options_header(unsigned length) {
  return be(length / 8 - 1, 1) + Bytes{1, static_cast<uint8_t>(length - 4)} + Bytes(length - 4, 0);
}
inline Bytes ah_header(unsigned length) {
  return be(length / 4 - 2, 1) + Bytes(length - 2, 0x5a);
}
inline Bytes fragment_header(unsigned offset, bool more, uint32_t id = 0xfeed) {
  return be(0, 1) + be(offset | (more ? 1 : 0), 2) + be(id, 4);
}

// A copy of a frame whose last byte is the last one that may be read: the next page is not there.
class GuardedFrame {
 public:
  explicit GuardedFrame(std::span<const uint8_t> bytes) : length_(bytes.size()) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    body_ = (bytes.size() + page) / page * page;
    map_ = static_cast<uint8_t*>(
        mmap(nullptr, body_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(map_ + body_, page, PROT_NONE);
    mapped_ = body_ + page;
    if (!bytes.empty()) std::memcpy(begin(), bytes.data(), bytes.size());
  }
  ~GuardedFrame() { munmap(map_, mapped_); }
  GuardedFrame(const GuardedFrame&) = delete;
  GuardedFrame& operator=(const GuardedFrame&) = delete;

  uint8_t* begin() { return map_ + body_ - length_; }
  uint8_t* end() { return map_ + body_; }

 private:
  uint8_t* map_ = nullptr;
  size_t length_, body_ = 0, mapped_ = 0;
};

}  // namespace fairlead::test
