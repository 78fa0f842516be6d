#pragma once

#include "dataplane/core/service.hpp"
#include "dataplane/packet/parsed.h"

#include <cstdint>

namespace fairlead::core {

// What becomes of a packet's addresses, in the direction `original` of its connection: decided by the steps
// `service` and `masquerade`, completed by `commit` (which finds the source port), written by `apply`.
struct Translation {
  bool translates_destination = false;
  bool translates_source = false;
  be16 destination_port{};   // translates_destination
  be16 source_port{};        // translates_source; 0 until commit has found one (ICMP echo: the id)
  ip_address destination{};  // as in struct parsed
  ip_address source{};

  [[nodiscard]] bool any() const { return translates_destination || translates_source; }
};

// What a client's affinity shall be once its connection goes (AffinityTable::hold()).
struct AffinityMark {
  uint64_t key = 0;
  uint32_t found = 0;            // what it was
  uint32_t backend = 0;          // ServiceView::id() of the one chosen
  uint32_t timeout_seconds = 0;  // 0: the Service keeps none
};

// Which Service decided, for counters, trace and the entry's later packets.
struct ServiceChoice {
  ServiceId service = 0;      // 0: no frontend of any Service was addressed
  uint32_t backend = 0;       // index into Service::backends
  bool needs_return = false;  // replies must come back through this node: from outside to a backend
                              // elsewhere, or the backend is the client itself
  FrontendKind kind = FrontendKind::kClusterIp;  // what was addressed
  bool is_local_only = false;                    // the traffic policy asks for local backends
  bool by_affinity = false;                      // the client's last backend, not a new choice
  AffinityMark affinity;
};

}  // namespace fairlead::core
