#pragma once

#include "dataplane/packet/types.h"

// The tag that follows an EtherType of 0x8100 or 0x88a8, IEEE 802.1Q-2018 clause 9.

FL_BEGIN

struct vlan_tag {
  be16 control;    // priority 3 bits, drop eligible 1, id 12
  be16 ethertype;  // of what follows
};
FL_SIZE(vlan_tag, 4);
FL_OFFSET(vlan_tag, ethertype, 2);

FL_INLINE __u16 vlan_id(const struct vlan_tag* tag) {
  return from_be16(tag->control) & 0xfff;
}

FL_END
