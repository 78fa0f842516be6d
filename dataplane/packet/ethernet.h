#pragma once

#include "dataplane/packet/types.h"

// Ethernet II framing, IEEE 802.3-2018 clause 3; EtherTypes as registered by IEEE.

FL_BEGIN

struct ethernet_header {
  struct mac_address destination;
  struct mac_address source;
  be16 ethertype;
};
FL_SIZE(ethernet_header, 14);
FL_OFFSET(ethernet_header, source, 6);
FL_OFFSET(ethernet_header, ethertype, 12);

enum {
  FL_ETHERTYPE_IPV4 = 0x0800,
  FL_ETHERTYPE_ARP = 0x0806,
  FL_ETHERTYPE_TRANSPARENT_ETHERNET = 0x6558,  // Geneve's protocol type for an Ethernet frame
  FL_ETHERTYPE_VLAN = 0x8100,
  FL_ETHERTYPE_IPV6 = 0x86dd,
  FL_ETHERTYPE_QINQ = 0x88a8,
};

// Group addresses (multicast and broadcast) have the lowest bit of the first byte set.
FL_INLINE int mac_is_group(const struct mac_address* address) {
  return address->bytes[0] & 1;
}

FL_END
