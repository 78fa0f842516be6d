#pragma once

#include "dataplane/packet/types.h"

// TCP header, RFC 9293 section 3.1.

FL_BEGIN

struct tcp_header {
  be16 source_port;
  be16 destination_port;
  be32 sequence;
  be32 acknowledgement;
  __u8 data_offset;  // header length in 4-byte words in the upper 4 bits
  __u8 flags;        // FL_TCP_*
  be16 window;
  be16 checksum;
  be16 urgent;
};
FL_SIZE(tcp_header, 20);
FL_OFFSET(tcp_header, sequence, 4);
FL_OFFSET(tcp_header, acknowledgement, 8);
FL_OFFSET(tcp_header, data_offset, 12);
FL_OFFSET(tcp_header, flags, 13);
FL_OFFSET(tcp_header, checksum, 16);

enum {
  FL_TCP_FIN = 0x01,
  FL_TCP_SYN = 0x02,
  FL_TCP_RST = 0x04,
  FL_TCP_PSH = 0x08,
  FL_TCP_ACK = 0x10,
  FL_TCP_URG = 0x20,
  FL_TCP_ECE = 0x40,
  FL_TCP_CWR = 0x80,
};

FL_INLINE __u32 tcp_header_length(const struct tcp_header* tcp) {
  return (tcp->data_offset >> 4) * 4u;
}

FL_END
