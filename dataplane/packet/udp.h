#pragma once

#include "dataplane/packet/types.h"

// UDP header, RFC 768; over IPv6 RFC 8200 section 8.1 and, for tunnels with checksum zero, RFC 6935.

FL_BEGIN

struct udp_header {
  be16 source_port;
  be16 destination_port;
  be16 length;    // header and payload
  be16 checksum;  // 0: none was computed
};
FL_SIZE(udp_header, 8);
FL_OFFSET(udp_header, length, 4);
FL_OFFSET(udp_header, checksum, 6);

FL_END
