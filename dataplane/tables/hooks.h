#pragma once

#include "dataplane/packet/types.h"
#include "dataplane/tables/drop_reasons.h"

// What the kernel programs of bpf/ and the room dataplane/ebpf tell each other: keys and values of the hooks'
// maps.
//
// A change of any layout or meaning here raises FL_HOOKS_VERSION: the pins go into a directory of that name,
// and a process refuses pins it does not know.

FL_BEGIN

enum { FL_HOOKS_VERSION = 1 };

enum {
  FL_ENDPOINTS_MAX = 65536,
  FL_ENDPOINT_ADDRESSES_MAX = 4,   // of each family
  FL_UPLINK_QUEUES_MAX = 64,       // entries of xsks_map
  FL_UPLINK_PREFIXES_MAX = 65536,  // own addresses, pod CIDRs and addresses of Services, of each family
  FL_UPLINK_NODE_PORTS_MAX = 65536,
};

// pod_endpoints: what may come out of the pod behind this host-side interface. Key: __u32 ifindex.
struct pod_endpoint_value {
  __u32 id;  // 24 bits
  struct mac_address mac;
  __u8 ipv4_count;
  __u8 ipv6_count;
  be32 ipv4[FL_ENDPOINT_ADDRESSES_MAX];
  struct ip_address ipv6[FL_ENDPOINT_ADDRESSES_MAX];
};
FL_SIZE(pod_endpoint_value, 92);
FL_OFFSET(pod_endpoint_value, mac, 4);
FL_OFFSET(pod_endpoint_value, ipv4_count, 10);
FL_OFFSET(pod_endpoint_value, ipv4, 12);
FL_OFFSET(pod_endpoint_value, ipv6, 28);

// trunk_endpoints: how a frame from the trunk reaches its pod. Key: __u32 endpoint id.
struct trunk_endpoint_value {
  __u32 ifindex;  // host-side interface
  struct mac_address mac;
  __u8 pad[2];
};
FL_SIZE(trunk_endpoint_value, 12);
FL_OFFSET(trunk_endpoint_value, mac, 4);
FL_OFFSET(trunk_endpoint_value, pad, 10);

// hook_config, one entry: what the pod hooks need to know. Written whole, by the control thread.
struct hook_config_value {
  __u32 version;        // FL_HOOKS_VERSION once written
  __u32 trunk_ifindex;  // 0: there is no trunk
  __u64 stale_after_ns;
};
FL_SIZE(hook_config_value, 16);
FL_OFFSET(hook_config_value, stale_after_ns, 8);

// heartbeat, one entry, mapped into the forwarder's memory.
struct heartbeat_value {
  __u64 beat_ns;  // CLOCK_MONOTONIC; written: forwarder, read: pod_tc
};
FL_SIZE(heartbeat_value, 8);

// uplink_config, one entry.
struct uplink_config_value {
  be16 tunnel_port;
  __u16 snat_port_first;  // host order; 0: nothing is translated
  __u16 snat_port_last;
  __u8 takes_ip_in_ip;  // direct server return comes as IPIP, IP6IP6
  __u8 pad;
};
FL_SIZE(uplink_config_value, 8);
FL_OFFSET(uplink_config_value, snat_port_first, 2);
FL_OFFSET(uplink_config_value, snat_port_last, 4);
FL_OFFSET(uplink_config_value, takes_ip_in_ip, 6);

// uplink_ipv4 and uplink_ipv6: whose packets the XDP program takes from the kernel. An address may be
// several.
enum fl_uplink_kind {
  FL_UPLINK_VTEP = 1,        // UDP to the tunnel port, and "too big" about such packets from there
  FL_UPLINK_PODS = 2,        // every packet: pods, and addresses that a Service alone has
  FL_UPLINK_NODE_PORTS = 4,  // uplink_ports, errors about them, and fragments
  FL_UPLINK_SNAT = 8,  // ports and echo ids that this node translates to, errors about them, and fragments
};

// uplink_ports: on which ports of node addresses a Service answers. The value says nothing.
struct uplink_node_port_key {
  be16 port;
  __u8 protocol;
  __u8 is_ipv6;
};
FL_SIZE(uplink_node_port_key, 4);
FL_OFFSET(uplink_node_port_key, protocol, 2);
FL_OFFSET(uplink_node_port_key, is_ipv6, 3);

struct uplink_ipv4_key {
  __u32 prefix_length;  // what LPM tries want first
  be32 address;
};
FL_SIZE(uplink_ipv4_key, 8);
FL_OFFSET(uplink_ipv4_key, address, 4);

struct uplink_ipv6_key {
  __u32 prefix_length;
  struct ip_address address;
};
FL_SIZE(uplink_ipv6_key, 20);
FL_OFFSET(uplink_ipv6_key, address, 4);

struct uplink_value {
  __u32 kinds;  // of fl_uplink_kind, or-ed
};
FL_SIZE(uplink_value, 4);

// hook_counters, one entry per hook and CPU. There is no "in": it is the sum, so that no reading can
// disagree.
enum fl_hook {
  FL_HOOK_POD = 0,
  FL_HOOK_TRUNK = 1,
  FL_HOOK_UPLINK = 2,
  FL_HOOK_COUNT,
};

// Room for reasons to come: the value's size must not change with each of them, or no update could take over
// the pins.
enum { FL_HOOK_DROPS_MAX = 64 };
FL_ASSERT((int)FL_DROP_COUNT <= (int)FL_HOOK_DROPS_MAX, "raise FL_HOOK_DROPS_MAX and FL_HOOKS_VERSION");

struct hook_counters_value {
  __u64 out;                       // handed on by redirect
  __u64 passed;                    // left to the kernel
  __u64 drops[FL_HOOK_DROPS_MAX];  // by fl_drop_reason
};
FL_SIZE(hook_counters_value, 528);
FL_OFFSET(hook_counters_value, passed, 8);
FL_OFFSET(hook_counters_value, drops, 16);

FL_END
