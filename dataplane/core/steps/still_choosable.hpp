#pragma once

#include "dataplane/core/steps/translate.hpp"
#include "dataplane/core/walk.hpp"

#include <cstring>

namespace fairlead::core::steps {

// A connection that exists, as it was sent and to whom it goes. Of an untranslated one both are the same.
struct FlowEnds {
  uint8_t ip_version = 4;
  uint8_t protocol = 0;
  ip_address client{};
  ip_address frontend{};  // original destination
  ip_address backend{};   // source of the replies
  be16 client_port{}, frontend_port{}, backend_port{};

  [[nodiscard]] bool is_translated() const {
    return !(frontend == backend) || !(frontend_port == backend_port);
  }
};

// The ends of entry `id`.
template <typename Table>
[[nodiscard]] inline FlowEnds ends_of(const Table& table, FlowId id, bool translated) {
  const auto key = table.target_of(id, Direction::kReply);
  const Translation original = reverse_of(key, table.is_target_swapped(id, Direction::kReply));
  FlowEnds ends;
  ends.ip_version = sizeof(key) == sizeof(flow_key4) ? 4 : 6;
  ends.protocol = key.protocol;
  ends.client = original.destination;
  ends.client_port = original.destination_port;
  ends.frontend = ends.backend = original.source;
  ends.frontend_port = ends.backend_port = original.source_port;
  if (!translated) return ends;
  const Translation reply = reverse_of(table.target_of(id, Direction::kOriginal),
                                       table.is_target_swapped(id, Direction::kOriginal));
  ends.backend = reply.destination;
  ends.backend_port = reply.destination_port;
  return ends;
}

// May the connection's next packets go on to this backend (or, untranslated, past every Service)?
//
// Asked when an entry's templates have moved on and when control reconciles entries with the Services of a
// new state; no packet that an entry decides comes here. A stream (TCP, SCTP) may stay while its backend is
// listed at all, so that it can end in peace; a datagram flow only while the backend serves. Which list new
// connections choose from does not matter, nor what the client may address by now.
//
// `choice`: which Service and backend it is (service, kind, backend; the rest is left alone), when translated
// and true. Reads: snapshot.frontends
[[nodiscard]] bool still_choosable(const Snapshot& snapshot, const FlowEnds& ends, ServiceChoice* choice);

// The same for a Service that is known. `index`: the backend's, ServiceView::kNone where it is not listed.
[[nodiscard]] bool still_choosable(const ServiceView& view, const ip_address& backend, be16 port,
                                   uint32_t* index);

}  // namespace fairlead::core::steps
