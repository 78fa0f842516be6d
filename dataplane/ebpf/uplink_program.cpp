#include "dataplane/ebpf/uplink_program.hpp"

#include "dataplane/ebpf/libbpf_words.hpp"
#include "dataplane/tables/hooks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <linux/if_link.h>
#include <map>
#include <net/if.h>
#include <set>
#include <utility>
#include <vector>

namespace fairlead::ebpf {
namespace {

constexpr const char* kProgramName = "uplink_xdp";

std::string interface_text(uint32_t ifindex) {
  char name[IF_NAMESIZE] = {};
  return if_indextoname(ifindex, name) != nullptr ? name : "interface " + std::to_string(ifindex);
}

struct Attached {
  uint32_t program_id = 0;
  uint32_t flags = 0;  // the mode it is attached in
};

Result<Attached> query(uint32_t ifindex) {
  const LibbpfWords words;
  bpf_xdp_query_opts options{};
  options.sz = sizeof(options);
  if (const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &options); error != 0) {
    return Error{"FL3109", "cannot ask for the XDP program of " + interface_text(ifindex) + ": " +
                               std::strerror(-error)};
  }
  if (options.drv_prog_id != 0) return Attached{options.drv_prog_id, XDP_FLAGS_DRV_MODE};
  if (options.skb_prog_id != 0) return Attached{options.skb_prog_id, XDP_FLAGS_SKB_MODE};
  if (options.hw_prog_id != 0) return Attached{options.hw_prog_id, XDP_FLAGS_HW_MODE};
  return Attached{};
}

struct Program {
  FileDescriptor fd;
  std::string name;
  std::vector<uint32_t> map_ids;
};

Result<Program> open_program(uint32_t id) {
  Program program;
  program.fd = FileDescriptor(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  if (!program.fd || bpf_obj_get_info_by_fd(program.fd.get(), &info, &length) != 0) {
    return Error{"FL3109", "cannot open BPF program " + std::to_string(id) + ": " + std::strerror(errno),
                 errno == EPERM ? "run as root or with CAP_SYS_ADMIN" : ""};
  }
  program.name = info.name;
  program.map_ids.resize(info.nr_map_ids);
  bpf_prog_info again{};
  again.nr_map_ids = static_cast<__u32>(program.map_ids.size());
  again.map_ids = reinterpret_cast<uintptr_t>(program.map_ids.data());
  length = sizeof(again);
  if (bpf_obj_get_info_by_fd(program.fd.get(), &again, &length) != 0) {
    return Error{"FL3109",
                 "cannot list the maps of BPF program " + std::to_string(id) + ": " + std::strerror(errno)};
  }
  program.map_ids.resize(again.nr_map_ids);
  return program;
}

// libxdp's dispatcher calls programs that replaced its own functions; each such replacement is a link to the
// dispatcher.
std::vector<uint32_t> programs_behind(uint32_t dispatcher_id) {
  std::vector<uint32_t> ids;
  __u32 link_id = 0;
  while (bpf_link_get_next_id(link_id, &link_id) == 0) {
    const FileDescriptor link(bpf_link_get_fd_by_id(link_id));
    bpf_link_info info{};
    __u32 length = sizeof(info);
    if (!link || bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) continue;
    if (info.type == BPF_LINK_TYPE_TRACING && info.tracing.target_obj_id == dispatcher_id)
      ids.push_back(info.prog_id);
  }
  return ids;
}

Result<UplinkProgram> open_maps(const Program& program, uint32_t id, uint32_t ifindex) {
  UplinkProgram uplink;
  uplink.program_id = id;
  bool has_sockets = false;
  for (const uint32_t map_id : program.map_ids) {
    FileDescriptor map(bpf_map_get_fd_by_id(map_id));
    bpf_map_info info{};
    __u32 length = sizeof(info);
    if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0) continue;
    const auto is = [&](const char* name, unsigned type, size_t key_size, size_t value_size) {
      return std::strcmp(info.name, name) == 0 && info.type == type && info.key_size == key_size &&
             info.value_size == value_size;
    };
    if (is("uplink_config", BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(uplink_config_value))) {
      uplink.config = std::move(map);
    } else if (is("uplink_ipv4", BPF_MAP_TYPE_LPM_TRIE, sizeof(uplink_ipv4_key), sizeof(uplink_value))) {
      uplink.ipv4 = std::move(map);
    } else if (is("uplink_ipv6", BPF_MAP_TYPE_LPM_TRIE, sizeof(uplink_ipv6_key), sizeof(uplink_value))) {
      uplink.ipv6 = std::move(map);
    } else if (is("uplink_ports", BPF_MAP_TYPE_HASH, sizeof(uplink_node_port_key), sizeof(__u8))) {
      uplink.node_ports = std::move(map);
    } else if (is("hook_counters", BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(hook_counters_value))) {
      uplink.counters = std::move(map);
    } else if (is("xsks_map", BPF_MAP_TYPE_XSKMAP, sizeof(__u32), sizeof(__u32))) {
      has_sockets = true;
    }
  }
  if (!uplink.config || !uplink.ipv4 || !uplink.ipv6 || !uplink.node_ports || !uplink.counters ||
      !has_sockets) {
    return Error{"FL3109",
                 "the XDP program uplink_xdp on " + interface_text(ifindex) + " has maps of another version",
                 "ip link set dev " + interface_text(ifindex) + " xdp off"};
  }
  return uplink;
}

struct Found {
  Attached attached;
  uint32_t our_id = 0;  // 0: not ours
  bool is_dispatched = false;
  std::string name;  // of what is attached
};

Result<Found> find(uint32_t ifindex) {
  auto attached = query(ifindex);
  if (!attached) return attached.error();
  Found found{*attached, 0, false, ""};
  if (attached->program_id == 0) return found;
  auto program = open_program(attached->program_id);
  if (!program) return program.error();
  found.name = program->name;
  if (program->name == kProgramName) {
    found.our_id = attached->program_id;
    return found;
  }
  for (const uint32_t id : programs_behind(attached->program_id)) {
    auto behind = open_program(id);
    if (behind.ok() && behind->name == kProgramName) {
      found.our_id = id;
      found.is_dispatched = true;
    }
  }
  return found;
}

Error not_ours(uint32_t ifindex, const std::string& name) {
  const std::string interface = interface_text(ifindex);
  return Error{"FL3109", "the XDP program on " + interface + " is \"" + name + "\", not uplink_xdp",
               "end what put it there, or: ip link set dev " + interface + " xdp off"};
}

// Makes `map` hold exactly `wanted`: writes every entry, then removes the keys that are not among them.
template <typename Key, typename Value>
Result<void> replace_entries(int map, const std::vector<std::pair<Key, Value>>& wanted) {
  std::set<std::string> keep;
  const auto bytes = [](const Key& key) {
    return std::string(reinterpret_cast<const char*>(&key), sizeof(Key));
  };
  for (const auto& [key, value] : wanted) {
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY) != 0) {
      return Error{"FL3108", std::string("cannot write the uplink's filter: ") + std::strerror(errno)};
    }
    keep.insert(bytes(key));
  }
  std::vector<Key> old;
  Key key{};
  for (void* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0; previous = &old.back()) {
    old.push_back(key);
  }
  for (const Key& present : old) {
    if (!keep.contains(bytes(present))) bpf_map_delete_elem(map, &present);
  }
  return {};
}

}  // namespace

Result<UplinkProgram> find_uplink_program(uint32_t ifindex) {
  auto found = find(ifindex);
  if (!found) return found.error();
  if (found->attached.program_id == 0) {
    return Error{"FL3109", "no XDP program is attached to " + interface_text(ifindex),
                 "the AF_XDP driver must have opened it with uplink_xdp.bpf.o first"};
  }
  if (found->our_id == 0) return not_ours(ifindex, found->name);
  auto program = open_program(found->our_id);
  if (!program) return program.error();
  return open_maps(*program, found->our_id, ifindex);
}

Result<void> fill_uplink_maps(const UplinkProgram& program, const UplinkFilter& filter) {
  // By prefix, so that an address that is several things is one entry.
  std::map<core::Prefix, uint32_t> kinds;
  for (const core::Prefix& prefix : filter.local_pods) {
    if (prefix.length == 0) {
      return Error{"FL3107", "a local pod CIDR of length 0 would take every packet from the node itself",
                   "give the node a pod CIDR of its own"};
    }
    kinds[prefix] |= FL_UPLINK_PODS;
  }
  const auto add = [&kinds](const std::vector<core::IpAddress>& addresses, fl_uplink_kind kind) {
    for (const core::IpAddress& address : addresses) {
      // Should a node's address be a pod CIDR's as a host route, only its own packets are taken.
      uint32_t& known = kinds[core::Prefix::host(address)];
      known = (known & ~static_cast<uint32_t>(FL_UPLINK_PODS)) | kind;
    }
  };
  for (const core::IpAddress& address : filter.services.addresses)
    kinds[core::Prefix::host(address)] |= FL_UPLINK_PODS;
  add(filter.vteps, FL_UPLINK_VTEP);
  if (!filter.services.node_ports.empty()) add(filter.node_port_addresses, FL_UPLINK_NODE_PORTS);
  if (filter.snat_port_first != 0) add(filter.snat_addresses, FL_UPLINK_SNAT);

  std::vector<std::pair<uplink_ipv4_key, uplink_value>> ipv4;
  std::vector<std::pair<uplink_ipv6_key, uplink_value>> ipv6;
  for (const auto& [prefix, what] : kinds) {
    if (prefix.address.is_ipv4()) {
      uplink_ipv4_key key{};
      key.prefix_length = prefix.length;
      std::memcpy(&key.address, prefix.address.bytes.data(), sizeof(key.address));
      ipv4.emplace_back(key, uplink_value{what});
    } else {
      uplink_ipv6_key key{};
      key.prefix_length = prefix.length;
      std::memcpy(&key.address, prefix.address.bytes.data(), sizeof(key.address));
      ipv6.emplace_back(key, uplink_value{what});
    }
  }
  std::vector<std::pair<uplink_node_port_key, uint8_t>> node_ports;
  for (const NodePort& port : filter.services.node_ports) {
    node_ports.emplace_back(
        uplink_node_port_key{.port = to_be16(port.port), .protocol = port.protocol, .is_ipv6 = port.is_ipv6},
        uint8_t{1});
  }
  if (ipv4.size() > FL_UPLINK_PREFIXES_MAX || ipv6.size() > FL_UPLINK_PREFIXES_MAX ||
      node_ports.size() > FL_UPLINK_NODE_PORTS_MAX) {
    return Error{"FL3107", "more than " + std::to_string(FL_UPLINK_PREFIXES_MAX) +
                               " addresses and pod CIDRs, or more than " +
                               std::to_string(FL_UPLINK_NODE_PORTS_MAX) + " node ports, on one node"};
  }

  const __u32 first = 0;
  uplink_config_value config{};
  config.tunnel_port = to_be16(filter.tunnel_port);
  config.snat_port_first = filter.snat_port_first;
  config.snat_port_last = filter.snat_port_last;
  config.takes_ip_in_ip = filter.services.ip_in_ip;
  if (bpf_map_update_elem(program.config.get(), &first, &config, BPF_ANY) != 0) {
    return Error{"FL3108", std::string("cannot write the uplink's tunnel port: ") + std::strerror(errno)};
  }
  if (auto done = replace_entries(program.node_ports.get(), node_ports); !done) return done.error();
  if (auto done = replace_entries(program.ipv4.get(), ipv4); !done) return done.error();
  return replace_entries(program.ipv6.get(), ipv6);
}

Result<void> release_uplink_program(uint32_t ifindex) {
  auto found = find(ifindex);
  if (!found) return found.error();
  if (found->attached.program_id == 0) return {};
  if (found->our_id == 0) return not_ours(ifindex, found->name);
  const std::string interface = interface_text(ifindex);
  if (found->is_dispatched) {
    return Error{"FL3109",
                 "uplink_xdp on " + interface + " is behind libxdp's dispatcher, with other programs perhaps",
                 "xdp-loader unload " + interface + " --id " + std::to_string(found->our_id)};
  }
  const LibbpfWords words;
  const FileDescriptor program(bpf_prog_get_fd_by_id(found->our_id));
  bpf_xdp_attach_opts options{};
  options.sz = sizeof(options);
  options.old_prog_fd = program.get();
  if (const int error =
          bpf_xdp_detach(static_cast<int>(ifindex), found->attached.flags | XDP_FLAGS_REPLACE, &options);
      error != 0) {
    return Error{"FL3109", "cannot take the XDP program off " + interface + ": " + std::strerror(-error),
                 "ip link set dev " + interface + " xdp off"};
  }
  return {};
}

}  // namespace fairlead::ebpf
