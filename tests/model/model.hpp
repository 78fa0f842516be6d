#pragma once

#include "tests/golden/frame.hpp"
#include "tests/golden/world.hpp"
#include "tests/model/ip.hpp"
#include "tests/model/nat.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace fairlead::model {

using golden::Bytes;
using golden::World;

// What must become of one packet, according to the RFCs, kube-proxy's contract and the design - written to be
// read, not to be fast, and sharing no header with the dataplane.
struct Judgement {
  enum class Fate { kForward, kAnswer, kPunt, kHold, kDrop } fate = Fate::kDrop;
  uint32_t port = 0;
  std::string reason;   // with kDrop and kAnswer: the name in drop_reasons.def; empty: whichever
  golden::Frame frame;  // with kForward, kAnswer, kPunt: what leaves; bytes that may be anything are masked
};

struct Endpoint {
  Bytes address;
  uint32_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

// RFC 9293 3.3.2 as far as packets on the way show it; kOneWay and kTwoWay for everything but TCP.
enum class State {
  kOneWay,
  kTwoWay,
  kSynSent,
  kSynReceived,
  kOpen,
  kMidstream,
  kFinFromClient,
  kFinFromServer,
  kClosed,
  kReset
};

// A connection that has been let through. `original`: as its first packet arrived; `reply`: as its replies
// arrive.
struct Flow {
  Tuple original, reply;
  uint32_t service = 0;  // 0: none
  Endpoint backend;
  State state = State::kOneWay;
  uint64_t seen = 0;  // second
  // The pod that began it: another one with its address inherits nothing.
  uint32_t endpoint = 0;

  [[nodiscard]] bool is_translated() const { return reply != original.inverse(); }
};

// Where a packet came from, once that is known.
struct From {
  uint32_t port = 0;
  const golden::WorldEndpoint* endpoint = nullptr;  // trunk
  const golden::WorldPeer* peer = nullptr;          // by a tunnel
};

// What a judgement leaves behind when it is the one that was chosen.
struct Memory {
  std::optional<uint64_t> erase;    // a flow
  std::optional<Flow> begin;        // in its place, or a new one
  std::optional<uint64_t> advance;  // a flow has one more packet ...
  bool is_reply = false;            // ... of this direction
  uint8_t tcp_flags = 0;
  bool begins_datagram = false;  // a first fragment: the rest goes the same way
  bool is_fragment = false;      // a later one
  bool ends_datagram = false;    // a first one that goes nowhere
  IpPacket packet;
  From from;
  Tuple leaves_as;
  bool asks_affinity = false;
};

// A datagram of which fragments are underway: as what they leave, and which bytes have come.
struct Datagram {
  Tuple leaves_as;
  std::vector<std::pair<uint32_t, uint32_t>> pieces;
  bool is_refused = false;
  uint64_t since = 0;    // second
  bool is_hazy = false;  // nobody knows what became of its first fragment
  bool went_nowhere = false;

  [[nodiscard]] bool overlaps(const IpPacket& fragment) const;
  void add(const IpPacket& fragment);
};

// One thing that may become of a packet.
struct Allowed {
  Judgement judgement;
  Memory memory;
  // The source is translated to a port (ICMP echo: an id) that is_free(): with_port() makes it one.
  bool chooses_port = false;
  bool tolerated = false;   // not what is wanted, but nothing that is promised breaks by it
  bool any_reason = false;  // a drop, for whatever reason
  bool anything = false;    // neither contract nor design says: not compared
};

// A node through time: its state, the connections it has let through, its clock.
class Model {
 public:
  explicit Model(World world) : world_(std::move(world)) {}

  void change(const World& world);
  void pass(uint32_t seconds);
  [[nodiscard]] const World& world() const { return world_; }
  [[nodiscard]] const std::map<uint64_t, Flow>& flows() const { return flows_; }

  // All that may become of frame `bytes` received on `port`; never empty. Free are the backend (of those that
  // the Service's policies leave, as long as a connection, its client's affinity and repetition have not
  // decided) and a translated source's port.
  [[nodiscard]] std::vector<Allowed> judge(uint32_t port, const Bytes& bytes) const;
  // `one` with its free port chosen.
  [[nodiscard]] Allowed with_port(const Allowed& one, uint16_t port) const;
  // May `one` have this port: in the node's range, not reserved, and no living connection's towards there?
  [[nodiscard]] bool is_free(const Allowed& one, uint16_t port) const;
  // Says which it was.
  void happened(const Allowed& one);
  // Something happened that judge() does not say: nothing is known of this frame's tuple from now on.
  void blur(const Bytes& frame);

 private:
  using Found = std::pair<uint64_t, bool>;  // flow, is a reply

  [[nodiscard]] std::vector<Allowed> decide(const From& from, const IpPacket& packet) const;
  [[nodiscard]] std::vector<Allowed> tunnelled(const Bytes& outer_source, uint8_t outer_class,
                                               const Bytes& udp_payload) const;
  [[nodiscard]] std::vector<Allowed> whole(const From& from, const IpPacket& packet) const;
  [[nodiscard]] std::vector<Allowed> known(const From& from, const IpPacket& packet, Found found) const;
  [[nodiscard]] std::vector<Allowed> first(const From& from, const IpPacket& packet, const Tuple& tuple,
                                           std::optional<uint64_t> instead_of) const;
  [[nodiscard]] std::vector<Allowed> to_service(const From& from, const IpPacket& packet, const Tuple& tuple,
                                                std::optional<uint64_t> instead_of, uint32_t id,
                                                golden::WorldFrontend::Kind kind) const;
  [[nodiscard]] std::vector<Allowed> begin(const From& from, const IpPacket& packet, const Tuple& tuple,
                                           std::optional<uint64_t> instead_of, const Tuple& to,
                                           bool translates_source, uint32_t service) const;
  [[nodiscard]] std::vector<Allowed> untranslatable(const From& from, const IpPacket& packet,
                                                    const Tuple& to) const;
  [[nodiscard]] std::vector<Allowed> collided(const Allowed& as_it_is, uint64_t other) const;
  [[nodiscard]] std::vector<Allowed> error(const From& from, const IpPacket& packet) const;
  [[nodiscard]] std::vector<Allowed> later_fragment(const From& from, const IpPacket& packet) const;
  [[nodiscard]] std::vector<Allowed> untracked(const From& from, const IpPacket& packet) const;

  // `to`: null: nothing is translated. `is_known`: the packet is one of a connection.
  [[nodiscard]] Judgement deliver(const From& from, const IpPacket& packet, const Tuple* to,
                                  bool is_known = false) const;
  [[nodiscard]] Judgement deliver_as(const From& from, const IpPacket& packet, const IpPacket& translated,
                                     bool may_transit, bool is_known = false) const;
  [[nodiscard]] std::optional<Found> find(const Tuple& tuple) const;
  [[nodiscard]] bool is_port_free(Tuple reply, uint16_t port, std::optional<uint64_t> but) const;
  [[nodiscard]] bool is_any_port_free(const Tuple& reply, std::optional<uint64_t> but) const;
  void forget(uint64_t id);
  [[nodiscard]] bool translates() const;
  [[nodiscard]] bool is_snat_port(const IpPacket& packet) const;
  [[nodiscard]] static std::tuple<Bytes, Bytes, int, uint32_t> datagram_of(const IpPacket& packet);
  [[nodiscard]] bool leaves_cluster(const From& from, const Bytes& destination) const;

  World world_;
  uint64_t now_ = 0;
  uint64_t next_ = 1;
  std::map<uint64_t, Flow> flows_;
  std::map<Tuple, Found> by_tuple_;
  // Which backend a client of a Service with affinity had last, and when.
  std::map<std::pair<uint32_t, Bytes>, std::pair<Endpoint, uint64_t>> affinity_;
  // Consistent hashing: what was once chosen for a tuple is chosen again as long as the Service is the same.
  std::map<std::pair<uint32_t, Tuple>, Endpoint> choices_;
  // By addresses, protocol and id: where the rest of a datagram goes.
  std::map<std::tuple<Bytes, Bytes, int, uint32_t>, Datagram> datagrams_;
  // Tuples of which there may or may not be a connection.
  std::set<Tuple> hazy_;
};

}  // namespace fairlead::model
