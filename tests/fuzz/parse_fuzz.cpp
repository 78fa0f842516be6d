#include "dataplane/packet/encap.h"
#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/parse.h"
#include "dataplane/packet/rewrite.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

// Input: a byte of parser flags, then a frame. Whatever the parser accepts must keep its promises: offsets in
// order and in the frame, a tunnel's inner frame inside it, and a rewrite that can be taken back.

using namespace fairlead;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_rewrite(const std::vector<uint8_t>& frame, const parsed& p) {
  std::vector<uint8_t> changed = frame;
  flow_key4 key4;
  flow_key6 key6;
  if (p.ip_version == 4) {
    const rewrite4 away{p.destination.word[0], be32{0x01020304}, p.destination_port, p.source_port};
    const rewrite4 back{p.source.word[0], p.destination.word[0], p.source_port, p.destination_port};
    if (rewrite_frame4(changed.data(), &p, &away, 0) != 0) return;
    require(rewrite_frame4(changed.data(), &p, &back, 0) == 0);
    flow_key4_of(&p, &key4);
  } else {
    const rewrite6 away{p.destination, p.source, p.destination_port, p.source_port};
    const rewrite6 back{p.source, p.destination, p.source_port, p.destination_port};
    if (rewrite_frame6(changed.data(), &p, &away, 0) != 0) return;
    require(rewrite_frame6(changed.data(), &p, &back, 0) == 0);
    flow_key6_of(&p, &key6);
  }
  parsed again;
  require(parse_frame(changed.data(), changed.data() + changed.size(),
                      FL_PARSE_SKIP_IPV4_CHECKSUM | FL_PARSE_ALLOW_ROUTER_ALERT, &again) == FL_PARSE_OK);
  require(std::memcmp(&p, &again, sizeof(p)) == 0);
}

void check_frame(const std::vector<uint8_t>& frame, uint32_t flags, int depth) {
  parsed p;
  const int error = parse_frame(frame.data(), frame.data() + frame.size(), flags, &p);
  require(error >= 0 && error < FL_PARSE_ERROR_COUNT);
  if (error != FL_PARSE_OK) return;
  require(p.l3_offset == 14 && p.l3_offset + p.l3_length <= frame.size());
  require(p.ip_version == 4 || p.ip_version == 6);
  require(p.l4_offset >= p.l3_offset + (p.ip_version == 4 ? 20 : 40));
  require(p.l4_offset <= p.payload_offset && p.payload_offset <= p.l3_offset + p.l3_length);
  require(!p.is_first_fragment || p.is_fragment);
  require(!parsed_is_later_fragment(&p) || !p.has_ports);
  check_rewrite(frame, p);

  for (const uint32_t kind : {FL_TUNNEL_VXLAN, FL_TUNNEL_GENEVE}) {
    tunnel t;
    if (parse_tunnel(frame.data(), frame.data() + frame.size(), &p, kind, &t) != FL_PARSE_OK) continue;
    require(t.vni < 1u << 24 && t.inner_offset >= p.payload_offset + 8u && t.inner_length >= 14);
    require(t.inner_offset + t.inner_length <= p.l3_offset + p.l3_length);
    if (depth == 0) {
      const auto inner = frame.begin() + t.inner_offset;
      check_frame({inner, inner + t.inner_length}, flags, depth + 1);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  check_frame({data + 1, data + size}, data[0] & 3u, 0);
  return 0;
}
