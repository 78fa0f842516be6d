#include "dataplane/core/snapshot_builder.hpp"

#include <algorithm>

// The part of SnapshotBuilder that remembers what the underlay said about the way to other nodes.

namespace fairlead::core {

namespace {

// RFC 1191 section 6.3 and RFC 8201 section 4: after ten minutes a larger packet may be tried again.
constexpr uint64_t kLearnedForNs = 600'000'000'000;

}  // namespace

// The largest outer packet that goes to this peer now; 0: nothing is tunnelled to it.
uint16_t SnapshotBuilder::tunnel_mtu(PeerId peer) const {
  uint16_t mtu = 0;
  for (Family family : {Family::kIpv4, Family::kIpv6}) {
    const auto index = peer_next_hops_.find({peer, family});
    if (index == peer_next_hops_.end()) continue;
    for (uint32_t id : definitions_[index->second].templates) {
      const Template& out = next_.template_of(id);
      if (out.kind == TemplateKind::kTunnel) mtu = std::max(mtu, out.tx_mtu);
    }
  }
  return mtu;
}

void SnapshotBuilder::refresh_peer(PeerId peer) {
  for (Family family : {Family::kIpv4, Family::kIpv6}) {
    const auto index = peer_next_hops_.find({peer, family});
    if (index != peer_next_hops_.end()) refresh(index->second, false);
  }
}

bool SnapshotBuilder::learn_path_mtu(PeerId peer, uint16_t mtu, uint64_t now_ns) {
  if (mtu >= tunnel_mtu(peer)) return false;
  ++change_;
  path_mtus_[peer] = {mtu, now_ns + kLearnedForNs};
  refresh_peer(peer);
  return true;
}

bool SnapshotBuilder::forget_path_mtus(uint64_t now_ns) {
  bool changed = false;
  for (auto at = path_mtus_.begin(); at != path_mtus_.end();) {
    if (at->second.until_ns > now_ns) {
      ++at;
      continue;
    }
    if (!changed) ++change_;
    changed = true;
    const PeerId peer = at->first;
    at = path_mtus_.erase(at);
    refresh_peer(peer);
  }
  return changed;
}

uint16_t SnapshotBuilder::learned_path_mtu(PeerId peer) const {
  const auto found = path_mtus_.find(peer);
  return found != path_mtus_.end() ? found->second.mtu : uint16_t{0};
}

}  // namespace fairlead::core
