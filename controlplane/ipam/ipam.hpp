#pragma once

#include "controlplane/ipam/attachment.hpp"
#include "controlplane/ipam/journal.hpp"
#include "controlplane/ipam/pool.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fairlead::control {

// A clock that never goes back within one boot, and the name of that boot.
struct IpamClock {
  std::string boot_id;
  std::function<int64_t()> now_ns;

  [[nodiscard]] static IpamClock system();  // CLOCK_BOOTTIME, /proc/sys/kernel/random/boot_id
};

struct IpamOptions {
  std::string directory;                // <state-dir>/ipam; made when absent
  std::chrono::seconds quarantine{30};  // a released address rests so long before it is handed out again
  IpamClock clock = IpamClock::system();
};

// Who asks for addresses.
struct AttachmentRequest {
  AttachmentKey key;
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
  std::string netns;  // path
};

// What one attachment holds, and all that is needed to find it again after the agent was killed.
struct Attachment {
  AttachmentRequest who;
  core::EndpointId endpoint = 0;
  std::string host_interface;
  core::MacAddress mac;                    // the pod's
  std::vector<core::IpAddress> addresses;  // at most one per family
  bool committed = false;                  // its ADD was completed

  [[nodiscard]] core::Endpoint to_endpoint(uint32_t host_ifindex) const;
};

struct PoolUsage {
  core::Prefix cidr;
  uint64_t usable = 0, held = 0, quarantined = 0;
  [[nodiscard]] uint64_t free() const { return usable - held - quarantined; }
};

// The addresses, endpoint ids, MACs and host interface names of this node's pods.
//
// reserve -> (the caller builds the attachment) -> commit, and release in the end or to undo. Every step is
// on disk when the call returns, so that after a kill at any instruction open() knows what was being done: an
// attachment that is held but not committed is to be undone by the caller.
//
// Owns the journal in options.directory. Threads: any; calls are serialized, flushes shared.
class Ipam {
 public:
  // Errors: as Journal::open(); FL4203 when the records contradict each other.
  [[nodiscard]] static Result<std::unique_ptr<Ipam>> open(IpamOptions options);

  // The node's pod CIDRs, now. What is already held outside of them stays held. A CIDR without room for a
  // pod is refused (FL4007) and nothing changes.
  [[nodiscard]] Result<void> set_cidrs(const std::vector<core::Prefix>& cidrs);

  struct Reservation {
    Attachment attachment;
    bool existing = false;  // the same key was held before: this is what it holds
  };
  // One address of every family the node has CIDRs for. The same key gets the same answer.
  //
  // Errors: FL4011 no CIDR yet, or none free (counts, who holds); FL4208 no endpoint id or name left; those
  // of the journal.
  [[nodiscard]] Result<Reservation> reserve(const AttachmentRequest& request);

  // The ADD of `key` is complete. Errors: FL4003 not held; those of the journal.
  [[nodiscard]] Result<void> commit(const AttachmentKey& key);

  // Gives back what `key` holds; its addresses rest in quarantine. False: nothing was held.
  [[nodiscard]] Result<bool> release(const AttachmentKey& key);

  [[nodiscard]] std::optional<Attachment> find(const AttachmentKey& key) const;
  [[nodiscard]] std::vector<Attachment> attachments() const;
  [[nodiscard]] std::vector<PoolUsage> usage() const;
  [[nodiscard]] const std::string& journal_path() const { return journal_->path(); }

 private:
  explicit Ipam(IpamOptions options);
  struct Earlier;  // what replay learns of earlier boots
  [[nodiscard]] Result<void> replay(std::string_view payload, Earlier& earlier);
  void carry_over(const Earlier& earlier);
  [[nodiscard]] Result<void> append_and_unlock(std::unique_lock<std::mutex>& lock, const std::string& payload,
                                               const std::function<void()>& change);
  void hold(Attachment attachment);
  void let_go(const AttachmentKey& key, int64_t since_ns);
  void end_quarantines();
  void compact_if_due();
  void compact();
  [[nodiscard]] bool is_taken(const core::IpAddress& address) const;
  [[nodiscard]] Result<core::IpAddress> choose(core::Family family);
  [[nodiscard]] Result<core::EndpointId> choose_endpoint() const;
  [[nodiscard]] Result<std::string> choose_host_interface(const AttachmentKey& key) const;
  [[nodiscard]] Error exhausted(core::Family family) const;
  [[nodiscard]] PoolUsage usage_of(const AddressPool& pool) const;
  [[nodiscard]] int64_t rest_ns() const;

  const IpamOptions options_;
  std::unique_ptr<Journal> journal_;

  mutable std::mutex mutex_;  // guards everything below
  std::vector<AddressPool> pools_;
  std::map<AttachmentKey, Attachment> held_;
  std::map<core::IpAddress, AttachmentKey> holder_;
  std::map<core::IpAddress, int64_t> quarantined_;  // since, clock ns; ends rest_ns() later
  std::set<core::EndpointId> endpoints_;
  std::map<std::string, AttachmentKey> host_interfaces_;
  std::map<core::Family, core::IpAddress> last_address_;  // handed out last: where the round goes on
  core::EndpointId last_endpoint_ = 0;
};

}  // namespace fairlead::control
