// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/parse.h"
#include "tests/packet/kernel_reading.h"

#include <bpf/bpf_helpers.h>

#include <linux/bpf.h>

// The parser and the flow hash as the kernel runs them, for a test that holds them to what the host computes.

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct kernel_reading);
} reading SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct flow_secret);
} secret SEC(".maps");

SEC("xdp")
int parse_kernel(struct xdp_md* context) {
  const void* data = (const void*)(long)context->data;
  const void* data_end = (const void*)(long)context->data_end;
  __u32 zero = 0;
  struct kernel_reading* out = bpf_map_lookup_elem(&reading, &zero);
  const struct flow_secret* key_secret = bpf_map_lookup_elem(&secret, &zero);
  if (!out || !key_secret) return XDP_ABORTED;

  struct parsed packet;
  int error = parse_frame(data, data_end, 0, &packet);
  out->error = error;
  out->packet = packet;
  if (error) return XDP_DROP;
  if (packet.ip_version == 4) {
    struct flow_key4 key;
    flow_key4_of(&packet, &key);
    out->hash = flow_hash4(key_secret, &key);
  } else {
    struct flow_key6 key;
    flow_key6_of(&packet, &key);
    out->hash = flow_hash6(key_secret, &key);
  }
  struct tunnel inner = {0, 0, 0};
  out->tunnel_error = parse_tunnel(data, data_end, &packet, FL_TUNNEL_VXLAN, &inner);
  out->inner = inner;
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
