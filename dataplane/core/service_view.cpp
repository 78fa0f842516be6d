#include "dataplane/core/service_view.hpp"

#include "dataplane/core/choice_hash.hpp"

#include <algorithm>
#include <new>
#include <tuple>
#include <unordered_set>

namespace fairlead::core {

namespace {

// Distinct numbers, none 0; true when any had to move for it. Which of two equal ones moves on depends on the
// set alone: the one that comes later by address and port.
bool make_distinct(const std::vector<Backend>& backends, uint32_t* ids) {
  std::vector<uint32_t> sorted(ids, ids + backends.size());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty() ||
      (sorted.front() != 0 && std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end())) {
    return false;
  }
  std::vector<uint32_t> order(backends.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::tie(backends[a].address, backends[a].port) < std::tie(backends[b].address, backends[b].port);
  });
  std::unordered_set<uint32_t> taken{0};
  for (const uint32_t i : order) {
    for (uint16_t salt = 1; !taken.insert(ids[i]).second; ++salt) {
      ids[i] = choice_id(backends[i].address.bytes.data(), backends[i].port, salt);
    }
  }
  return true;
}

}  // namespace

ServiceView::ServiceView(std::shared_ptr<const Service> service)
    : service_id_(service->id),
      affinity_seconds_(service->affinity_seconds),
      backends_(static_cast<uint16_t>(service->backends.size())),
      counts_{static_cast<uint16_t>(service->cluster_backends.size()),
              static_cast<uint16_t>(service->local_backends.size())},
      protocol_(service->protocol),
      address_words_(service->is_ipv6 ? 4 : 1),
      reply_path_(service->reply_path),
      internal_local_(service->internal_local),
      external_local_(service->external_local),
      has_source_ranges_(!service->source_ranges.empty()),
      cluster_is_all_(service->cluster_backends.size() == service->backends.size()),
      service_(std::move(service)) {}

ServiceView::~ServiceView() = default;

ServiceViewPtr ServiceView::make(std::shared_ptr<const Service> service, const ServiceView* before) {
  static_assert(kBackendsMax <= UINT16_MAX);
  // The size of the tail is known once the head is: it is made twice.
  const size_t bytes = sizeof(ServiceView) + ServiceView(service).tail_bytes();
  auto* view = new (::operator new(bytes)) ServiceView(std::move(service));
  ServiceViewPtr owner(view);
  view->fill();
  view->share_tables(before);
  return owner;
}

void ServiceView::fill() {
  auto* id = const_cast<uint32_t*>(ids());
  auto* address = const_cast<be32*>(addresses());
  auto* port = const_cast<be16*>(ports());
  auto* member = const_cast<uint16_t*>(lists());
  auto* flag = const_cast<uint8_t*>(flags());
  for (const Backend& backend : service_->backends) {
    *id++ = choice_id(backend.address.bytes.data(), backend.port, 0);
    std::memcpy(address, backend.address.bytes.data(), address_words_ * sizeof(be32));
    address += address_words_;
    *port++ = to_be16(backend.port);
    *flag++ = static_cast<uint8_t>((backend.serving ? kServing : 0) | (backend.local ? kLocal : 0));
  }
  is_salted_ = make_distinct(service_->backends, const_cast<uint32_t*>(ids()));
  if (!cluster_is_all_) {
    for (const uint32_t index : service_->cluster_backends) *member++ = static_cast<uint16_t>(index);
  }
  for (const uint32_t index : service_->local_backends) *member++ = static_cast<uint16_t>(index);
}

void ServiceView::share_tables(const ServiceView* before) {
  Tables tables{table_for(List::kCluster, before), nullptr};
  tables[1] =
      service_->local_backends == service_->cluster_backends ? tables[0] : table_for(List::kLocal, before);
  if (tables[0] != nullptr || tables[1] != nullptr)
    tables_ = std::make_unique<const Tables>(std::move(tables));
}

// The same numbers in the same order: positions in the list mean the same.
bool ServiceView::has_same_list(List which, const ServiceView& other) const {
  const uint32_t count = counts_[index(which)];
  if (count != other.counts_[index(which)]) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (id(member(which, i)) != other.id(other.member(which, i))) return false;
  }
  return true;
}

std::shared_ptr<const MaglevTable> ServiceView::table_for(List which, const ServiceView* before) const {
  const uint32_t count = counts_[index(which)];
  if (count <= kRendezvousMax) return nullptr;
  if (before != nullptr && has_same_list(which, *before)) return (*before->tables_)[index(which)];
  std::vector<uint32_t> list;
  list.reserve(count);
  for (uint32_t i = 0; i < count; ++i) list.push_back(id(member(which, i)));
  return std::make_shared<const MaglevTable>(list);
}

uint32_t ServiceView::choose(List which, uint64_t choice) const {
  if (const MaglevTable* long_list = table(which)) return member(which, long_list->find(choice));
  const uint32_t count = counts_[index(which)];
  uint32_t best = member(which, 0);
  if (count == 1) return best;
  uint64_t highest = choice_score(choice, ids()[best]);
  for (uint32_t i = 1; i < count; ++i) {
    const uint32_t one = member(which, i);
    const uint64_t score = choice_score(choice, ids()[one]);
    best = score > highest ? one : best;
    highest = std::max(highest, score);
  }
  return best;
}

uint32_t ServiceView::find(const ip_address& at, be16 at_port) const {
  const uint32_t wanted = choice_id(&at, from_be16(at_port), 0);
  for (uint32_t i = 0; i < backends_; ++i) {
    if (ids()[i] != wanted && !is_salted_) continue;
    if (port(i) == at_port && address(i) == at) return i;
  }
  return kNone;
}

uint32_t ServiceView::find_in(List which, uint32_t wanted) const {
  for (uint32_t i = 0; i < counts_[index(which)]; ++i) {
    const uint32_t one = member(which, i);
    if (ids()[one] == wanted) return one;
  }
  return kNone;
}

}  // namespace fairlead::core
