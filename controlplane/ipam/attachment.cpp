#include "controlplane/ipam/attachment.hpp"

#include <cstdint>
#include <cstdio>

namespace fairlead::control {

uint64_t name_hash(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);
  for (const char c : text) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3u;
  }
  hash ^= hash >> 30;
  hash *= 0xbf58476d1ce4e5b9u;
  hash ^= hash >> 27;
  hash *= 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

std::string host_interface_name(const AttachmentKey& key, unsigned attempt) {
  char name[16];
  std::snprintf(name, sizeof name, "fl%011llx",
                static_cast<unsigned long long>(name_hash(key.text(), attempt) >> 20));
  return name;
}

std::string link_alias(const AttachmentKey& key) {
  constexpr size_t kLongest = 200;  // the kernel keeps 255 bytes of an alias
  std::string text = key.text();
  if (text.size() > kLongest) {
    char digest[20];
    std::snprintf(digest, sizeof digest, "~%016llx", static_cast<unsigned long long>(name_hash(text)));
    text = text.substr(0, kLongest) + digest;
  }
  return "fairlead:" + text;
}

}  // namespace fairlead::control
