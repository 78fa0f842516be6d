#include "tests/golden/frame.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace fairlead::golden {
namespace {

struct Layer {
  std::string name;
  std::vector<std::string> words;             // positional
  std::map<std::string, std::string> values;  // key=value; a flag is its own value

  [[nodiscard]] bool has(const std::string& key) const { return values.contains(key); }
  [[nodiscard]] uint32_t number(const std::string& key, uint32_t otherwise) const {
    const auto found = values.find(key);
    if (found == values.end() || found->second == "*" || found->second == "bad") return otherwise;
    return static_cast<uint32_t>(std::strtoul(found->second.c_str(), nullptr, 0));
  }
  [[nodiscard]] bool any(const std::string& key) const {
    const auto found = values.find(key);
    return found != values.end() && found->second == "*";
  }
  [[nodiscard]] bool bad(const std::string& key) const {
    const auto found = values.find(key);
    return found != values.end() && found->second == "bad";
  }
};

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

std::vector<Layer> parse_layers(std::string_view text) {
  std::vector<Layer> layers;
  size_t at = 0;
  while (at < text.size()) {
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    if (text[at] == '"') {
      const size_t end = text.find('"', at + 1);
      if (end == std::string_view::npos) refuse("unclosed string");
      Layer layer;
      layer.name = "text";
      layer.words.emplace_back(text.substr(at + 1, end - at - 1));
      layers.push_back(layer);
      at = end + 1;
      continue;
    }
    const size_t open = text.find('(', at);
    const size_t close = open == std::string_view::npos ? open : text.find(')', open);
    if (close == std::string_view::npos) refuse("expected name(...): " + std::string(text.substr(at)));
    Layer layer;
    layer.name = std::string(text.substr(at, open - at));
    std::string inside(text.substr(open + 1, close - open - 1));
    size_t position = 0;
    while (position < inside.size()) {
      const size_t start = inside.find_first_not_of(" ,", position);
      if (start == std::string::npos) break;
      size_t end = inside.find_first_of(" ,", start);
      if (end == std::string::npos) end = inside.size();
      const std::string word = inside.substr(start, end - start);
      const size_t equals = word.find('=');
      if (equals != std::string::npos) {
        layer.values[word.substr(0, equals)] = word.substr(equals + 1);
      } else if (word == "df" || word == "mf" || word == "critical") {
        layer.values[word] = word;
      } else {
        layer.words.push_back(word);
      }
      position = end;
    }
    layers.push_back(layer);
    at = close + 1;
  }
  return layers;
}

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

class Builder {
 public:
  Builder(std::vector<Layer> layers, const std::map<std::string, std::string>& macs)
      : layers_(std::move(layers)), macs_(macs) {}

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
      inner = {parse_address(source), parse_address(destination)};
    }
    Frame payload = layer(index + 1, inner);
    Frame frame = header(what, next, payload.bytes, inner);
    frame.bytes.insert(frame.bytes.end(), payload.bytes.begin(), payload.bytes.end());
    frame.mask.insert(frame.mask.end(), payload.mask.begin(), payload.mask.end());
    return frame;
  }

  Bytes mac(const std::string& name) const {
    const auto found = macs_.find(name);
    return parse_mac(found == macs_.end() ? name : found->second);
  }

  Frame header(const Layer& what, const std::string& next, const Bytes& payload, const Pseudo& pseudo) {
    Frame out;
    Bytes& b = out.bytes;
    const std::string& n = what.name;
    if (n == "eth") {
      const auto [source, destination] = arrow(what);
      for (const Bytes& address : {mac(destination), mac(source)})
        b.insert(b.end(), address.begin(), address.end());
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
        put16(b, what.number("id", 0));
        put16(b, what.number("seq", 0));
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

  static void ipv4(const Layer& what, const std::string& next, const Bytes& payload, const Pseudo& pseudo,
                   Frame& out) {
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
    if (what.any("id")) {
      // An unknown id makes the checksum unknown with it; the runner verifies that the checksum holds.
      out.mask[4] = out.mask[5] = out.mask[10] = out.mask[11] = 0;
    }
    if (what.any("csum")) out.mask[10] = out.mask[11] = 0;
    if (what.any("tos")) out.mask[1] = out.mask[10] = out.mask[11] = 0;
    if (what.any("ttl")) out.mask[8] = out.mask[10] = out.mask[11] = 0;
  }

  static void transport(const Layer& what, const Bytes& payload, const Pseudo& pseudo, Frame& out) {
    Bytes& b = out.bytes;
    const auto [source, destination] = arrow(what);
    put16(b, static_cast<uint32_t>(std::strtoul(source.c_str(), nullptr, 0)));
    put16(b, static_cast<uint32_t>(std::strtoul(destination.c_str(), nullptr, 0)));
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
      put32(b, 0);  // CRC32c, not touched by forwarding
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
    set16(out.bytes, at, what.number("csum", value ^ (what.bad("csum") ? 0x0101u : 0)));
    out.mask.resize(out.bytes.size(), 0xff);
    if (what.any("csum")) out.mask[at] = out.mask[at + 1] = 0;
  }

  std::vector<Layer> layers_;
  const std::map<std::string, std::string>& macs_;
};

}  // namespace

bool Frame::matches(const Bytes& other) const {
  if (other.size() != bytes.size()) return false;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (((bytes[at] ^ other[at]) & mask[at]) != 0) return false;
  }
  return true;
}

std::string Frame::difference(const Bytes& other) const {
  std::string text =
      "  wanted " + std::to_string(bytes.size()) + " bytes, got " + std::to_string(other.size()) + "\n";
  const size_t longest = std::max(bytes.size(), other.size());
  for (size_t line = 0; line < longest; line += 16) {
    std::string want, got, mark;
    bool differs = false;
    for (size_t at = line; at < std::min(line + 16, longest); ++at) {
      const bool in_want = at < bytes.size(), in_got = at < other.size();
      want += in_want ? (mask[at] != 0 ? hex({bytes[at]}) : "**") + " " : "   ";
      got += in_got ? hex({other[at]}) + " " : "   ";
      const bool bad = in_want != in_got || (in_want && ((bytes[at] ^ other[at]) & mask[at]) != 0);
      mark += bad ? "^^ " : "   ";
      differs |= bad;
    }
    if (differs)
      text += "  at " + std::to_string(line) + "\n    want " + want + "\n    got  " + got + "\n         " +
              mark + "\n";
  }
  return text;
}

Frame build_frame(std::string_view text, const std::map<std::string, std::string>& macs) {
  return Builder(parse_layers(text), macs).build();
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
