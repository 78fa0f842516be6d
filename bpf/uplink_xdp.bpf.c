// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Hook: XDP of a bifurcated uplink - everything that arrives from the fabric.
//
// Takes from the kernel what is the forwarder's: tunnel packets to this node's tunnel ends, a router's word
// that one of ours was too big (the forwarder passes it on to the kernel), and packets to its pods. All the
// rest - SSH, the kubelet, ARP, neighbour discovery, BGP - goes on to the kernel untouched. A queue without a
// socket leaves everything to the kernel.

#define FL_NEEDS_UPLINK_MAPS

#include "bpf/maps.h"
#include "dataplane/packet/cursor.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/udp.h"

#include <bpf/bpf_helpers.h>

#include <linux/bpf.h>

FL_INLINE int is_tunnel_port(struct cursor* c) {
  const struct udp_header* udp = FL_TAKE(c, udp_header);
  if (!udp) return 0;
  be16 destination_port = udp->destination_port;
  __u32 first = 0;
  const struct uplink_config_value* config = bpf_map_lookup_elem(&uplink_config, &first);
  return config && destination_port.raw == config->tunnel_port.raw;
}

// Behind an outer header to the tunnel end `own`: "fragmentation needed" about a tunnel packet from there? We
// send no IPv4 options.
FL_INLINE int is_too_big_ipv4(struct cursor* c, be32 own) {
  const struct icmp_header* icmp = FL_TAKE(c, icmp_header);
  if (!icmp || icmp->type != FL_ICMP_UNREACHABLE || icmp->code != FL_ICMP_FRAGMENTATION_NEEDED) return 0;
  const struct ipv4_header* quoted = FL_TAKE(c, ipv4_header);
  return quoted && quoted->version_ihl == 0x45 && quoted->protocol == FL_PROTOCOL_UDP &&
         !(from_be16(quoted->fragment) & FL_IPV4_OFFSET_MASK) && quoted->source.raw == own.raw &&
         is_tunnel_port(c);
}

FL_INLINE int is_too_big_ipv6(struct cursor* c, const struct ip_address* own) {
  const struct icmp_header* icmp = FL_TAKE(c, icmp_header);
  if (!icmp || icmp->type != FL_ICMPV6_PACKET_TOO_BIG) return 0;
  const struct ipv6_header* quoted = FL_TAKE(c, ipv6_header);
  if (!quoted || quoted->next_header != FL_PROTOCOL_UDP) return 0;
  for (int i = 0; i < 4; ++i) {
    if (quoted->source.word[i].raw != own->word[i].raw) return 0;
  }
  return is_tunnel_port(c);
}

// Is the packet the forwarder's? Fragments of tunnel packets are not: senders set DF or reassemble
// beforehand, and only the kernel could reassemble them. IPv4 options are: the forwarder counts and drops
// such tunnel packets by name.
FL_INLINE int is_ours_ipv4(struct cursor* c) {
  const struct ipv4_header* ip = FL_TAKE(c, ipv4_header);
  if (!ip || (ip->version_ihl >> 4) != 4) return 0;
  struct uplink_ipv4_key key = {.prefix_length = 32, .address = ip->destination};
  const struct uplink_value* found = bpf_map_lookup_elem(&uplink_ipv4, &key);
  if (!found) return 0;
  if (found->kind == FL_UPLINK_PODS) return 1;
  __u32 header_length = ipv4_header_length(ip);
  int is_icmp = ip->protocol == FL_PROTOCOL_ICMP;
  if ((ip->protocol != FL_PROTOCOL_UDP && !is_icmp) || header_length < sizeof(*ip) ||
      (from_be16(ip->fragment) & (FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK)) ||
      cursor_skip(c, header_length - sizeof(*ip))) {
    return 0;
  }
  return is_icmp ? is_too_big_ipv4(c, key.address) : is_tunnel_port(c);
}

// A tunnel packet over IPv6 has no extension headers (RFC 7348, RFC 8926 know none).
FL_INLINE int is_ours_ipv6(struct cursor* c) {
  const struct ipv6_header* ip = FL_TAKE(c, ipv6_header);
  if (!ip || (from_be32(ip->version_class_flow) >> 28) != 6) return 0;
  struct uplink_ipv6_key key = {.prefix_length = 128, .address = ip->destination};
  const struct uplink_value* found = bpf_map_lookup_elem(&uplink_ipv6, &key);
  if (!found) return 0;
  if (found->kind == FL_UPLINK_PODS) return 1;
  if (ip->next_header == FL_PROTOCOL_ICMPV6) return is_too_big_ipv6(c, &key.address);
  return ip->next_header == FL_PROTOCOL_UDP && is_tunnel_port(c);
}

FL_INLINE int is_ours(struct xdp_md* context) {
  struct cursor c = cursor_open((void*)(long)context->data, (void*)(long)context->data_end);
  const struct ethernet_header* ethernet = FL_TAKE(&c, ethernet_header);
  if (!ethernet) return 0;
  switch (from_be16(ethernet->ethertype)) {
    case FL_ETHERTYPE_IPV4:
      return is_ours_ipv4(&c);
    case FL_ETHERTYPE_IPV6:
      return is_ours_ipv6(&c);
    default:
      return 0;
  }
}

SEC("xdp")
int uplink_xdp(struct xdp_md* context) {
  int action = XDP_PASS;
  if (is_ours(context)) action = bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
  struct hook_counters_value* counters = counters_of(FL_HOOK_UPLINK);
  if (counters) {
    if (action == XDP_REDIRECT) {
      counters->out += 1;
    } else {
      counters->passed += 1;
    }
  }
  return action;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
