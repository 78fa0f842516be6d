#pragma once

#include "dataplane/packet/types.h"

// VXLAN header, RFC 7348 section 5.

FL_BEGIN

struct vxlan_header {
  be32 flags;  // FL_VXLAN_VNI_VALID; all other bits reserved
  be32 vni;    // upper 24 bits; the lowest 8 are reserved
};
FL_SIZE(vxlan_header, 8);
FL_OFFSET(vxlan_header, vni, 4);

enum { FL_VXLAN_VNI_VALID = 0x08000000, FL_VXLAN_PORT = 4789 };

FL_END
