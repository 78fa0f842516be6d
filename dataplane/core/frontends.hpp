#pragma once

#include "dataplane/core/hash_trie.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/radix_array.hpp"
#include "dataplane/core/service_view.hpp"
#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/parsed.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace fairlead::core {

// An address, port and protocol that a Service answers on. A NodePort has no address; an address alone has
// neither port nor protocol.
struct FrontendKey {
  ip_address address{};
  uint16_t port = 0;
  uint8_t protocol = 0;
  uint8_t ip_version = 0;
  uint32_t hash = 0;  // under the table's secret

  bool operator==(const FrontendKey& other) const {
    return std::memcmp(this, &other, offsetof(FrontendKey, hash)) == 0;
  }
  bool operator<(const FrontendKey& other) const {  // any total order
    return std::memcmp(this, &other, offsetof(FrontendKey, hash)) < 0;
  }
};
static_assert(sizeof(FrontendKey) == 24 && offsetof(FrontendKey, hash) == 20);

// Which Service answers on an address and port, as of one snapshot.
//
// A first test by address costs packets to anybody else a load or two: a bit for the 2^14 IPv4 addresses (or
// the IPv6 /64) that an address is among says whether any of them matters. What passes is looked up in a trie
// by a hash under a secret, so that whoever chooses Services' addresses cannot make chains; packets cannot
// make any. A lookup reads at most five nodes.
//
// Copies share what did not change. Threads: read by all workers once published; nobody writes then.
class Frontends {
 public:
  struct Entry {
    ServiceViewPtr view;
    FrontendKind kind = FrontendKind::kClusterIp;
  };
  struct Found {
    const Entry* entry = nullptr;  // null: no Service answers there
    // Without an entry: must the packet go no further? The addresses of frontends and those in
    // NodeSettings::cluster_services are nobody else's. An address with NodePorts is this node's own, so not.
    bool is_service_address = false;
    bool is_in_range = false;  // without an entry: in NodeSettings::cluster_services
  };

  // False: no frontend, NodePort or service range has to do with `address`. True says little.
  [[nodiscard]] bool may_concern(const ip_address& address, uint8_t ip_version) const {
    const uint32_t block =
        ip_version == 4 ? block4(address.word[0]) : block6(address.word[0], address.word[1]);
    const uint64_t* word = (ip_version == 4 ? blocks4_ : blocks6_).find(block >> 6);
    return word != nullptr && (*word >> (block & 63) & 1) != 0;
  }
  // `port` 0: a packet without ports.
  [[nodiscard]] Found find(const ip_address& address, uint16_t port, uint8_t protocol,
                           uint8_t ip_version) const;
  // Is `port` a NodePort of some Service, in whichever family: no source port of ours, on any address?
  [[nodiscard]] bool is_node_port(uint16_t port, uint8_t protocol) const {
    const uint64_t* word = node_ports_[node_ports_of(protocol)].find(port >> 6);
    return word != nullptr && (*word >> (port & 63) & 1) != 0;
  }

 private:
  friend class FrontendTable;
  static constexpr unsigned kBlockBits = 18;

  struct Address {
    uint32_t frontends = 0;
    bool has_node_ports = false;
  };
  struct Hash {
    uint32_t operator()(const FrontendKey& key) const { return key.hash; }
  };

  static unsigned node_ports_of(uint8_t protocol) {
    return protocol == FL_PROTOCOL_TCP ? 0 : protocol == FL_PROTOCOL_UDP ? 1 : 2;
  }
  static uint32_t block4(be32 word) { return from_be32(word) >> (32 - kBlockBits); }
  [[nodiscard]] uint32_t block6(be32 first, be32 second) const {
    const uint64_t product = flow_hash_pair(&secret_, 8, first.raw, second.raw);
    return static_cast<uint32_t>((product ^ product >> 32) & ((1u << kBlockBits) - 1));
  }
  [[nodiscard]] FrontendKey key_of(const ip_address& address, uint16_t port, uint8_t protocol,
                                   uint8_t ip_version) const;

  flow_secret secret_{};
  RadixArray<uint64_t, 2> blocks4_, blocks6_;
  RadixArray<uint64_t, 2> node_ports_[3];  // a bit a port: TCP, UDP, SCTP
  HashTrie<FrontendKey, Entry, Hash> entries_;
  HashTrie<FrontendKey, Address, Hash> addresses_;  // outside of `ranges_`, or with NodePorts
  std::shared_ptr<const std::vector<Prefix>> ranges_;
};

// Makes one Frontends after the other from what changes.
//
// Two Services that claim one address and port cannot come from the compiler; if they do, the lower id
// answers, in whatever order they came. Cost: O(frontends and backends of the Service that changes).
//
// Threads: the control thread.
class FrontendTable {
 public:
  FrontendTable();  // draws a secret
  explicit FrontendTable(uint64_t seed);

  // `before`: the same Service (id) as it was put last; null: it was not there.
  void put(const std::shared_ptr<const Service>& now, const Service* before);
  void remove(const Service& before);
  // Of `settings`: cluster_services and node_port_addresses.
  void put_settings(const NodeSettings& settings);

  [[nodiscard]] const Frontends& frontends() const { return next_; }
  // The view that answers for this Service; null: it has no frontend that another one does not have.
  [[nodiscard]] const ServiceView* view_of(const Service& service) const;
  // Who answers on this frontend now: its id, 0 for nobody.
  [[nodiscard]] ServiceId owner_of(const Frontend& frontend, const Service& service) const;

 private:
  using Entry = Frontends::Entry;

  [[nodiscard]] FrontendKey key_of(const Frontend& frontend, const Service& service) const;
  void claim(const FrontendKey& key, Entry entry);
  void withdraw(const FrontendKey& key, ServiceId id);
  void count_address(const FrontendKey& key, int change);
  void count_node_port(const FrontendKey& key, int change);
  void count_block(const ip_address& address, uint8_t ip_version, int change);
  void count_range(const Prefix& range, int change);
  void count_node_address(const IpAddress& address, bool has_node_ports);

  Frontends next_;
  std::map<FrontendKey, std::map<ServiceId, Entry>> losers_;
  std::unordered_map<uint32_t, uint32_t> block_uses_[2];  // IPv4, IPv6
  std::unordered_map<uint32_t, uint32_t> node_port_uses_;
  std::vector<IpAddress> node_port_addresses_;
};

}  // namespace fairlead::core
