#include "dataplane/ebpf/hooks.hpp"

#include "bpf/pod_tc.skel.h"
#include "bpf/trunk_tc.skel.h"
#include "bpf/uplink_xdp.skel.h"
#include "dataplane/ebpf/libbpf_words.hpp"
#include "dataplane/ebpf/pins.hpp"
#include "dataplane/ebpf/tc_filter.hpp"
#include "dataplane/ebpf/uplink_program.hpp"
#include "dataplane/tables/hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <net/if.h>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <utility>

namespace fairlead::ebpf {
namespace {

constexpr __u32 kFirst = 0;
constexpr const char* kPodProgram = "pod_tc";
constexpr const char* kTrunkProgram = "trunk_tc";
constexpr size_t kPageBytes = 4096;

// A skeleton and its closing function, which differs by its type.
template <typename Skeleton, void (*Destroy)(Skeleton*)>
struct DestroySkeleton {
  void operator()(Skeleton* skeleton) const { Destroy(skeleton); }
};
using PodSkeleton = std::unique_ptr<pod_tc_bpf, DestroySkeleton<pod_tc_bpf, pod_tc_bpf__destroy>>;
using TrunkSkeleton = std::unique_ptr<trunk_tc_bpf, DestroySkeleton<trunk_tc_bpf, trunk_tc_bpf__destroy>>;

std::string interface_text(uint32_t ifindex) {
  char name[IF_NAMESIZE] = {};
  return if_indextoname(ifindex, name) != nullptr ? name : "interface " + std::to_string(ifindex);
}

std::string pod_text(const core::Endpoint& endpoint) {
  return "endpoint " + std::to_string(endpoint.id) + " (" + endpoint.pod_namespace + "/" + endpoint.pod_name +
         ")";
}

// Kernels before 5.11 count maps against this limit; libxdp's dispatcher and the AF_XDP rings do so on later
// ones. A refusal is left to whoever then cannot load: that error names the cause.
void raise_memory_lock_limit() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

Error load_refused(const char* program, int error, const LibbpfWords& words) {
  const std::string told = words.text();
  return Error{"FL3104",
               std::string("the kernel refused the program ") + program + ": " + std::strerror(-error) +
                   (told.empty() ? "" : " (" + told + ")"),
               error == -EPERM ? "run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
                               : "the kernel must be 6.1 or later"};
}

Result<void> map_refused(const char* doing) {
  return Error{"FL3108", std::string("cannot ") + doing + ": " + std::strerror(errno)};
}

Result<pod_endpoint_value> pod_value_of(const core::Endpoint& endpoint) {
  pod_endpoint_value value{};
  value.id = endpoint.id;
  std::copy(endpoint.mac.bytes.begin(), endpoint.mac.bytes.end(), value.mac.bytes);
  for (const core::IpAddress& address : endpoint.addresses) {
    __u8& count = address.is_ipv4() ? value.ipv4_count : value.ipv6_count;
    if (count == FL_ENDPOINT_ADDRESSES_MAX) {
      return Error{"FL3107", pod_text(endpoint) + " has more than " +
                                 std::to_string(FL_ENDPOINT_ADDRESSES_MAX) + " addresses of one family"};
    }
    void* to =
        address.is_ipv4() ? static_cast<void*>(&value.ipv4[count]) : static_cast<void*>(&value.ipv6[count]);
    std::memcpy(to, address.bytes.data(), address.is_ipv4() ? 4 : 16);
    ++count;
  }
  return value;
}

template <typename Key>
std::vector<Key> keys_of(int map) {
  std::vector<Key> keys;
  Key key{};
  for (void* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0; previous = &keys.back()) {
    keys.push_back(key);
  }
  return keys;
}

}  // namespace

struct Hooks::State {
  HooksConfig config;
  PodSkeleton pod;
  TrunkSkeleton trunk;
  heartbeat_value* heart = nullptr;
  std::map<uint32_t, UplinkProgram> uplinks;  // by ifindex

  ~State() {
    if (heart != nullptr) munmap(heart, kPageBytes);
  }

  [[nodiscard]] int pod_endpoints() const { return bpf_map__fd(pod->maps.pod_endpoints); }
  [[nodiscard]] int trunk_endpoints() const { return bpf_map__fd(pod->maps.trunk_endpoints); }
  [[nodiscard]] int hook_config() const { return bpf_map__fd(pod->maps.hook_config); }
  [[nodiscard]] int hook_counters() const { return bpf_map__fd(pod->maps.hook_counters); }

  [[nodiscard]] std::optional<trunk_endpoint_value> trunk_value(uint32_t id) const {
    trunk_endpoint_value value{};
    if (bpf_map_lookup_elem(trunk_endpoints(), &id, &value) != 0) return std::nullopt;
    return value;
  }
  [[nodiscard]] std::optional<pod_endpoint_value> pod_value(uint32_t ifindex) const {
    pod_endpoint_value value{};
    if (bpf_map_lookup_elem(pod_endpoints(), &ifindex, &value) != 0) return std::nullopt;
    return value;
  }

  Result<void> load(const std::filesystem::path& pins);
  Result<void> take_over_config();
  Result<void> write_config(uint32_t trunk_ifindex);
  // Forgets what stands under `ifindex`, closes that link, takes the filter away.
  Result<void> detach_interface(uint32_t ifindex);
};

Hooks::Hooks(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hooks::~Hooks() = default;

Result<void> Hooks::State::load(const std::filesystem::path& pins) {
  const LibbpfWords words;
  pod.reset(pod_tc_bpf__open());
  trunk.reset(trunk_tc_bpf__open());
  if (!pod || !trunk) return load_refused("pod_tc or trunk_tc", -errno, words);
  // The pod's object is loaded first and makes the pins; the trunk's then finds the same maps there.
  if (auto done = use_pins(pod->obj, pins); !done) return done;
  if (const int error = pod_tc_bpf__load(pod.get()); error != 0)
    return load_refused(kPodProgram, error, words);
  if (auto done = use_pins(trunk->obj, pins); !done) return done;
  if (const int error = trunk_tc_bpf__load(trunk.get()); error != 0)
    return load_refused(kTrunkProgram, error, words);

  void* memory =
      mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(pod->maps.heartbeat), 0);
  if (memory == MAP_FAILED) return map_refused("map the heartbeat into memory");
  heart = static_cast<heartbeat_value*>(memory);
  return {};
}

Result<void> Hooks::State::write_config(uint32_t trunk_ifindex) {
  hook_config_value value{};
  value.version = FL_HOOKS_VERSION;
  value.trunk_ifindex = trunk_ifindex;
  value.stale_after_ns = static_cast<uint64_t>(config.stale_after.count());
  if (bpf_map_update_elem(hook_config(), &kFirst, &value, BPF_ANY) != 0)
    return map_refused("write the hooks' configuration");
  return {};
}

// A trunk that is gone would swallow packets uncounted: then there is none.
Result<void> Hooks::State::take_over_config() {
  hook_config_value found{};
  if (bpf_map_lookup_elem(hook_config(), &kFirst, &found) != 0)
    return map_refused("read the hooks' configuration");
  if (found.version != 0 && found.version != FL_HOOKS_VERSION) {
    return Error{"FL3103",
                 "the pinned hooks' configuration is of version " + std::to_string(found.version) +
                     "; this version works with " + std::to_string(FL_HOOKS_VERSION),
                 "start the version that made it, or remove the pins below " + config.bpf_dir.string()};
  }
  char name[IF_NAMESIZE] = {};
  const bool has_trunk = found.trunk_ifindex != 0 && if_indextoname(found.trunk_ifindex, name) != nullptr;
  return write_config(has_trunk ? found.trunk_ifindex : 0);
}

Result<std::unique_ptr<Hooks>> Hooks::open(const HooksConfig& config) {
  raise_memory_lock_limit();
  auto pins = open_pin_directory(config.bpf_dir);
  if (!pins) return pins.error();
  auto state = std::make_unique<State>();
  state->config = config;
  if (auto done = state->load(*pins); !done) return done.error();
  if (auto done = state->take_over_config(); !done) return done.error();
  return std::unique_ptr<Hooks>(new Hooks(std::move(state)));
}

Result<void> Hooks::set_trunk(uint32_t ifindex) {
  if (ifindex != 0) {
    const int program = bpf_program__fd(state_->trunk->progs.trunk_tc);
    if (auto done = attach_ingress(ifindex, interface_text(ifindex), program); !done) return done;
  }
  hook_config_value old{};
  if (bpf_map_lookup_elem(state_->hook_config(), &kFirst, &old) != 0)
    return map_refused("read the hooks' configuration");
  if (auto done = state_->write_config(ifindex); !done) return done;
  if (old.trunk_ifindex != 0 && old.trunk_ifindex != ifindex)
    return detach_ingress(old.trunk_ifindex, kTrunkProgram);
  return {};
}

Result<void> Hooks::attach_endpoint(const core::Endpoint& endpoint) {
  if (endpoint.host_interface.empty()) return {};  // a fast port: no kernel interface to guard
  const uint32_t ifindex = endpoint.host_ifindex;
  char name[IF_NAMESIZE] = {};
  const bool is_there = if_indextoname(ifindex, name) != nullptr;
  if (!is_there || endpoint.host_interface != name) {
    // What stands in the tables would send its packets to nobody, uncounted.
    if (auto done = detach_endpoint(endpoint.id); !done) return done;
  }
  if (!is_there) {
    return Error{"FL3106",
                 pod_text(endpoint) + ": its host interface " + endpoint.host_interface + " (index " +
                     std::to_string(ifindex) + ") is gone",
                 "delete the pod, so that it is set up anew"};
  }
  if (endpoint.host_interface != name) {
    return Error{"FL3106",
                 pod_text(endpoint) + ": interface " + std::to_string(ifindex) + " is called " + name +
                     ", not " + endpoint.host_interface,
                 "delete the pod, so that it is set up anew"};
  }
  auto pod_value = pod_value_of(endpoint);
  if (!pod_value) return pod_value.error();
  trunk_endpoint_value trunk_value{};
  trunk_value.ifindex = ifindex;
  trunk_value.mac = pod_value->mac;

  // The endpoint may have moved to this link, or this link to the endpoint: what is left of either goes
  // first.
  const auto old_place = state_->trunk_value(endpoint.id);
  const auto old_owner = state_->pod_value(ifindex);
  if (old_place && old_place->ifindex != ifindex) {
    if (auto done = state_->detach_interface(old_place->ifindex); !done) return done;
  }
  if (old_owner && old_owner->id != endpoint.id)
    bpf_map_delete_elem(state_->trunk_endpoints(), &old_owner->id);

  // Entries before the filter: its first packet must find them.
  if (bpf_map_update_elem(state_->pod_endpoints(), &ifindex, &*pod_value, BPF_ANY) != 0 ||
      bpf_map_update_elem(state_->trunk_endpoints(), &endpoint.id, &trunk_value, BPF_ANY) != 0) {
    const int error = errno;
    bpf_map_delete_elem(state_->pod_endpoints(), &ifindex);
    bpf_map_delete_elem(state_->trunk_endpoints(), &endpoint.id);
    errno = error;
    return map_refused(("write the tables for " + pod_text(endpoint)).c_str());
  }
  auto attached = attach_ingress(ifindex, name, bpf_program__fd(state_->pod->progs.pod_tc));
  if (!attached) {
    bpf_map_delete_elem(state_->pod_endpoints(), &ifindex);
    bpf_map_delete_elem(state_->trunk_endpoints(), &endpoint.id);
    return Error{attached.error().code, pod_text(endpoint) + ": " + attached.error().what,
                 attached.error().fix};
  }
  return {};
}

Result<void> Hooks::State::detach_interface(uint32_t ifindex) {
  bpf_map_delete_elem(pod_endpoints(), &ifindex);
  return detach_ingress(ifindex, kPodProgram);
}

Result<void> Hooks::detach_endpoint(core::EndpointId id) {
  const auto place = state_->trunk_value(id);
  if (!place) return {};
  bpf_map_delete_elem(state_->trunk_endpoints(), &id);
  const auto owner = state_->pod_value(place->ifindex);
  if (owner && owner->id != id) return {};  // the link is another endpoint's by now
  return state_->detach_interface(place->ifindex);
}

std::vector<Error> Hooks::reconcile(const std::map<core::EndpointId, core::Endpoint>& endpoints) {
  std::vector<Error> errors;
  const auto note = [&errors](const Result<void>& result) {
    if (!result.ok()) errors.push_back(result.error());
  };
  for (const uint32_t id : keys_of<uint32_t>(state_->trunk_endpoints())) {
    if (!endpoints.contains(id)) note(detach_endpoint(id));
  }
  // A process that died between two writes may have left one half.
  for (const uint32_t ifindex : keys_of<uint32_t>(state_->pod_endpoints())) {
    const auto value = state_->pod_value(ifindex);
    const auto wanted = value ? endpoints.find(value->id) : endpoints.end();
    if (wanted == endpoints.end() || wanted->second.host_ifindex != ifindex)
      note(state_->detach_interface(ifindex));
  }
  for (const auto& [id, endpoint] : endpoints) note(attach_endpoint(endpoint));
  return errors;
}

std::vector<core::EndpointId> Hooks::attached_endpoints() const {
  auto ids = keys_of<uint32_t>(state_->trunk_endpoints());
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<void> Hooks::write_uplink_program(const std::filesystem::path& path) {
  size_t length = 0;
  const auto* bytes = static_cast<const char*>(uplink_xdp_bpf__elf_bytes(&length));
  const std::filesystem::path temporary = path.string() + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(bytes, static_cast<std::streamsize>(length));
  file.close();
  std::error_code failure;
  if (file.good()) std::filesystem::rename(temporary, path, failure);
  if (!file.good() || failure) {
    return Error{"FL3110", "cannot write the uplink's program to " + path.string() + ": " +
                               (failure ? failure.message() : std::strerror(errno))};
  }
  return {};
}

Result<void> Hooks::release_uplink(uint32_t ifindex) {
  state_->uplinks.erase(ifindex);
  return release_uplink_program(ifindex);
}

Result<void> Hooks::set_uplink_filter(uint32_t ifindex, const UplinkFilter& filter) {
  auto program = find_uplink_program(ifindex);
  if (!program) return program.error();
  if (auto done = fill_uplink_maps(*program, filter); !done) return done;
  state_->uplinks.insert_or_assign(ifindex, std::move(*program));
  return {};
}

void Hooks::beat(uint64_t now_ns) noexcept {
  std::atomic_ref<__u64>(state_->heart->beat_ns).store(now_ns, std::memory_order_relaxed);
}

std::vector<HookCounters> Hooks::counters() const {
  const auto cpus = static_cast<size_t>(std::max(libbpf_num_possible_cpus(), 1));
  std::vector<hook_counters_value> per_cpu(cpus);
  static_assert(sizeof(hook_counters_value) % 8 == 0, "the kernel rounds per-CPU values up to 8 bytes");

  const auto read = [&](HookCounters& sum, int map, uint32_t hook) {
    if (bpf_map_lookup_elem(map, &hook, per_cpu.data()) != 0) return;
    for (const hook_counters_value& value : per_cpu) {
      sum.out += value.out;
      sum.passed += value.passed;
      for (size_t reason = 0; reason < sum.drops.size(); ++reason) sum.drops[reason] += value.drops[reason];
    }
    sum.in = sum.out + sum.passed;
    for (const uint64_t dropped : sum.drops) sum.in += dropped;
  };
  std::vector<HookCounters> all(FL_HOOK_COUNT);
  all[FL_HOOK_POD].hook = kPodProgram;
  all[FL_HOOK_TRUNK].hook = kTrunkProgram;
  all[FL_HOOK_UPLINK].hook = "uplink_xdp";
  read(all[FL_HOOK_POD], state_->hook_counters(), FL_HOOK_POD);
  read(all[FL_HOOK_TRUNK], state_->hook_counters(), FL_HOOK_TRUNK);
  for (const auto& [ifindex, program] : state_->uplinks)
    read(all[FL_HOOK_UPLINK], program.counters.get(), FL_HOOK_UPLINK);
  return all;
}

}  // namespace fairlead::ebpf
