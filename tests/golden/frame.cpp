#include "tests/golden/frame.hpp"

#include "tests/golden/layer.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace fairlead::golden {
namespace {

void put16(Bytes& out, uint32_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
void put32(Bytes& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void set16(Bytes& out, size_t at, uint32_t value) {
  out[at] = static_cast<uint8_t>(value >> 8);
  out[at + 1] = static_cast<uint8_t>(value);
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

std::pair<std::string, std::string> arrow(const Layer& layer) {
  if (layer.words.empty()) refuse(layer.name + ": expected SRC>DST");
  const std::string& word = layer.words.front();
  const size_t at = word.find('>');
  if (at == std::string::npos) refuse(layer.name + ": expected SRC>DST, found " + word);
  return {word.substr(0, at), word.substr(at + 1)};
}

// What the next layer is called in an EtherType and in an IP protocol field.
uint32_t ethertype_of(const std::string& name) {
  static const std::map<std::string, uint32_t> table{
      {"ip4", 0x0800}, {"ip6", 0x86dd}, {"arp", 0x0806}, {"vlan", 0x8100}};
  const auto found = table.find(name);
  return found == table.end() ? 0x88b5 : found->second;
}
uint32_t protocol_of(const std::string& name) {
  static const std::map<std::string, uint32_t> table{
      {"icmp", 1}, {"tcp", 6},   {"udp", 17}, {"icmp6", 58},  {"sctp", 132}, {"hbh", 0},
      {"rh", 43},  {"frag", 44}, {"ah", 51},  {"dstopt", 60}, {"ip4", 4},    {"ip6", 41}};
  const auto found = table.find(name);
  return found == table.end() ? 253 : found->second;
}

struct Pseudo {
  Bytes source, destination;  // of the innermost enclosing IP header
};

// RFC 9260 appendix A: CRC32c, least significant bit first.
uint32_t crc32c(const Bytes& bytes) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

class Builder {
 public:
  Builder(std::vector<Layer> layers, const Names& macs, const Bindings& bindings)
      : layers_(std::move(layers)), macs_(macs), bindings_(bindings) {}

  Frame build() {
    std::optional<size_t> cut;
    size_t padding = 0;
    while (!layers_.empty() && (layers_.back().name == "pad" || layers_.back().name == "cut")) {
      const auto amount = static_cast<size_t>(std::strtoul(layers_.back().words.at(0).c_str(), nullptr, 0));
      if (layers_.back().name == "pad") {
        padding = amount;
      } else {
        cut = amount;
      }
      layers_.pop_back();
    }
    Frame frame = layer(0, Pseudo{});
    frame.bytes.resize(frame.bytes.size() + padding);
    frame.mask.resize(frame.bytes.size(), 0xff);
    if (cut && *cut < frame.bytes.size()) {
      frame.bytes.resize(*cut);
      frame.mask.resize(*cut);
    }
    return frame;
  }

 private:
  Frame layer(size_t index, const Pseudo& pseudo) {
    if (index == layers_.size()) return {};
    const Layer& what = layers_[index];
    const std::string next = index + 1 < layers_.size() ? layers_[index + 1].name : "";
    Pseudo inner = pseudo;
    if (what.name == "ip4" || what.name == "ip6") {
      const auto [source, destination] = arrow(what);
      inner = {address(what, source), address(what, destination)};
    }
    Frame payload = layer(index + 1, inner);
    Frame frame = header(what, next, payload.bytes, inner);
    for (Variable variable : payload.open) {
      variable.at += frame.bytes.size();
      frame.open.push_back(variable);
    }
    frame.bytes.insert(frame.bytes.end(), payload.bytes.begin(), payload.bytes.end());
    frame.mask.insert(frame.mask.end(), payload.mask.begin(), payload.mask.end());
    return frame;
  }

  // "ep$b": the endpoint that has the address bound to $b; empty while nothing is bound.
  Bytes mac(std::string name) const {
    if (const size_t dollar = name.find('$'); dollar != std::string::npos) {
      const auto bound = bindings_.find(name.substr(dollar));
      if (bound == bindings_.end()) return {};
      name = name.substr(0, dollar) + "@" + bound->second;
    }
    const auto found = macs_.find(name);
    return parse_mac(found == macs_.end() ? name : found->second);
  }

  // The value of a word that may be a variable: what is bound to it, or nothing.
  std::optional<std::string> value(const std::string& word) const {
    if (word.empty() || word[0] != '$') return word;
    const auto bound = bindings_.find(word.substr(0, word.find(':')));
    if (bound == bindings_.end()) return std::nullopt;
    return bound->second;
  }
  Bytes address(const Layer& what, const std::string& word) const {
    const std::optional<std::string> text = value(word);
    return text ? parse_address(*text) : Bytes(what.name == "ip4" ? 4 : 16);
  }
  uint32_t number(const std::string& word) const {
    const std::optional<std::string> text = value(word);
    return text ? static_cast<uint32_t>(std::strtoul(text->c_str(), nullptr, 0)) : 0;
  }
  // Notes that `word` stands at `at` of the layer, if it is a variable without a value.
  void open(Frame& out, const std::string& word, size_t at, size_t length) const {
    if (value(word)) return;
    const size_t colon = word.find(':');
    out.open.push_back(
        {word.substr(0, colon), colon == std::string::npos ? "" : word.substr(colon + 1), at, length});
  }

  Frame header(const Layer& what, const std::string& next, const Bytes& payload, const Pseudo& pseudo) {
    Frame out;
    Bytes& b = out.bytes;
    const std::string& n = what.name;
    if (n == "eth") {
      const auto [source, destination] = arrow(what);
      for (Bytes address : {mac(destination), mac(source)}) {
        out.mask.resize(b.size() + 6, address.empty() ? 0 : 0xff);
        address.resize(6);
        b.insert(b.end(), address.begin(), address.end());
      }
      put16(b, what.number("type", ethertype_of(next)));
    } else if (n == "vlan") {
      put16(b, static_cast<uint32_t>(std::strtoul(what.words.at(0).c_str(), nullptr, 0)));
      put16(b, what.number("type", ethertype_of(next)));
    } else if (n == "arp") {
      b = {0, 1, 8, 0, 6, 4, 0, 1};
      b.resize(28);
    } else if (n == "ip4") {
      ipv4(what, next, payload, pseudo, out);
    } else if (n == "ip6") {
      put32(b, (what.number("ver", 6) << 28) | (what.number("tc", 0) << 20) | what.number("fl", 0));
      put16(b, what.number("len", static_cast<uint32_t>(payload.size())));
      b.push_back(static_cast<uint8_t>(what.number("nh", protocol_of(next))));
      b.push_back(static_cast<uint8_t>(what.number("hl", 64)));
      b.insert(b.end(), pseudo.source.begin(), pseudo.source.end());
      b.insert(b.end(), pseudo.destination.begin(), pseudo.destination.end());
      out.mask.resize(b.size(), 0xff);
      open(out, arrow(what).first, 8, 16);
      open(out, arrow(what).second, 24, 16);
      if (what.any("tc")) {
        out.mask[0] = 0xf0;
        out.mask[1] = 0x0f;
      }
      if (what.any("hl")) out.mask[7] = 0;
      if (what.any("fl")) {
        out.mask[1] &= 0xf0;
        out.mask[2] = out.mask[3] = 0;
      }
    } else if (n == "hbh" || n == "dstopt") {
      const uint32_t units = what.number("len", 0);
      b = {static_cast<uint8_t>(what.number("nh", protocol_of(next))),
           static_cast<uint8_t>(units),
           1,
           4,
           0,
           0,
           0,
           0};
      const size_t real = what.number("real", units);
      for (size_t unit = 0; unit < real; ++unit) {
        const Bytes padding{1, 6, 0, 0, 0, 0, 0, 0};
        b.insert(b.end(), padding.begin(), padding.end());
      }
    } else if (n == "rh") {
      b = {static_cast<uint8_t>(what.number("nh", protocol_of(next))),
           0,
           static_cast<uint8_t>(what.number("type", 0)),
           0,
           0,
           0,
           0,
           0};
    } else if (n == "frag") {
      b = {static_cast<uint8_t>(what.number("nh", protocol_of(next))), 0};
      put16(b, (what.number("off", 0) & 0xfff8) | (what.has("mf") ? 1 : 0));
      put32(b, what.number("id", 7));
    } else if (n == "ah") {
      const uint32_t words = what.number("len", 4);  // length in words minus two, RFC 4302
      b = {static_cast<uint8_t>(what.number("nh", protocol_of(next))), static_cast<uint8_t>(words), 0, 0};
      b.resize((words + 2) * 4);
    } else if (n == "udp" || n == "tcp" || n == "sctp") {
      transport(what, payload, pseudo, out);
    } else if (n == "icmp" || n == "icmp6") {
      b = {static_cast<uint8_t>(std::strtoul(what.words.at(0).c_str(), nullptr, 0)),
           static_cast<uint8_t>(std::strtoul(what.words.at(1).c_str(), nullptr, 0)), 0, 0};
      if (what.has("mtu")) {
        put32(b, what.number("mtu", 0));
      } else {
        const std::string id = what.has("id") ? what.values.at("id") : "0";
        put16(b, number(id));
        put16(b, what.number("seq", 0));
        open(out, id, 4, 2);
      }
      checksum(what, payload, n == "icmp" ? nullptr : &pseudo, 58, 2, out);
    } else if (n == "vxlan") {
      b = {static_cast<uint8_t>(what.number("flags", 0x08)), 0, 0, 0};
      put32(b, static_cast<uint32_t>(std::strtoul(what.words.at(0).c_str(), nullptr, 0)) << 8 |
                   what.number("reserved", 0));
    } else if (n == "geneve") {
      const uint32_t words = what.number("optlen", 0);
      b = {static_cast<uint8_t>((what.number("ver", 0) << 6) | words),
           static_cast<uint8_t>(what.has("critical") ? 0x40 : 0)};
      put16(b, what.number("type", 0x6558));
      put32(b, static_cast<uint32_t>(std::strtoul(what.words.at(0).c_str(), nullptr, 0)) << 8);
      // One option of class 0x0103 that fills the space.
      if (words != 0) {
        put16(b, 0x0103);
        b.push_back(static_cast<uint8_t>(what.has("critical") ? 0x80 : 0x01));
        b.push_back(static_cast<uint8_t>(words - 1));
        b.resize(8 + words * 4);
      }
    } else if (n == "text") {
      b.assign(what.words.at(0).begin(), what.words.at(0).end());
    } else if (n == "zeros") {
      b.resize(std::strtoul(what.words.at(0).c_str(), nullptr, 0));
    } else if (n == "hex") {
      std::string digits;
      for (const std::string& word : what.words) digits += word;
      for (size_t at = 0; at + 1 < digits.size(); at += 2) {
        b.push_back(static_cast<uint8_t>(std::strtoul(digits.substr(at, 2).c_str(), nullptr, 16)));
      }
    } else {
      refuse("unknown layer " + n);
    }
    out.mask.resize(b.size(), 0xff);
    return out;
  }

  void ipv4(const Layer& what, const std::string& next, const Bytes& payload, const Pseudo& pseudo,
            Frame& out) const {
    Bytes& b = out.bytes;
    Bytes options;
    if (what.has("opts")) {
      const std::string digits = what.values.at("opts");
      for (size_t at = 0; at + 1 < digits.size(); at += 2) {
        options.push_back(static_cast<uint8_t>(std::strtoul(digits.substr(at, 2).c_str(), nullptr, 16)));
      }
    }
    const auto words = static_cast<uint32_t>(5 + options.size() / 4);
    b.push_back(static_cast<uint8_t>(what.number("ver", 4) << 4 | what.number("hlen", words)));
    b.push_back(static_cast<uint8_t>(what.number("tos", 0)));
    put16(b, what.number("len", static_cast<uint32_t>(words * 4 + payload.size())));
    put16(b, what.number("id", 0x1234));
    put16(b, (what.has("df") ? 0x4000u : 0) | (what.has("mf") ? 0x2000u : 0) | what.number("off", 0) / 8);
    b.push_back(static_cast<uint8_t>(what.number("ttl", 64)));
    b.push_back(static_cast<uint8_t>(what.number("proto", protocol_of(next))));
    put16(b, 0);
    b.insert(b.end(), pseudo.source.begin(), pseudo.source.end());
    b.insert(b.end(), pseudo.destination.begin(), pseudo.destination.end());
    b.insert(b.end(), options.begin(), options.end());
    set16(b, 10, internet_checksum(b.data(), b.size()) ^ (what.bad("csum") ? 0x0101u : 0));
    out.mask.resize(b.size(), 0xff);
    open(out, arrow(what).first, 12, 4);
    open(out, arrow(what).second, 16, 4);
    if (what.any("id")) {
      // An unknown id makes the checksum unknown with it; the runner verifies that the checksum holds.
      out.mask[4] = out.mask[5] = out.mask[10] = out.mask[11] = 0;
    }
    if (what.any("csum")) out.mask[10] = out.mask[11] = 0;
    if (what.any("tos")) out.mask[1] = out.mask[10] = out.mask[11] = 0;
    if (what.any("df")) {
      out.mask[6] = 0xbf;
      out.mask[10] = out.mask[11] = 0;
    }
    if (what.any("ttl")) out.mask[8] = out.mask[10] = out.mask[11] = 0;
  }

  void transport(const Layer& what, const Bytes& payload, const Pseudo& pseudo, Frame& out) const {
    Bytes& b = out.bytes;
    const auto [source, destination] = arrow(what);
    put16(b, number(source));
    put16(b, number(destination));
    open(out, source, 0, 2);
    open(out, destination, 2, 2);
    if (what.name == "udp") {
      put16(b, what.number("len", static_cast<uint32_t>(8 + payload.size())));
      put16(b, 0);
      checksum(what, payload, &pseudo, 17, 6, out);
    } else if (what.name == "tcp") {
      put32(b, what.number("seq", 1000));
      put32(b, what.number("ack", 0));
      uint32_t flags = 0;
      const std::string letters = what.has("flags") ? what.values.at("flags") : "A";
      const std::string order = "FSRPAUEC";
      for (const char letter : letters) flags |= 1u << order.find(letter);
      put16(b, what.number("doff", 5) << 12 | flags);
      put16(b, what.number("win", 65535));
      put32(b, 0);
      checksum(what, payload, &pseudo, 6, 16, out);
    } else {
      put32(b, 0x01020304);
      put32(b, 0);
      if (what.has("crc")) {
        Bytes whole = b;
        whole.insert(whole.end(), payload.begin(), payload.end());
        const uint32_t crc = crc32c(whole);
        for (unsigned byte = 0; byte < 4; ++byte) b[8 + byte] = static_cast<uint8_t>(crc >> (8 * byte));
      }
    }
    out.mask.resize(b.size(), 0xff);
    if (source == "*") out.mask[0] = out.mask[1] = 0;
  }

  static void checksum(const Layer& what, const Bytes& payload, const Pseudo* pseudo, uint32_t protocol,
                       size_t at, Frame& out) {
    Bytes whole = out.bytes;
    whole.insert(whole.end(), payload.begin(), payload.end());
    uint32_t sum = 0;
    if (pseudo != nullptr && !pseudo->source.empty()) {
      sum = partial_sum(pseudo->source.data(), pseudo->source.size(), sum);
      sum = partial_sum(pseudo->destination.data(), pseudo->destination.size(), sum);
      sum +=
          protocol + static_cast<uint32_t>(whole.size() & 0xffff) + static_cast<uint32_t>(whole.size() >> 16);
    }
    uint32_t value = internet_checksum(whole.data(), whole.size(), sum);
    if (what.name == "udp" && value == 0) value = 0xffff;
    // What a sender leaves to its device: the sum of the pseudo-header.
    if (what.is("csum", "partial")) {
      value = partial_sum(nullptr, 0, sum);
    }
    set16(out.bytes, at, what.number("csum", value ^ (what.bad("csum") ? 0x0101u : 0)));
    out.mask.resize(out.bytes.size(), 0xff);
    if (what.any("csum")) out.mask[at] = out.mask[at + 1] = 0;
  }

  std::vector<Layer> layers_;
  const Names& macs_;
  const Bindings& bindings_;
};

}  // namespace

Frame build_frame(std::string_view text, const Names& names, const Bindings& bindings) {
  return Builder(parse_layers(text), names, bindings).build();
}

Bytes parse_address(std::string_view text) {
  const std::string copy(text);
  Bytes bytes(16);
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  bytes.resize(4);
  if (inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return bytes;
  refuse("not an address: " + copy);
}

Bytes parse_mac(std::string_view text) {
  Bytes bytes;
  for (size_t at = 0; at + 1 < text.size(); at += 3) {
    bytes.push_back(static_cast<uint8_t>(std::strtoul(std::string(text.substr(at, 2)).c_str(), nullptr, 16)));
  }
  if (bytes.size() != 6 || text.size() != 17) refuse("not a MAC address: " + std::string(text));
  return bytes;
}

std::string address_text(const Bytes& address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
}

std::string hex(const Bytes& bytes) {
  static const char* digits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

uint32_t partial_sum(const uint8_t* bytes, size_t length, uint32_t start) {
  uint64_t sum = start;
  for (size_t at = 0; at + 1 < length; at += 2) sum += static_cast<uint32_t>(bytes[at] << 8 | bytes[at + 1]);
  if ((length & 1) != 0) sum += static_cast<uint32_t>(bytes[length - 1] << 8);
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

uint16_t internet_checksum(const uint8_t* bytes, size_t length, uint32_t start) {
  uint32_t sum = partial_sum(bytes, length, start);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace fairlead::golden
