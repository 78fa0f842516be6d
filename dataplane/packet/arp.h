#pragma once

#include "dataplane/packet/types.h"

// ARP for IPv4 over Ethernet, RFC 826. Recognised so that it can be refused by name: pods have a permanent
// gateway neighbour, and the node's own ARP is the kernel's.

FL_BEGIN

struct arp_ipv4 {
  be16 hardware;         // 1: Ethernet
  be16 protocol;         // 0x0800
  __u8 hardware_length;  // 6
  __u8 protocol_length;  // 4
  be16 operation;        // 1 request, 2 reply
  struct mac_address sender_mac;
  __u8 sender_address[4];  // bytes: the field is not 4-aligned in the message
  struct mac_address target_mac;
  __u8 target_address[4];
};
FL_SIZE(arp_ipv4, 28);
FL_OFFSET(arp_ipv4, operation, 6);
FL_OFFSET(arp_ipv4, sender_address, 14);
FL_OFFSET(arp_ipv4, target_mac, 18);
FL_OFFSET(arp_ipv4, target_address, 24);

enum { FL_ARP_REQUEST = 1, FL_ARP_REPLY = 2 };

FL_END
