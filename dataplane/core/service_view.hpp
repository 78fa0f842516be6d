#pragma once

#include "dataplane/core/maglev.hpp"
#include "dataplane/core/service.hpp"
#include "dataplane/packet/parsed.h"

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

namespace fairlead::core {

class ServiceView;
using ServiceViewPtr = boost::intrusive_ptr<const ServiceView>;

// A Service as packets read it: what choosing from it needs, in one piece of memory of two or three cache
// lines for ten backends. Of a hundred thousand Services nearly every one is cold, so that each line read is
// a miss.
//
// Immutable, shared by all snapshots it is in.
class ServiceView : public boost::intrusive_ref_counter<ServiceView> {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Lists up to here are compared member by member, which costs about as much as the cache miss of a table
  // would; longer ones have a table.
  static constexpr size_t kRendezvousMax = 32;

  enum class List : uint8_t { kCluster, kLocal };

  // Takes over the tables of `before`, the Service's last version, where the list did not change; null: none.
  [[nodiscard]] static ServiceViewPtr make(std::shared_ptr<const Service> service, const ServiceView* before);
  ~ServiceView();
  ServiceView(const ServiceView&) = delete;
  ServiceView& operator=(const ServiceView&) = delete;
  static void operator delete(void* memory) { ::operator delete(memory); }  // its size is not sizeof

  // Begins to fetch what choose() and address() read: of a cold Service, all its lines at once.
  void fetch() const {
    const auto* bytes = reinterpret_cast<const char*>(this);
    for (int line = 0; line < 4; ++line) __builtin_prefetch(bytes + 64 * line);
  }
  [[nodiscard]] const Service& service() const { return *service_; }
  [[nodiscard]] ServiceId service_id() const { return service_id_; }
  [[nodiscard]] uint32_t affinity_seconds() const { return affinity_seconds_; }
  [[nodiscard]] uint8_t protocol() const { return protocol_; }
  [[nodiscard]] bool internal_local() const { return internal_local_; }
  [[nodiscard]] bool external_local() const { return external_local_; }
  [[nodiscard]] bool has_source_ranges() const { return has_source_ranges_; }
  [[nodiscard]] ReplyPath reply_path() const { return reply_path_; }

  // A backend, by its index in Service::backends.
  [[nodiscard]] ip_address address(uint32_t backend) const {
    ip_address address{};
    std::memcpy(&address, addresses() + size_t{backend} * address_words_, address_words_ * sizeof(be32));
    return address;
  }
  [[nodiscard]] be16 port(uint32_t backend) const { return ports()[backend]; }
  [[nodiscard]] bool is_serving(uint32_t backend) const { return (flags()[backend] & kServing) != 0; }
  [[nodiscard]] bool is_local(uint32_t backend) const { return (flags()[backend] & kLocal) != 0; }
  // The backend's number: choice_id(), made distinct within the Service. Never 0.
  [[nodiscard]] uint32_t id(uint32_t backend) const { return ids()[backend]; }

  [[nodiscard]] bool is_empty(List which) const { return counts_[index(which)] == 0; }
  // Index of the backend that `choice` (choice_of()) chooses from a list that is not empty.
  [[nodiscard]] uint32_t choose(List which, uint64_t choice) const;
  // Index of the backend with this address (as in struct parsed) and port; kNone: not listed at all.
  [[nodiscard]] uint32_t find(const ip_address& address, be16 port) const;
  // Index of the backend with this number, if it is in the list; kNone otherwise.
  [[nodiscard]] uint32_t find_in(List which, uint32_t id) const;
  [[nodiscard]] const MaglevTable* table(List which) const {
    return tables_ == nullptr ? nullptr : (*tables_)[index(which)].get();
  }

 private:
  static constexpr uint8_t kServing = 1, kLocal = 2;
  using Tables = std::array<std::shared_ptr<const MaglevTable>, 2>;

  explicit ServiceView(std::shared_ptr<const Service> service);
  void fill();
  void share_tables(const ServiceView* before);
  static constexpr size_t index(List which) { return static_cast<size_t>(which); }
  [[nodiscard]] uint32_t member(List which, uint32_t position) const {
    if (which == List::kCluster && cluster_is_all_) return position;
    return lists()[(which == List::kLocal && !cluster_is_all_ ? counts_[0] : 0u) + position];
  }
  [[nodiscard]] std::shared_ptr<const MaglevTable> table_for(List which, const ServiceView* before) const;
  [[nodiscard]] bool has_same_list(List which, const ServiceView& other) const;

  // Behind the object, in this order: numbers, addresses, ports, lists, flags.
  [[nodiscard]] const uint32_t* ids() const { return reinterpret_cast<const uint32_t*>(this + 1); }
  [[nodiscard]] const be32* addresses() const { return reinterpret_cast<const be32*>(ids() + backends_); }
  [[nodiscard]] const be16* ports() const {
    return reinterpret_cast<const be16*>(addresses() + size_t{backends_} * address_words_);
  }
  [[nodiscard]] const uint16_t* lists() const {
    return reinterpret_cast<const uint16_t*>(ports() + backends_);
  }
  [[nodiscard]] const uint8_t* flags() const { return reinterpret_cast<const uint8_t*>(lists() + members()); }
  [[nodiscard]] size_t members() const { return (cluster_is_all_ ? 0u : counts_[0]) + size_t{counts_[1]}; }
  [[nodiscard]] size_t tail_bytes() const {
    return backends_ * (sizeof(uint32_t) + address_words_ * sizeof(be32) + sizeof(be16) + 1) +
           members() * sizeof(uint16_t);
  }

  ServiceId service_id_;
  uint32_t affinity_seconds_;
  uint16_t backends_;
  std::array<uint16_t, 2> counts_;  // of the lists
  uint8_t protocol_;
  uint8_t address_words_;  // 1 or 4
  ReplyPath reply_path_;
  bool internal_local_, external_local_, has_source_ranges_;
  bool cluster_is_all_;     // every backend is in the cluster's list, which is then not stored
  bool is_salted_ = false;  // some number is not the plain choice_id()
  std::shared_ptr<const Service> service_;
  std::unique_ptr<const Tables> tables_;  // null: both lists are compared one by one
};

}  // namespace fairlead::core
