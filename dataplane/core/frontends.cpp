#include "dataplane/core/frontends.hpp"

#include <algorithm>
#include <random>

namespace fairlead::core {

namespace {

constexpr uint32_t kBlocks = 1u << 18;

ip_address raw_of(const IpAddress& address) {
  ip_address raw;
  std::memcpy(&raw, address.bytes.data(), sizeof(raw));
  return raw;
}

uint8_t version_of(const IpAddress& address) {
  return address.is_ipv6() ? 6 : 4;
}

IpAddress core_address(const ip_address& address, uint8_t ip_version) {
  return ip_version == 4 ? IpAddress::ipv4(address.word[0].raw)
                         : IpAddress::ipv6(reinterpret_cast<const uint8_t*>(&address));
}

uint64_t drawn_seed() {
  std::random_device random;
  return static_cast<uint64_t>(random()) << 32 | random();
}

}  // namespace

// ---- Reading ----

FrontendKey Frontends::key_of(const ip_address& address, uint16_t port, uint8_t protocol,
                              uint8_t ip_version) const {
  FrontendKey key{address, port, protocol, ip_version, 0};
  const uint32_t tail = uint32_t{port} << 16 | uint32_t{protocol} << 8 | ip_version;
  uint64_t sum = flow_hash_pair(&secret_, 0, address.word[0].raw, tail);
  if (ip_version == 6) {
    sum += flow_hash_pair(&secret_, 2, address.word[1].raw, address.word[2].raw) +
           flow_hash_pair(&secret_, 4, address.word[3].raw, 0);
  }
  key.hash = static_cast<uint32_t>(flow_hash_finish(&secret_, sum));
  return key;
}

Frontends::Found Frontends::find(const ip_address& address, uint16_t port, uint8_t protocol,
                                 uint8_t ip_version) const {
  const Entry* entry = port != 0 ? entries_.find(key_of(address, port, protocol, ip_version)) : nullptr;
  if (entry != nullptr) [[likely]]
    return {entry, true, false};
  const Address* known = addresses_.find(key_of(address, 0, 0, ip_version));
  if (known != nullptr && known->has_node_ports) {
    if (port != 0) entry = entries_.find(key_of(ip_address{}, port, protocol, ip_version));
    return {entry, false, false};
  }
  if (known != nullptr) return {nullptr, true, false};
  if (ranges_ == nullptr) return {};
  const IpAddress plain = core_address(address, ip_version);
  const bool in_range = std::any_of(ranges_->begin(), ranges_->end(),
                                    [&](const Prefix& range) { return range.contains(plain); });
  return {nullptr, in_range, in_range};
}

// ---- Writing ----

FrontendTable::FrontendTable() : FrontendTable(drawn_seed()) {}

FrontendTable::FrontendTable(uint64_t seed) {
  flow_secret_init(&next_.secret_, seed);
}

FrontendKey FrontendTable::key_of(const Frontend& frontend, const Service& service) const {
  return next_.key_of(raw_of(frontend.address), frontend.port, service.protocol, service.is_ipv6 ? 6 : 4);
}

const ServiceView* FrontendTable::view_of(const Service& service) const {
  for (const Frontend& frontend : service.frontends) {
    const Entry* entry = next_.entries_.find(key_of(frontend, service));
    if (entry != nullptr && entry->view->service_id() == service.id) return entry->view.get();
  }
  return nullptr;
}

ServiceId FrontendTable::owner_of(const Frontend& frontend, const Service& service) const {
  const Entry* entry = next_.entries_.find(key_of(frontend, service));
  return entry != nullptr ? entry->view->service_id() : 0;
}

void FrontendTable::put(const std::shared_ptr<const Service>& now, const Service* before) {
  const ServiceViewPtr view = ServiceView::make(now, before != nullptr ? view_of(*before) : nullptr);
  std::vector<FrontendKey> keys;
  keys.reserve(now->frontends.size());
  for (const Frontend& frontend : now->frontends) keys.push_back(key_of(frontend, *now));
  if (before != nullptr) {
    for (const Frontend& frontend : before->frontends) {
      const FrontendKey key = key_of(frontend, *before);
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) withdraw(key, before->id);
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) claim(keys[i], {view, now->frontends[i].kind});
}

void FrontendTable::remove(const Service& before) {
  for (const Frontend& frontend : before.frontends) withdraw(key_of(frontend, before), before.id);
}

void FrontendTable::claim(const FrontendKey& key, Entry entry) {
  const ServiceId id = entry.view->service_id();
  const Entry* current = next_.entries_.find(key);
  const ServiceId owner = current != nullptr ? current->view->service_id() : 0;
  if (owner != 0 && owner < id) {
    losers_[key][id] = std::move(entry);
    return;
  }
  if (owner > id) losers_[key][owner] = *current;
  if (owner == 0) count_address(key, 1);
  next_.entries_.set(key, std::move(entry));
}

void FrontendTable::withdraw(const FrontendKey& key, ServiceId id) {
  const auto contest = losers_.find(key);
  const Entry* current = next_.entries_.find(key);
  if (current == nullptr) return;
  if (current->view->service_id() != id) {
    if (contest == losers_.end()) return;
    contest->second.erase(id);
  } else if (contest != losers_.end()) {
    next_.entries_.set(key, contest->second.begin()->second);
    contest->second.erase(contest->second.begin());
  } else {
    next_.entries_.erase(key);
    count_address(key, -1);
    return;
  }
  if (contest->second.empty()) losers_.erase(contest);
}

// A frontend came to, or went from, an address.
void FrontendTable::count_address(const FrontendKey& key, int change) {
  if (key.address == ip_address{}) return count_node_port(key, change);
  count_block(key.address, key.ip_version, change);
  if (next_.ranges_ != nullptr) {
    const IpAddress address = core_address(key.address, key.ip_version);
    for (const Prefix& range : *next_.ranges_) {
      if (range.contains(address)) return;
    }
  }
  const FrontendKey at = next_.key_of(key.address, 0, 0, key.ip_version);
  const Frontends::Address* known = next_.addresses_.find(at);
  Frontends::Address address = known != nullptr ? *known : Frontends::Address{};
  address.frontends += static_cast<uint32_t>(change);
  if (address.frontends == 0 && !address.has_node_ports) return next_.addresses_.erase(at);
  next_.addresses_.set(at, address);
}

void FrontendTable::count_node_port(const FrontendKey& key, int change) {
  const unsigned protocol = Frontends::node_ports_of(key.protocol);
  uint32_t& uses = node_port_uses_[protocol << 16 | key.port];
  const bool was_used = uses != 0;
  uses += static_cast<uint32_t>(change);
  if (was_used == (uses != 0)) return;
  RadixArray<uint64_t, 2>& ports = next_.node_ports_[protocol];
  const uint64_t* word = ports.find(key.port >> 6);
  ports.set(key.port >> 6, (word != nullptr ? *word : 0) ^ uint64_t{1} << (key.port & 63));
}

void FrontendTable::count_block(const ip_address& address, uint8_t ip_version, int change) {
  const uint32_t block =
      ip_version == 4 ? Frontends::block4(address.word[0]) : next_.block6(address.word[0], address.word[1]);
  uint32_t& uses = block_uses_[static_cast<size_t>(ip_version == 6)][block];
  const bool was_used = uses != 0;
  uses += static_cast<uint32_t>(change);
  if (was_used == (uses != 0)) return;
  RadixArray<uint64_t, 2>& blocks = ip_version == 4 ? next_.blocks4_ : next_.blocks6_;
  const uint64_t* word = blocks.find(block >> 6);
  blocks.set(block >> 6, (word != nullptr ? *word : 0) ^ uint64_t{1} << (block & 63));
}

// A range of /18 or longer is in one block. Of IPv6 ranges shorter than /64 every block may hold a part.
void FrontendTable::count_range(const Prefix& range, int change) {
  ip_address address = raw_of(range.address);
  if (range.address.is_ipv4()) {
    const uint32_t blocks =
        range.length >= Frontends::kBlockBits ? 1 : 1u << (Frontends::kBlockBits - range.length);
    const uint32_t first = Frontends::block4(address.word[0]);
    for (uint32_t i = 0; i < blocks; ++i) {
      address.word[0] = to_be32((first + i) << (32 - Frontends::kBlockBits));
      count_block(address, 4, change);
    }
    return;
  }
  if (range.length >= 64) return count_block(address, 6, change);
  for (uint32_t block = 0; block < kBlocks; ++block) {
    uint32_t& uses = block_uses_[1][block];
    uses += static_cast<uint32_t>(change);
  }
  for (uint32_t word = 0; word < kBlocks / 64; ++word) {
    uint64_t bits = 0;
    for (uint32_t bit = 0; bit < 64; ++bit) bits |= uint64_t{block_uses_[1][word * 64 + bit] != 0} << bit;
    next_.blocks6_.set(word, bits);
  }
}

void FrontendTable::count_node_address(const IpAddress& address, bool has_node_ports) {
  count_block(raw_of(address), version_of(address), has_node_ports ? 1 : -1);
  const FrontendKey at = next_.key_of(raw_of(address), 0, 0, version_of(address));
  const Frontends::Address* known = next_.addresses_.find(at);
  Frontends::Address changed = known != nullptr ? *known : Frontends::Address{};
  changed.has_node_ports = has_node_ports;
  if (changed.frontends == 0 && !has_node_ports) return next_.addresses_.erase(at);
  next_.addresses_.set(at, changed);
}

void FrontendTable::put_settings(const NodeSettings& settings) {
  static const std::vector<Prefix> kNone;
  const std::vector<Prefix>& ranges_before = next_.ranges_ != nullptr ? *next_.ranges_ : kNone;
  if (settings.node_port_addresses != node_port_addresses_) {
    for (const IpAddress& address : node_port_addresses_) count_node_address(address, false);
    node_port_addresses_ = settings.node_port_addresses;
    for (const IpAddress& address : node_port_addresses_) count_node_address(address, true);
  }
  if (settings.cluster_services == ranges_before) return;
  for (const Prefix& range : ranges_before) count_range(range, -1);
  for (const Prefix& range : settings.cluster_services) count_range(range, 1);
  next_.ranges_ = std::make_shared<const std::vector<Prefix>>(settings.cluster_services);
}

}  // namespace fairlead::core
