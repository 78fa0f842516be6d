#pragma once

#include "tests/model/model.hpp"
#include "tests/model/way.hpp"

#include <optional>
#include <utility>

namespace fairlead::model {

// kube-proxy's contract, as far as it depends on no connection.

struct Addressed {
  const golden::WorldService* service = nullptr;
  golden::WorldFrontend::Kind kind = golden::WorldFrontend::Kind::kClusterIp;
};

// Which Service a packet for this address, port and protocol is for. A ClusterIP always wins.
[[nodiscard]] std::optional<Addressed> addressed(const World& world, int protocol, const Bytes& destination,
                                                 uint16_t port);
// Is this an address of some Service (at whatever port), or in the range that Services get theirs from?
[[nodiscard]] bool is_service_address(const World& world, const Bytes& address);

// Neither a pod (wherever it is) nor one of this node's processes.
[[nodiscard]] bool is_outside(const World& world, const From& from, const IpPacket& packet);

// RFC 9293 3.10.7 for TCP, RFC 792 and RFC 4443 for the rest: nobody is there.
[[nodiscard]] Judgement refuse(const World& world, const From& from, const IpPacket& packet,
                               const std::string& reason);

// Does this node answer to the port as a source of its own: node ports and the tunnel's?
[[nodiscard]] bool is_reserved(const World& world, int protocol, uint16_t port);

}  // namespace fairlead::model
