#pragma once

#include "tests/packet/frames.hpp"

#include <string>

// A slow reader of frames that believes nothing: what a receiver would complain about.

namespace fairlead::test {

struct WireView {
  std::string complaint;  // empty: a frame every receiver takes
  uint8_t ip_version = 0, protocol = 0;
  size_t l3 = 0, l4 = 0, payload = 0, end = 0;  // offsets of the innermost packet
  size_t outer_l3 = 0;                          // 0: not encapsulated
  uint8_t outer_version = 0;
};

inline WireView check_wire(std::span<const uint8_t> frame, size_t at = 0, bool is_inner = false) {
  WireView view;
  const auto fail = [&](std::string text) {
    view.complaint = (is_inner ? "inner: " : "") + std::move(text);
    return view;
  };
  if (frame.size() < at + 14) return fail("no Ethernet header");
  const uint32_t ethertype = get(frame, at + 12, 2);
  const size_t l3 = view.l3 = at + 14;
  Bytes source, destination;
  if (ethertype == 0x0800) {
    if (frame.size() < l3 + 20) return fail("no IPv4 header");
    const size_t header = (frame[l3] & 15) * 4u, total = get(frame, l3 + 2, 2);
    if (frame[l3] >> 4 != 4 || header < 20) return fail("not IPv4");
    if (l3 + total != frame.size())
      return fail("IPv4 total length " + std::to_string(total) + " in a frame of " +
                  std::to_string(frame.size() - l3));
    if (slow_sum(frame.subspan(l3, header)) != 0xffff) return fail("IPv4 header checksum");
    view.ip_version = 4;
    view.protocol = frame[l3 + 9];
    source.assign(frame.begin() + l3 + 12, frame.begin() + l3 + 16);
    destination.assign(frame.begin() + l3 + 16, frame.begin() + l3 + 20);
    view.l4 = l3 + header;
    view.end = l3 + total;
    if (get(frame, l3 + 6, 2) & 0x3fff) return view;  // a fragment: nothing to say about L4
  } else if (ethertype == 0x86dd) {
    if (frame.size() < l3 + 40) return fail("no IPv6 header");
    const size_t payload = get(frame, l3 + 4, 2);
    if (frame[l3] >> 4 != 6) return fail("not IPv6");
    if (l3 + 40 + payload != frame.size()) return fail("IPv6 payload length");
    view.ip_version = 6;
    view.protocol = frame[l3 + 6];
    source.assign(frame.begin() + l3 + 8, frame.begin() + l3 + 24);
    destination.assign(frame.begin() + l3 + 24, frame.begin() + l3 + 40);
    view.l4 = l3 + 40;
    view.end = l3 + 40 + payload;
    while (view.protocol == 0 || view.protocol == 60) {
      view.protocol = frame[view.l4];
      view.l4 += (frame[view.l4 + 1] + 1) * 8u;
    }
  } else {
    return fail("ethertype " + std::to_string(ethertype));
  }

  const auto l4 = frame.subspan(view.l4, view.end - view.l4);
  const int field = l4_checksum_offset(view.protocol);
  if (field >= 0 && l4.size() < (view.protocol == 6 ? 20u : 8u)) return fail("L4 header cut");
  view.payload = view.l4 + 8;
  if (view.protocol == 6) view.payload = view.l4 + (l4[12] >> 4) * 4u;
  if (view.protocol == 17 && get(l4, 4, 2) != l4.size()) return fail("UDP length");
  const bool udp_none = view.protocol == 17 && get(l4, 6, 2) == 0;
  const uint16_t port = view.protocol == 17 ? static_cast<uint16_t>(get(l4, 2, 2)) : 0;
  const bool is_tunnel = port == 4789 || port == 6081;
  if (udp_none && view.ip_version == 6 && !is_tunnel) return fail("UDP without checksum over IPv6");
  if (field >= 0 && !udp_none) {
    const uint32_t seed =
        view.protocol == 1 ? 0 : slow_pseudo_sum(source, destination, view.protocol, l4.size());
    if (slow_sum(l4, seed) != 0xffff) return fail("checksum of protocol " + std::to_string(view.protocol));
  }
  if (!is_tunnel || is_inner) return view;
  const size_t header = port == 6081 ? 8 + (l4[8] & 63) * 4u : 8;
  WireView inner = check_wire(frame, view.l4 + 8 + header, true);
  inner.outer_l3 = l3;
  inner.outer_version = view.ip_version;
  return inner;
}

}  // namespace fairlead::test
