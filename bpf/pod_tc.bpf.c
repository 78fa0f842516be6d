// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Hook: clsact ingress of the host-side interface of a pod's veth pair - everything the pod sends.
//
// Checks that the pod sends what its endpoint may send, writes the endpoint's id into the frame's source MAC
// and redirects the frame to the trunk, where the forwarder takes it. GSO and partial checksums stay as they
// are: only six bytes of the Ethernet header change.

#define FL_NEEDS_POD_MAPS

#include "bpf/maps.h"
#include "dataplane/packet/cursor.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"

#include <bpf/bpf_helpers.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

// The bytes the checks read: Ethernet and the longer of the two IP headers without options.
enum { kCheckedBytes = sizeof(struct ethernet_header) + sizeof(struct ipv6_header) };

// Makes the first kCheckedBytes of the frame, or the frame if it is shorter, readable through data..data_end.
// A pod's raw socket may hand us a frame with less than its headers in the linear part.
FL_INLINE int make_readable(struct __sk_buff* skb) {
  if ((void*)(long)skb->data + kCheckedBytes <= (void*)(long)skb->data_end) return 0;
  __u32 wanted = skb->len < kCheckedBytes ? skb->len : kCheckedBytes;
  return bpf_skb_pull_data(skb, wanted);
}

FL_INLINE int is_ipv4_multicast(be32 address) {
  __u32 host = from_be32(address);
  return (host >> 28) == 0xe || host == 0xffffffff;
}

// Drops: MALFORMED_IPV4, MULTICAST, SPOOFED_SOURCE
FL_INLINE int check_ipv4(struct cursor* c, const struct pod_endpoint_value* endpoint) {
  const struct ipv4_header* ip = FL_TAKE(c, ipv4_header);
  if (!ip || (ip->version_ihl >> 4) != 4) return FL_DROP_MALFORMED_IPV4;
  if (is_ipv4_multicast(ip->destination)) return FL_DROP_MULTICAST;
  for (int i = 0; i < FL_ENDPOINT_ADDRESSES_MAX; ++i) {
    if (i < endpoint->ipv4_count && endpoint->ipv4[i].raw == ip->source.raw) return FL_DROP_NONE;
  }
  return FL_DROP_SPOOFED_SOURCE;
}

FL_INLINE int same_address(const struct ip_address* a, const struct ip_address* b) {
  return a->word[0].raw == b->word[0].raw && a->word[1].raw == b->word[1].raw &&
         a->word[2].raw == b->word[2].raw && a->word[3].raw == b->word[3].raw;
}

// The kernel of a pod sends router solicitations, MLD and duplicate address detection, some of it from :: or
// a link-local address: noise to be counted as MULTICAST, so the destination is judged before the source.
// Drops: MALFORMED_IPV6, MULTICAST, SPOOFED_SOURCE
FL_INLINE int check_ipv6(struct cursor* c, const struct pod_endpoint_value* endpoint) {
  const struct ipv6_header* ip = FL_TAKE(c, ipv6_header);
  if (!ip || (from_be32(ip->version_class_flow) >> 28) != 6) return FL_DROP_MALFORMED_IPV6;
  if ((from_be32(ip->destination.word[0]) >> 24) == 0xff) return FL_DROP_MULTICAST;
  for (int i = 0; i < FL_ENDPOINT_ADDRESSES_MAX; ++i) {
    if (i < endpoint->ipv6_count && same_address(&endpoint->ipv6[i], &ip->source)) return FL_DROP_NONE;
  }
  return FL_DROP_SPOOFED_SOURCE;
}

// May this endpoint send this frame? FL_DROP_NONE or why not.
// Drops: MALFORMED_ETHERNET, SPOOFED_MAC, VLAN_FROM_POD, ARP_NOT_EXPECTED, NOT_IP_FROM_POD and those of the
// IP checks
FL_INLINE int check_sender(struct __sk_buff* skb, const struct pod_endpoint_value* endpoint) {
  if (make_readable(skb)) return FL_DROP_MALFORMED_ETHERNET;
  struct cursor c = cursor_open((void*)(long)skb->data, (void*)(long)skb->data_end);
  const struct ethernet_header* ethernet = FL_TAKE(&c, ethernet_header);
  if (!ethernet) return FL_DROP_MALFORMED_ETHERNET;
  for (int i = 0; i < 6; ++i) {
    if (ethernet->source.bytes[i] != endpoint->mac.bytes[i]) return FL_DROP_SPOOFED_MAC;
  }
  // The tag may stand in the frame, or beside it when the device takes tags off.
  if (skb->vlan_present) return FL_DROP_VLAN_FROM_POD;
  switch (from_be16(ethernet->ethertype)) {
    case FL_ETHERTYPE_IPV4:
      return mac_is_group(&ethernet->destination) ? FL_DROP_MULTICAST : check_ipv4(&c, endpoint);
    case FL_ETHERTYPE_IPV6:
      return mac_is_group(&ethernet->destination) ? FL_DROP_MULTICAST : check_ipv6(&c, endpoint);
    case FL_ETHERTYPE_ARP:
      return FL_DROP_ARP_NOT_EXPECTED;
    case FL_ETHERTYPE_VLAN:
    case FL_ETHERTYPE_QINQ:
      return FL_DROP_VLAN_FROM_POD;
    default:
      return FL_DROP_NOT_IP_FROM_POD;
  }
}

// Is the forwarder there? Its beat may be a little younger than `now` of another CPU, hence the signed
// difference.
FL_INLINE int forwarder_is_alive(const struct hook_config_value* config) {
  __u32 first = 0;
  const struct heartbeat_value* heart = bpf_map_lookup_elem(&heartbeat, &first);
  if (!heart || !config->trunk_ifindex) return 0;
  __u64 beat_ns = *(volatile const __u64*)&heart->beat_ns;
  return (__s64)(bpf_ktime_get_ns() - beat_ns) <= (__s64)config->stale_after_ns;
}

// Hook point: what happens to a checked frame while there is no forwarder. The kernel engine will forward it
// here, by the same steps; until then such frames are dropped and counted. Drops: FORWARDER_STALE
FL_INLINE int forward_in_kernel(struct __sk_buff* skb) {
  (void)skb;
  return FL_DROP_FORWARDER_STALE;
}

FL_INLINE int name_sender(struct __sk_buff* skb, __u32 id) {
  struct mac_address name = {{0x02, 0x46, 0x4c, (__u8)(id >> 16), (__u8)(id >> 8), (__u8)id}};
  return bpf_skb_store_bytes(skb, __builtin_offsetof(struct ethernet_header, source), &name, sizeof(name), 0);
}

// FL_DROP_NONE: to the trunk in *trunk_ifindex.
FL_INLINE int judge(struct __sk_buff* skb, __u32* trunk_ifindex) {
  __u32 ifindex = skb->ifindex;
  const struct pod_endpoint_value* endpoint = bpf_map_lookup_elem(&pod_endpoints, &ifindex);
  if (!endpoint) return FL_DROP_UNKNOWN_ENDPOINT;
  int reason = check_sender(skb, endpoint);
  if (reason) return reason;
  __u32 first = 0;
  const struct hook_config_value* config = bpf_map_lookup_elem(&hook_config, &first);
  if (!config || !forwarder_is_alive(config)) return forward_in_kernel(skb);
  if (name_sender(skb, endpoint->id)) return FL_DROP_NO_BUFFER;
  *trunk_ifindex = config->trunk_ifindex;
  return FL_DROP_NONE;
}

SEC("tc")
int pod_tc(struct __sk_buff* skb) {
  struct hook_counters_value* counters = counters_of(FL_HOOK_POD);
  if (!counters) return TC_ACT_SHOT;
  __u32 trunk_ifindex = 0;
  __u32 reason = judge(skb, &trunk_ifindex);
  if (reason == FL_DROP_NONE) {
    counters->out += 1;
    return bpf_redirect(trunk_ifindex, 0);
  }
  if (reason < FL_HOOK_DROPS_MAX) counters->drops[reason] += 1;
  return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
