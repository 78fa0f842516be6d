// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// Hook: XDP of a bifurcated uplink - everything that arrives from the fabric.
//
// Takes from the kernel what is the forwarder's: tunnel packets to this node's tunnel ends, a router's word
// that one of ours was too big (the forwarder passes it on to the kernel), packets to its pods and to
// addresses of Services, and of those to the node's own addresses what belongs to a node port or to a
// connection that the forwarder has translated. All the rest - SSH, the kubelet, ARP, neighbour discovery,
// BGP - goes on to the kernel untouched. A queue without a socket leaves everything to the kernel.

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

// An own address as the packet's destination, and what to ask about it.
struct own {
  struct ip_address address;  // IPv4: the first word
  __u32 kinds;                // fl_uplink_kind
  __u8 is_ipv6;
};

FL_INLINE int is_own(const struct own* own, const struct ip_address* address) {
  for (int i = 0; i < (own->is_ipv6 ? 4 : 1); ++i) {
    if (own->address.word[i].raw != address->word[i].raw) return 0;
  }
  return 1;
}

FL_INLINE const struct uplink_config_value* config_of(void) {
  __u32 first = 0;
  return (const struct uplink_config_value*)bpf_map_lookup_elem(&uplink_config, &first);
}

FL_INLINE int has_ports(__u8 protocol) {
  return protocol == FL_PROTOCOL_TCP || protocol == FL_PROTOCOL_UDP || protocol == FL_PROTOCOL_SCTP;
}

// A port, or an echo's identifier, that the forwarder may have given to a translated connection.
FL_INLINE int is_translated(const struct own* own, const struct uplink_config_value* config, be16 port) {
  __u16 number = from_be16(port);
  return (own->kinds & FL_UPLINK_SNAT) && config->snat_port_first && number >= config->snat_port_first &&
         number <= config->snat_port_last;
}

FL_INLINE int is_node_port(const struct own* own, __u8 protocol, be16 port) {
  if (!(own->kinds & FL_UPLINK_NODE_PORTS)) return 0;
  struct uplink_node_port_key key = {.port = port, .protocol = protocol, .is_ipv6 = own->is_ipv6};
  return bpf_map_lookup_elem(&uplink_ports, &key) != 0;
}

// Is one of the node's ports, as a Service's or as a connection's, ours?
FL_INLINE int is_our_port(const struct own* own, const struct uplink_config_value* config, __u8 protocol,
                          be16 port) {
  return has_ports(protocol) && (is_translated(own, config, port) || is_node_port(own, protocol, port));
}

// Behind the header of a packet to `own`.
FL_INLINE int is_our_transport(struct cursor* c, const struct own* own, __u8 protocol) {
  const struct uplink_config_value* config = config_of();
  if (!config) return 0;
  // Every protocol with ports has them in its first four bytes, and needs eight at least.
  const struct udp_header* ports = FL_TAKE(c, udp_header);
  if (!ports) return 0;
  be16 port = ports->destination_port;
  if (protocol == FL_PROTOCOL_UDP && (own->kinds & FL_UPLINK_VTEP) && port.raw == config->tunnel_port.raw)
    return 1;
  return is_our_port(own, config, protocol, port);
}

// Behind an error's header and what it quotes of the IP layer: a packet that left from `own`. Eight bytes of
// it are all that must be there (RFC 792).
FL_INLINE int is_about_ours(struct cursor* c, const struct own* own, __u8 protocol, int is_too_big) {
  const struct uplink_config_value* config = config_of();
  if (!config) return 0;
  if (protocol == (own->is_ipv6 ? FL_PROTOCOL_ICMPV6 : FL_PROTOCOL_ICMP)) {
    const struct icmp_header* echo = FL_TAKE(c, icmp_header);
    __u8 request = own->is_ipv6 ? FL_ICMPV6_ECHO_REQUEST : FL_ICMP_ECHO_REQUEST;
    return echo && echo->type == request && is_translated(own, config, echo->id);
  }
  const struct udp_header* ports = FL_TAKE(c, udp_header);
  if (!ports) return 0;
  if (is_too_big && protocol == FL_PROTOCOL_UDP && (own->kinds & FL_UPLINK_VTEP) &&
      ports->destination_port.raw == config->tunnel_port.raw) {
    return 1;
  }
  return is_our_port(own, config, protocol, ports->source_port);
}

FL_INLINE int is_our_icmp_ipv4(struct cursor* c, const struct own* own) {
  const struct icmp_header* icmp = FL_TAKE(c, icmp_header);
  const struct uplink_config_value* config = config_of();
  if (!icmp || !config) return 0;
  __u8 type = icmp->type;
  if (type == FL_ICMP_ECHO_REPLY) return is_translated(own, config, icmp->id);
  if (type != FL_ICMP_UNREACHABLE && type != FL_ICMP_TIME_EXCEEDED && type != FL_ICMP_PARAMETER_PROBLEM)
    return 0;
  int is_too_big = type == FL_ICMP_UNREACHABLE && icmp->code == FL_ICMP_FRAGMENTATION_NEEDED;
  // We send no IPv4 options; whoever adds some gets an error that the kernel does not know what to do with.
  const struct ipv4_header* quoted = FL_TAKE(c, ipv4_header);
  if (!quoted || quoted->version_ihl != 0x45 || (from_be16(quoted->fragment) & FL_IPV4_OFFSET_MASK) ||
      quoted->source.raw != own->address.word[0].raw) {
    return 0;
  }
  return is_about_ours(c, own, quoted->protocol, is_too_big);
}

FL_INLINE int is_our_icmp_ipv6(struct cursor* c, const struct own* own) {
  const struct icmp_header* icmp = FL_TAKE(c, icmp_header);
  const struct uplink_config_value* config = config_of();
  if (!icmp || !config) return 0;
  __u8 type = icmp->type;
  if (type == FL_ICMPV6_ECHO_REPLY) return is_translated(own, config, icmp->id);
  if (type < FL_ICMPV6_UNREACHABLE || type > FL_ICMPV6_PARAMETER_PROBLEM) return 0;
  int is_too_big = type == FL_ICMPV6_PACKET_TOO_BIG;
  const struct ipv6_header* quoted = FL_TAKE(c, ipv6_header);
  if (!quoted || !is_own(own, &quoted->source)) return 0;
  return is_about_ours(c, own, quoted->next_header, is_too_big);
}

// A fragment that is not the first has no ports: where any may be ours, all fragments are. Where none may be
// they are the kernel's: senders of tunnel packets set DF or reassemble beforehand, and the kernel alone
// could put such a packet together.
FL_INLINE int takes_fragments(const struct own* own) {
  return (own->kinds & (FL_UPLINK_NODE_PORTS | FL_UPLINK_SNAT)) != 0;
}

FL_INLINE int is_our_ip_in_ip(const struct own* own, __u8 protocol) {
  const struct uplink_config_value* config = config_of();
  return (own->kinds & FL_UPLINK_VTEP) && config && config->takes_ip_in_ip &&
         (protocol == FL_PROTOCOL_IPV4 || protocol == FL_PROTOCOL_IPV6);
}

// Is the packet the forwarder's? IPv4 options make no difference: the forwarder counts and drops such tunnel
// packets by name.
FL_INLINE int is_ours_ipv4(struct cursor* c) {
  const struct ipv4_header* ip = FL_TAKE(c, ipv4_header);
  if (!ip || (ip->version_ihl >> 4) != 4) return 0;
  struct uplink_ipv4_key key = {.prefix_length = 32, .address = ip->destination};
  const struct uplink_value* found = bpf_map_lookup_elem(&uplink_ipv4, &key);
  if (!found) return 0;
  if (found->kinds & FL_UPLINK_PODS) return 1;
  struct own own = {.kinds = found->kinds, .is_ipv6 = 0};
  own.address.word[0] = ip->destination;
  __u8 protocol = ip->protocol;
  __u32 header_length = ipv4_header_length(ip);
  if (header_length < sizeof(*ip)) return 0;
  if (from_be16(ip->fragment) & (FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK)) return takes_fragments(&own);
  if (is_our_ip_in_ip(&own, protocol)) return 1;
  if (cursor_skip(c, header_length - sizeof(*ip))) return 0;
  if (protocol == FL_PROTOCOL_ICMP) return is_our_icmp_ipv4(c, &own);
  return has_ports(protocol) && is_our_transport(c, &own, protocol);
}

// A tunnel packet over IPv6 has no extension headers (RFC 7348, RFC 8926 know none); other packets to the
// node's own addresses that have some, but for fragments, stay the kernel's.
FL_INLINE int is_ours_ipv6(struct cursor* c) {
  const struct ipv6_header* ip = FL_TAKE(c, ipv6_header);
  if (!ip || (from_be32(ip->version_class_flow) >> 28) != 6) return 0;
  struct uplink_ipv6_key key = {.prefix_length = 128, .address = ip->destination};
  const struct uplink_value* found = bpf_map_lookup_elem(&uplink_ipv6, &key);
  if (!found) return 0;
  if (found->kinds & FL_UPLINK_PODS) return 1;
  struct own own = {.address = ip->destination, .kinds = found->kinds, .is_ipv6 = 1};
  __u8 protocol = ip->next_header;
  if (protocol == FL_IPV6_FRAGMENT) return takes_fragments(&own);
  if (is_our_ip_in_ip(&own, protocol)) return 1;
  if (protocol == FL_PROTOCOL_ICMPV6) return is_our_icmp_ipv6(c, &own);
  return has_ports(protocol) && is_our_transport(c, &own, protocol);
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
