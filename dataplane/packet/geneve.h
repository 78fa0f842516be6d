#pragma once

#include "dataplane/packet/types.h"

// Geneve header, RFC 8926 section 3.4. Options follow it, `version_options` says how many 4-byte words.

FL_BEGIN

struct geneve_header {
  __u8 version_options;  // version 2 bits, length of the options in 4-byte words 6 bits
  __u8 flags;            // FL_GENEVE_*; the lower 6 bits are reserved
  be16 protocol;         // an EtherType
  be32 vni;              // upper 24 bits; the lowest 8 are reserved
};
FL_SIZE(geneve_header, 8);
FL_OFFSET(geneve_header, protocol, 2);
FL_OFFSET(geneve_header, vni, 4);

enum {
  FL_GENEVE_PORT = 6081,
  FL_GENEVE_CONTROL = 0x80,   // O: a control packet, not to be forwarded
  FL_GENEVE_CRITICAL = 0x40,  // C: an option that must be understood
};

FL_INLINE __u32 geneve_options_length(const struct geneve_header* geneve) {
  return (geneve->version_options & 63u) * 4u;
}

FL_END
