// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#pragma once

#include "dataplane/tables/hooks.h"

#include <bpf/bpf_helpers.h>

#include <linux/bpf.h>

// Every map of the kernel programs, defined once. A hook says which it needs before it includes this file:
// FL_NEEDS_POD_MAPS, FL_NEEDS_UPLINK_MAPS (an object brings all maps it defines into being, used or not).

// The hooks' counters of this CPU.
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FL_HOOK_COUNT);
  __type(key, __u32);
  __type(value, struct hook_counters_value);
} hook_counters SEC(".maps");

#ifdef FL_NEEDS_POD_MAPS

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FL_ENDPOINTS_MAX);
  __type(key, __u32);
  __type(value, struct pod_endpoint_value);
} pod_endpoints SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FL_ENDPOINTS_MAX);
  __type(key, __u32);
  __type(value, struct trunk_endpoint_value);
} trunk_endpoints SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct hook_config_value);
} hook_config SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct heartbeat_value);
} heartbeat SEC(".maps");

#endif

#ifdef FL_NEEDS_UPLINK_MAPS

// The name is what DPDK's AF_XDP driver looks for; it puts its socket of each receive queue in here.
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, FL_UPLINK_QUEUES_MAX);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct uplink_config_value);
} uplink_config SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FL_UPLINK_PREFIXES_MAX);
  __type(key, struct uplink_ipv4_key);
  __type(value, struct uplink_value);
} uplink_ipv4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FL_UPLINK_PREFIXES_MAX);
  __type(key, struct uplink_ipv6_key);
  __type(value, struct uplink_value);
} uplink_ipv6 SEC(".maps");

// Names have 15 characters in the kernel, and by name a running program's maps are found again.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, FL_UPLINK_NODE_PORTS_MAX);
  __type(key, struct uplink_node_port_key);
  __type(value, __u8);
} uplink_ports SEC(".maps");

#endif

static __always_inline struct hook_counters_value* counters_of(__u32 hook) {
  return bpf_map_lookup_elem(&hook_counters, &hook);
}
