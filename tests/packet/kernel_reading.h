#pragma once

#include "dataplane/packet/parsed.h"
#include "dataplane/packet/types.h"

// What parse_kernel.bpf.c reports of one frame.

FL_BEGIN

struct kernel_reading {
  struct parsed packet;
  struct tunnel inner;
  __s32 error;
  __s32 tunnel_error;
  __u32 pad;
  __u64 hash;
};
FL_SIZE(kernel_reading, 104);

FL_END
