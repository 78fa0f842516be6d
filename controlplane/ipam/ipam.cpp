#include "controlplane/ipam/ipam.hpp"

#include "controlplane/ipam/record.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

namespace fairlead::control {

namespace {

constexpr core::EndpointId kMostEndpoints = (1u << 24) - 2;  // ffffff is the gateway's (kGatewayMac)
constexpr size_t kNamedHolders = 5;

const char* name_of(core::Family family) {
  return family == core::Family::kIpv4 ? "IPv4" : "IPv6";
}

// 0a:58 and four bytes of the address: unique on the node while the address is, and never one of the 02:46
// addresses that mean endpoints and tunnel ends on the trunk and the wire.
core::MacAddress pod_mac(const core::IpAddress& address) {
  core::MacAddress mac{{0x0a, 0x58}};
  const size_t from = address.is_ipv4() ? 0 : 12;
  std::copy_n(address.bytes.begin() + static_cast<std::ptrdiff_t>(from), 4, mac.bytes.begin() + 2);
  return mac;
}

std::string label_of(const Attachment& attachment) {
  if (attachment.who.pod_name.empty()) return attachment.who.key.text();
  return attachment.who.pod_namespace + "/" + attachment.who.pod_name;
}

Error contradiction(const std::string& what) {
  return {"FL4203", "the address journal contradicts itself: " + what,
          "addresses may be in use that it does not name: drain this node's pods, move the file away, "
          "restart the "
          "agent"};
}

}  // namespace

IpamClock IpamClock::system() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  std::getline(file, boot_id);
  return {boot_id, [] {
            timespec now{};
            ::clock_gettime(CLOCK_BOOTTIME, &now);
            return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
          }};
}

core::Endpoint Attachment::to_endpoint(uint32_t host_ifindex) const {
  core::Endpoint result;
  result.id = endpoint;
  result.pod_namespace = who.pod_namespace;
  result.pod_name = who.pod_name;
  result.container_id = who.key.container_id;
  result.interface = who.key.interface;
  result.host_interface = host_interface;
  result.host_ifindex = host_ifindex;
  result.mac = mac;
  result.addresses = addresses;
  return result;
}

Ipam::Ipam(IpamOptions options) : options_(std::move(options)) {}

// Clocks of different boots cannot be compared, so of an earlier boot only that time counts as passed which
// its own records prove.
struct Ipam::Earlier {
  std::map<std::string, int64_t> last_known_ns;   // per boot: its latest moment in the journal
  std::map<core::IpAddress, Moment> quarantined;  // since when; of any boot

  void rest(const core::IpAddress& address, const Moment& since) {
    quarantined[address] = since;
    know(since);
  }
  void know(const Moment& moment) {
    const auto [it, is_new] = last_known_ns.emplace(moment.boot_id, moment.at_ns);
    if (!is_new) it->second = std::max(it->second, moment.at_ns);
  }
};

Result<std::unique_ptr<Ipam>> Ipam::open(IpamOptions options) {
  std::unique_ptr<Ipam> ipam(new Ipam(std::move(options)));
  Earlier earlier;
  Result<std::unique_ptr<Journal>> journal =
      Journal::open(ipam->options_.directory, "addresses.journal", kIpamFormat,
                    [&](std::string_view payload) { return ipam->replay(payload, earlier); });
  if (!journal) return journal.error();
  ipam->journal_ = std::move(*journal);
  ipam->carry_over(earlier);
  ipam->end_quarantines();
  return ipam;
}

int64_t Ipam::rest_ns() const {
  return std::chrono::nanoseconds(options_.quarantine).count();
}

// ---- replay ----

Result<void> Ipam::replay(std::string_view payload, Earlier& earlier) {
  Result<IpamRecord> record = decode(payload);
  if (!record) return record.error();
  if (auto* reserve = std::get_if<ReserveRecord>(&*record)) {
    Attachment& a = reserve->attachment;
    if (held_.contains(a.who.key)) return contradiction(a.who.key.text() + " is reserved twice");
    if (a.endpoint == 0 || a.endpoint > kMostEndpoints || endpoints_.contains(a.endpoint))
      return contradiction("endpoint id " + std::to_string(a.endpoint) + " of " + a.who.key.text());
    for (const core::IpAddress& address : a.addresses) {
      if (holder_.contains(address)) return contradiction(address.text() + " is held twice");
      earlier.quarantined.erase(address);
    }
    hold(std::move(a));
  } else if (auto* commit = std::get_if<CommitRecord>(&*record)) {
    const auto it = held_.find(commit->key);
    if (it == held_.end()) return contradiction(commit->key.text() + " is committed but not reserved");
    it->second.committed = true;
  } else if (auto* release = std::get_if<ReleaseRecord>(&*record)) {
    const auto it = held_.find(release->key);
    if (it == held_.end()) return contradiction(release->key.text() + " is released but not reserved");
    for (const core::IpAddress& address : it->second.addresses) earlier.rest(address, release->when);
    let_go(release->key, 0);
  } else if (auto* rest = std::get_if<QuarantineRecord>(&*record)) {
    earlier.rest(rest->address, rest->since);
  } else if (auto* cursor = std::get_if<CursorRecord>(&*record)) {
    for (const core::IpAddress& address : cursor->last_addresses) last_address_[address.family] = address;
    last_endpoint_ = cursor->last_endpoint;
    earlier.know(cursor->written);
  }
  return {};
}

void Ipam::carry_over(const Earlier& earlier) {
  const int64_t now = options_.clock.now_ns();
  quarantined_.clear();
  for (const auto& [address, since] : earlier.quarantined) {
    // A moment of this boot that is yet to come is no moment of this boot.
    const bool is_of_this_boot =
        !since.boot_id.empty() && since.boot_id == options_.clock.boot_id && since.at_ns <= now;
    const int64_t rested =
        is_of_this_boot ? now - since.at_ns : earlier.last_known_ns.at(since.boot_id) - since.at_ns;
    quarantined_[address] = now - rested;
  }
  // Written down in this boot's time at once: else every restart would begin from the old knowledge.
  const bool has_foreign = std::any_of(
      earlier.last_known_ns.begin(), earlier.last_known_ns.end(),
      [&](const auto& boot) { return boot.first != options_.clock.boot_id || boot.second > now; });
  if (has_foreign) compact();
}

// ---- the tables ----

void Ipam::hold(Attachment attachment) {
  const AttachmentKey key = attachment.who.key;
  for (const core::IpAddress& address : attachment.addresses) {
    holder_[address] = key;
    quarantined_.erase(address);
    last_address_[address.family] = address;
  }
  endpoints_.insert(attachment.endpoint);
  last_endpoint_ = attachment.endpoint;
  host_interfaces_[attachment.host_interface] = key;
  held_[key] = std::move(attachment);
}

void Ipam::let_go(const AttachmentKey& key, int64_t since_ns) {
  const auto it = held_.find(key);
  for (const core::IpAddress& address : it->second.addresses) {
    holder_.erase(address);
    quarantined_[address] = since_ns;
  }
  endpoints_.erase(it->second.endpoint);
  host_interfaces_.erase(it->second.host_interface);
  held_.erase(it);
}

void Ipam::end_quarantines() {
  const int64_t started_before = options_.clock.now_ns() - rest_ns();
  std::erase_if(quarantined_, [started_before](const auto& entry) { return entry.second <= started_before; });
}

bool Ipam::is_taken(const core::IpAddress& address) const {
  return holder_.contains(address) || quarantined_.contains(address);
}

// ---- choosing ----

Result<core::IpAddress> Ipam::choose(core::Family family) {
  for (AddressPool& pool : pools_) {
    if (pool.cidr().address.family != family || usage_of(pool).free() == 0) continue;
    const auto address = pool.next([this](const core::IpAddress& candidate) { return is_taken(candidate); });
    if (address) return *address;
  }
  return exhausted(family);
}

Result<core::EndpointId> Ipam::choose_endpoint() const {
  core::EndpointId candidate = last_endpoint_;
  for (size_t tried = 0; tried <= endpoints_.size(); ++tried) {
    candidate = candidate >= kMostEndpoints ? 1 : candidate + 1;
    if (!endpoints_.contains(candidate)) return candidate;
  }
  return Error{"FL4208", "all " + std::to_string(kMostEndpoints) + " endpoint ids are in use",
               "remove pods from this node"};
}

Result<std::string> Ipam::choose_host_interface(const AttachmentKey& key) const {
  for (unsigned attempt = 0; attempt < kHostInterfaceNames; ++attempt) {
    std::string name = host_interface_name(key, attempt);
    if (!host_interfaces_.contains(name)) return name;
  }
  return Error{"FL4208", "every interface name for " + key.text() + " is taken by another attachment",
               "recreate the pod: it gets another container id"};
}

PoolUsage Ipam::usage_of(const AddressPool& pool) const {
  PoolUsage usage{pool.cidr(), pool.usable()};
  const core::IpAddress& first = pool.cidr().address;
  // Addresses sort by bytes: one of the other family may stand between two of this CIDR.
  const auto for_each_inside = [&](const auto& table, const auto& visit) {
    for (auto it = table.lower_bound(first); it != table.end(); ++it) {
      if (it->first.family != first.family) continue;
      if (!pool.cidr().contains(it->first)) break;
      if (pool.contains_usable(it->first)) visit(it->second);
    }
  };
  for_each_inside(holder_, [&](const AttachmentKey&) { ++usage.held; });
  const int64_t started_before = options_.clock.now_ns() - rest_ns();
  for_each_inside(quarantined_, [&](int64_t since) { usage.quarantined += since > started_before ? 1 : 0; });
  return usage;
}

Error Ipam::exhausted(core::Family family) const {
  std::string what = std::string("no free ") + name_of(family) + " address on this node:";
  std::optional<int64_t> oldest_ns;
  std::string holders;
  size_t named = 0, unnamed = 0;
  for (const AddressPool& pool : pools_) {
    if (pool.cidr().address.family != family) continue;
    const PoolUsage usage = usage_of(pool);
    what += " " + usage.cidr.text() + " has " + std::to_string(usage.usable) + " addresses, " +
            std::to_string(usage.held) + " held by pods, " + std::to_string(usage.quarantined) +
            " resting after release;";
  }
  for (const auto& [address, since] : quarantined_) {
    if (address.family == family) oldest_ns = std::min(oldest_ns.value_or(since), since);
  }
  for (const auto& [address, key] : holder_) {
    if (address.family != family) continue;
    if (named == kNamedHolders) {
      ++unnamed;
      continue;
    }
    holders += (named++ == 0 ? "" : ", ") + label_of(held_.at(key)) + " " + address.text();
  }
  if (named != 0) what += " held by " + holders;
  if (unnamed != 0) what += " and " + std::to_string(unnamed) + " more";
  if (what.back() == ';') what.pop_back();
  std::string fix = "give the node a larger pod CIDR, or run fewer pods on it";
  if (oldest_ns) {
    const int64_t wait_ns = std::max<int64_t>(*oldest_ns + rest_ns() - options_.clock.now_ns(), 0);
    const int64_t wait_s = (wait_ns + 999'999'999) / 1'000'000'000;
    fix = "retry: the next address is free in " + std::to_string(wait_s) + " s; otherwise " + fix;
  }
  return {"FL4011", what, fix};
}

// ---- the operations ----

Result<void> Ipam::set_cidrs(const std::vector<core::Prefix>& cidrs) {
  std::vector<AddressPool> pools;
  for (const core::Prefix& cidr : cidrs) {
    const AddressPool pool(cidr);
    if (pool.usable() == 0)
      return Error{"FL4007", "pod CIDR " + cidr.text() + " has no room for a pod",
                   cidr.address.is_ipv4() ? "use /30 or larger" : "use /126 or larger"};
    pools.push_back(pool);
  }
  std::lock_guard lock(mutex_);
  for (AddressPool& pool : pools) {
    for (const auto& [family, address] : last_address_) pool.resume_after(address);
  }
  pools_ = std::move(pools);
  return {};
}

Result<void> Ipam::append_and_unlock(std::unique_lock<std::mutex>& lock, const std::string& payload,
                                     const std::function<void()>& change) {
  const Result<uint64_t> number = journal_->write(payload);
  if (!number) return number.error();
  change();
  compact_if_due();
  lock.unlock();
  return journal_->sync(*number);
}

Result<Ipam::Reservation> Ipam::reserve(const AttachmentRequest& request) {
  std::unique_lock lock(mutex_);
  if (const auto it = held_.find(request.key); it != held_.end()) return Reservation{it->second, true};
  end_quarantines();

  Attachment attachment;
  attachment.who = request;
  for (const core::Family family : {core::Family::kIpv4, core::Family::kIpv6}) {
    const bool wanted = std::any_of(pools_.begin(), pools_.end(), [family](const AddressPool& pool) {
      return pool.cidr().address.family == family;
    });
    if (!wanted) continue;
    Result<core::IpAddress> address = choose(family);
    if (!address) return address.error();
    attachment.addresses.push_back(*address);
  }
  if (attachment.addresses.empty())
    return Error{"FL4011", "this node has no pod CIDR yet",
                 "set spec.podCIDRs of its Node object (kube-controller-manager --allocate-node-cidrs)"};
  attachment.mac = pod_mac(attachment.addresses.front());

  Result<core::EndpointId> endpoint = choose_endpoint();
  if (!endpoint) return endpoint.error();
  attachment.endpoint = *endpoint;
  Result<std::string> host_interface = choose_host_interface(request.key);
  if (!host_interface) return host_interface.error();
  attachment.host_interface = *host_interface;

  const Result<void> written =
      append_and_unlock(lock, encode(ReserveRecord{attachment}), [&] { hold(attachment); });
  if (!written) return written.error();
  return Reservation{std::move(attachment), false};
}

Result<void> Ipam::commit(const AttachmentKey& key) {
  std::unique_lock lock(mutex_);
  const auto it = held_.find(key);
  if (it == held_.end())
    return Error{"FL4003", key.text() + " holds no address on this node", "recreate the pod"};
  if (it->second.committed) return {};
  return append_and_unlock(lock, encode(CommitRecord{key}), [&] { it->second.committed = true; });
}

Result<bool> Ipam::release(const AttachmentKey& key) {
  std::unique_lock lock(mutex_);
  if (!held_.contains(key)) return false;
  const ReleaseRecord record{key, {options_.clock.boot_id, options_.clock.now_ns()}};
  const Result<void> written =
      append_and_unlock(lock, encode(record), [&] { let_go(key, record.when.at_ns); });
  if (!written) return written.error();
  return true;
}

std::optional<Attachment> Ipam::find(const AttachmentKey& key) const {
  std::lock_guard lock(mutex_);
  const auto it = held_.find(key);
  return it == held_.end() ? std::nullopt : std::optional(it->second);
}

std::vector<Attachment> Ipam::attachments() const {
  std::lock_guard lock(mutex_);
  std::vector<Attachment> list;
  for (const auto& [key, attachment] : held_) list.push_back(attachment);
  return list;
}

std::vector<PoolUsage> Ipam::usage() const {
  std::lock_guard lock(mutex_);
  std::vector<PoolUsage> list;
  for (const AddressPool& pool : pools_) list.push_back(usage_of(pool));
  return list;
}

// Rewrites the journal once it is mostly history. Called with the mutex held, as compact().
void Ipam::compact_if_due() {
  constexpr size_t kSpare = 256;
  if (journal_->records() > 4 * (held_.size() + quarantined_.size()) + kSpare) compact();
}

void Ipam::compact() {
  std::vector<std::string> payloads;
  for (const auto& [key, attachment] : held_) payloads.push_back(encode(ReserveRecord{attachment}));
  for (const auto& [address, since] : quarantined_)
    payloads.push_back(encode(QuarantineRecord{address, {options_.clock.boot_id, since}}));
  // Last, because reservations move the cursor too.
  CursorRecord cursor{{}, last_endpoint_, {options_.clock.boot_id, options_.clock.now_ns()}};
  for (const auto& [family, address] : last_address_) cursor.last_addresses.push_back(address);
  payloads.push_back(encode(cursor));
  // The old journal stays in force: nothing is lost, it only grows until the disk has room again.
  if (Result<void> done = journal_->rewrite(payloads); !done) spdlog::warn("{}", done.error().text());
}

}  // namespace fairlead::control
