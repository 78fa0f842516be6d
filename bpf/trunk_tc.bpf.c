// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Hook: clsact ingress of the trunk - everything the forwarder sends towards pods.
//
// The destination MAC names the endpoint: 02:46:4c and its id. Restores the pod's own MAC and moves the frame
// through the veth pair straight into the pod's namespace.

#define FL_NEEDS_POD_MAPS

#include "bpf/maps.h"
#include "dataplane/packet/cursor.h"
#include "dataplane/packet/ethernet.h"

#include <bpf/bpf_helpers.h>

#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

// The endpoint id that `name` carries; 0, which is no endpoint's, when it carries none.
FL_INLINE __u32 endpoint_id_of(const struct mac_address* name) {
  if (name->bytes[0] != 0x02 || name->bytes[1] != 0x46 || name->bytes[2] != 0x4c) return 0;
  return ((__u32)name->bytes[3] << 16) | ((__u32)name->bytes[4] << 8) | name->bytes[5];
}

// FL_DROP_NONE: into the pod behind *ifindex.
// Drops: MALFORMED_ETHERNET, UNKNOWN_ENDPOINT, NO_BUFFER
FL_INLINE int judge(struct __sk_buff* skb, __u32* ifindex) {
  struct cursor c = cursor_open((void*)(long)skb->data, (void*)(long)skb->data_end);
  const struct ethernet_header* ethernet = FL_TAKE(&c, ethernet_header);
  if (!ethernet) return FL_DROP_MALFORMED_ETHERNET;
  __u32 id = endpoint_id_of(&ethernet->destination);
  const struct trunk_endpoint_value* endpoint = bpf_map_lookup_elem(&trunk_endpoints, &id);
  if (!endpoint) return FL_DROP_UNKNOWN_ENDPOINT;
  // The kernel marked the frame as somebody else's when it came from the trunk with that MAC.
  if (bpf_skb_change_type(skb, PACKET_HOST)) return FL_DROP_NO_BUFFER;
  if (bpf_skb_store_bytes(skb, __builtin_offsetof(struct ethernet_header, destination), &endpoint->mac,
                          sizeof(endpoint->mac), 0)) {
    return FL_DROP_NO_BUFFER;
  }
  *ifindex = endpoint->ifindex;
  return FL_DROP_NONE;
}

SEC("tc")
int trunk_tc(struct __sk_buff* skb) {
  struct hook_counters_value* counters = counters_of(FL_HOOK_TRUNK);
  if (!counters) return TC_ACT_SHOT;
  __u32 ifindex = 0;
  __u32 reason = judge(skb, &ifindex);
  if (reason == FL_DROP_NONE) {
    counters->out += 1;
    return bpf_redirect_peer(ifindex, 0);
  }
  if (reason < FL_HOOK_DROPS_MAX) counters->drops[reason] += 1;
  return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
