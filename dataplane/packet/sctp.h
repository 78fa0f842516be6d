#pragma once

#include "dataplane/packet/types.h"

// SCTP common header, RFC 9260 section 3.1. The checksum is CRC32c over the SCTP packet alone: no
// pseudo-header, so an address rewrite leaves it as it is.

FL_BEGIN

struct sctp_header {
  be16 source_port;
  be16 destination_port;
  be32 verification_tag;
  be32 checksum;
};
FL_SIZE(sctp_header, 12);
FL_OFFSET(sctp_header, verification_tag, 4);
FL_OFFSET(sctp_header, checksum, 8);

FL_END
