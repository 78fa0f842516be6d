// What becomes of a packet whose sender is known and may send it.
#include "tests/model/model.hpp"

#include "tests/model/services.hpp"
#include "tests/model/way.hpp"

#include <algorithm>

namespace fairlead::model {
namespace {

using golden::kHostPort;
using golden::kUplinkPort;
using golden::WorldBackend;
using golden::WorldFrontend;
using golden::WorldService;

using Fate = Judgement::Fate;

Allowed plainly(const Judgement& judgement) {
  Allowed one;
  one.judgement = judgement;
  return one;
}

// A drop for whatever reason, for instance this one.
Allowed dropped(const std::string& reason) {
  Allowed one = plainly(drop(reason));
  one.any_reason = true;
  return one;
}

Allowed tolerated(Allowed one) {
  one.tolerated = true;
  return one;
}

Allowed whatever() {
  Allowed one;
  one.anything = true;
  return one;
}

uint8_t tcp_flags(const IpPacket& packet) {
  return packet.protocol == 6 && !packet.later_fragment ? packet.bytes[packet.header_length + 13]
                                                        : uint8_t{0};
}

// May this packet begin a connection? RST and FIN end one, and SYN with FIN is nothing; nor does an echo
// reply that nobody asked for.
bool begins(const IpPacket& packet) {
  if (packet.protocol == 1 || packet.protocol == 58)
    return packet.later_fragment || packet.icmp_type != (packet.version == 4 ? 0 : 129);
  if (packet.protocol != 6) return true;
  const uint8_t flags = tcp_flags(packet);
  const bool syn = (flags & 2) != 0, fin = (flags & 1) != 0, rst = (flags & 4) != 0, ack = (flags & 16) != 0;
  return !rst && !fin && (syn || ack);
}

// The connection's backend, as the Service lists it that answers for what the client addressed. A stream may
// outlive the frontend it came by.
const WorldBackend* listed(const World& world, const Flow& flow) {
  const Tuple& to = flow.original;
  const auto now = addressed(world, to.protocol, to.destination, to.destination_port);
  const auto named = world.services.find(flow.service);
  const bool stream = to.protocol != 17 && named != world.services.end();
  const WorldService* service = now ? now->service : stream ? &named->second : nullptr;
  if (service == nullptr) return nullptr;
  for (const WorldBackend& one : service->backends) {
    if (Endpoint{one.address, one.port} == flow.backend) return &one;
  }
  return nullptr;
}

// What packets of one direction become.
Tuple translated(const Flow& flow, bool is_reply) {
  return is_reply ? flow.original.inverse() : flow.reply.inverse();
}

}  // namespace

// Is this for a port that only translated sources have?
bool Model::is_snat_port(const IpPacket& packet) const {
  const bool has_ports = packet.protocol == 6 || packet.protocol == 17 || packet.protocol == 132;
  return has_ports && !packet.later_fragment &&
         packet.destination == (packet.version == 4 ? world_.masquerade4 : world_.masquerade6) &&
         packet.destination_port >= world_.snat_first && packet.destination_port <= world_.snat_last;
}

// Routing, TTL and MTU of `packet`, which leaves as `translated`.
Judgement Model::deliver_as(const From& from, const IpPacket& packet, const IpPacket& translated,
                            bool may_transit, bool is_known) const {
  const bool from_uplink = from.port == kUplinkPort;
  if (is_multicast(translated.destination) || is_martian(translated.destination))
    return drop("MARTIAN_DESTINATION");
  const Way way = way_to(world_, translated.destination);
  if (may_transit && from.port != kHostPort && is_tunnel_to_a_node(world_, translated))
    return drop("TUNNEL_FROM_POD");
  if (way.kind == Way::Kind::kHost) {
    if (from.port == kHostPort) return drop("HAIRPIN");
    // What translated connections come back to belongs to nobody else, least to the node's stack, which
    // would answer with a reset - unless it has sent from there itself, and this is the answer.
    return !may_transit && !is_known && is_snat_port(packet) ? drop("NO_FLOW") : punt(world_, translated);
  }
  // RFC 3927 2.7, RFC 4291 2.5.6: not beyond the link.
  if (is_link_local(translated.destination)) return drop("MARTIAN_DESTINATION");
  if (is_link_local(translated.source)) return drop("MARTIAN_SOURCE");
  if (way.kind == Way::Kind::kBlackhole) return answer(world_, from, packet, "NO_ENDPOINT", {3, 1, 1, 3});
  if (from_uplink && way.kind != Way::Kind::kEndpoint && !may_transit) return drop("NO_ROUTE");
  if (way.kind == Way::Kind::kNone) {
    return from_uplink ? drop("NO_ROUTE") : answer(world_, from, packet, "NO_ROUTE", {3, 0, 1, 0});
  }
  const bool to_itself = way.kind == Way::Kind::kEndpoint && way.endpoint == from.endpoint;
  if (to_itself && packet.source == translated.source) return drop("HAIRPIN");
  if (packet.ttl <= 1) return answer(world_, from, packet, "TTL_EXCEEDED", {11, 0, 3, 0});
  const size_t mtu = way.kind == Way::Kind::kHold ? 0 : mtu_of(world_, way);
  if (mtu != 0 && packet.bytes.size() > mtu && packet.dont_fragment)
    return answer(world_, from, packet, "TOO_BIG", {3, 4, 2, 0, static_cast<uint32_t>(mtu)});
  if (way.kind == Way::Kind::kHold) return {Fate::kHold, kUplinkPort, "", {}};
  IpPacket leaving = translated;
  decrement_ttl(leaving.bytes);
  return send(world_, way, leaving, Fate::kForward, "");
}

Judgement Model::deliver(const From& from, const IpPacket& packet, const Tuple* to, bool is_known) const {
  if (to == nullptr) return deliver_as(from, packet, packet, false, is_known);
  IpPacket leaving = packet;
  rewrite(leaving, *to);
  return deliver_as(from, packet, leaving, true);
}

std::vector<Allowed> Model::decide(const From& from, const IpPacket& packet) const {
  if (is_multicast(packet.destination)) return {plainly(drop("MULTICAST"))};
  if (is_martian(packet.destination)) return {plainly(drop("MARTIAN_DESTINATION"))};
  if (packet.later_fragment) return later_fragment(from, packet);
  if (packet.more_fragments && translates()) {
    const auto known = datagrams_.find(datagram_of(packet));
    if (known != datagrams_.end()) return {plainly(drop("FRAGMENT_OVERLAP"))};
  }
  std::vector<Allowed> allowed = whole(from, packet);
  if (!packet.more_fragments) return allowed;
  // The rest of a datagram whose first fragment went nowhere goes nowhere.
  for (Allowed& one : allowed) {
    const bool sent = one.judgement.fate == Fate::kForward || one.judgement.fate == Fate::kPunt;
    if (sent || one.anything) continue;
    one.memory.begins_datagram = one.memory.ends_datagram = true;
    one.memory.packet = packet;
  }
  return allowed;
}

// A packet that shows its transport header.
std::vector<Allowed> Model::whole(const From& from, const IpPacket& packet) const {
  if (is_icmp_error(packet)) return error(from, packet);
  const std::optional<Tuple> tuple = tuple_of(packet);
  if (!tuple) return untracked(from, packet);
  if (const std::optional<Found> found = find(*tuple)) return known(from, packet, *found);
  const bool is_hazy = hazy_.contains(*tuple) || hazy_.contains(tuple->inverse());
  if (is_hazy && (!world_.services.empty() || leaves_cluster(from, packet.destination))) return {whatever()};
  return first(from, packet, *tuple, std::nullopt);
}

// A packet of a connection that is there.
std::vector<Allowed> Model::known(const From& from, const IpPacket& packet, Found found) const {
  const auto& [id, is_reply] = found;
  const Flow& flow = flows_.at(id);
  const Tuple tuple = is_reply ? flow.reply : flow.original;
  const uint8_t flags = tcp_flags(packet);
  // RFC 9293 3.6.1, RFC 6056: a tuple is used again after its connection is over.
  const bool is_syn = packet.protocol == 6 && (flags & 0x17) == 0x02;
  const bool is_over =
      flow.state == State::kClosed || flow.state == State::kReset || flow.state == State::kMidstream;
  if (is_syn && is_over) return first(from, packet, tuple, id);
  if (from.endpoint != nullptr && !is_reply && flow.endpoint != from.endpoint->id) {
    // Another pod with the address: it inherits nothing.
    return first(from, packet, tuple, id);
  }
  const WorldBackend* backend = listed(world_, flow);
  const bool stays = flow.service == 0 || (backend != nullptr && (backend->serving || packet.protocol != 17));
  std::vector<Allowed> allowed;
  if (!stays && !is_reply) {
    if (packet.protocol == 17 || is_syn) return first(from, packet, tuple, id);
    allowed = {plainly(refuse(world_, from, packet, "BACKEND_GONE"))};
    // RFC 9260 5.2: an association that begins anew does not look different from here.
    if (packet.protocol == 132) {
      for (const Allowed& one : first(from, packet, tuple, id)) allowed.push_back(tolerated(one));
    }
    return allowed;
  }
  // A datagram flow from before there was the Service that its destination now is.
  if (flow.service == 0 && !is_reply && packet.protocol == 17 &&
      addressed(world_, packet.protocol, packet.destination, packet.destination_port)) {
    return first(from, packet, tuple, id);
  }
  const Tuple to = translated(flow, is_reply);
  if (packet.protocol == 132 && packet.more_fragments && flow.is_translated())
    return untranslatable(from, packet, to);
  if (is_reply && flow.is_translated() && flow.endpoint != 0) {
    const Way back = way_to(world_, to.destination);
    if (back.kind == Way::Kind::kEndpoint && back.endpoint->id != flow.endpoint) {
      Allowed over = dropped("NO_FLOW");
      over.memory.erase = id;
      // Where the backend is gone as well, that may be noticed first, and the connection be left to its time.
      if (!stays) allowed.push_back(tolerated(plainly(drop("BACKEND_GONE"))));
      allowed.push_back(over);
      // It may be told first that it could not be sent at all.
      const Judgement sent = deliver(from, packet, &to);
      if (sent.fate != Fate::kForward) allowed.push_back(tolerated(plainly(sent)));
      return allowed;
    }
  }
  Allowed one = plainly(deliver(from, packet, flow.is_translated() ? &to : nullptr, true));
  const bool sent = one.judgement.fate == Fate::kForward || one.judgement.fate == Fate::kPunt;
  if (sent) one.memory.advance = id;
  one.memory.is_reply = is_reply;
  one.memory.tcp_flags = flags;
  one.memory.begins_datagram = packet.more_fragments;
  one.memory.packet = packet;
  one.memory.from = from;
  one.memory.leaves_as = to;
  allowed.push_back(one);
  // Whether a backend that is gone may still finish its sentence is left open; not that it speaks for itself.
  if (!stays) allowed.push_back(tolerated(dropped("BACKEND_GONE")));
  // A frontend that is withdrawn, or that only now is one, may end its connections or not.
  const auto now =
      addressed(world_, tuple.protocol, flow.original.destination, flow.original.destination_port);
  const bool fits = (flow.service != 0) == now.has_value();
  if (!fits && packet.protocol != 1 && packet.protocol != 58 && !is_reply)
    allowed.push_back(tolerated(plainly(refuse(world_, from, packet, "BACKEND_GONE"))));
  return allowed;
}

// Would a packet from here to there leave the cluster?
bool Model::leaves_cluster(const From& from, const Bytes& destination) const {
  const bool is4 = destination.size() == 4;
  if (from.endpoint == nullptr || (is4 ? world_.masquerade4 : world_.masquerade6).empty()) return false;
  if (is_in(world_.cluster_pods, destination) || is_in(world_.no_masquerade, destination) ||
      is_own(world_, destination) || peer_with_vtep(world_, destination) != nullptr ||
      is_link_local(destination)) {
    return false;
  }
  const Way way = way_to(world_, destination);
  return way.kind == Way::Kind::kLink || way.kind == Way::Kind::kHold;
}

// A packet that belongs to no connection (any more).
std::vector<Allowed> Model::first(const From& from, const IpPacket& packet, const Tuple& tuple,
                                  std::optional<uint64_t> instead_of) const {
  if (const auto one = addressed(world_, tuple.protocol, tuple.destination, packet.destination_port);
      one && tuple.protocol != 1 && tuple.protocol != 58) {
    return to_service(from, packet, tuple, instead_of, one->service->id, one->kind);
  }
  if (is_service_address(world_, tuple.destination)) return untracked(from, packet);
  return begin(from, packet, tuple, instead_of, tuple, leaves_cluster(from, tuple.destination), 0);
}

std::vector<Allowed> Model::to_service(const From& from, const IpPacket& packet, const Tuple& tuple,
                                       std::optional<uint64_t> instead_of, uint32_t id,
                                       WorldFrontend::Kind kind) const {
  const WorldService& service = world_.services.at(id);
  const bool outside = is_outside(world_, from, packet);
  const bool internal = kind == WorldFrontend::Kind::kClusterIp;
  if (is_link_local(packet.source)) return {whatever()};
  if (outside && internal) return {plainly(drop("CLUSTER_IP_FROM_OUTSIDE"))};
  if (outside && kind == WorldFrontend::Kind::kLoadBalancer && !service.source_ranges.empty() &&
      !is_in(service.source_ranges, packet.source)) {
    return {plainly(drop("SOURCE_RANGE"))};
  }
  const bool local_only = internal ? service.internal_local : service.external_local && outside;
  std::vector<const WorldBackend*> choice;
  bool any = false;
  for (const WorldBackend& one : service.backends) {
    any |= one.in_cluster;
    if (local_only ? one.in_local : one.in_cluster) choice.push_back(&one);
  }
  if (choice.empty()) {
    return {plainly(any ? drop("NO_LOCAL_BACKEND") : refuse(world_, from, packet, "NO_BACKEND"))};
  }
  const auto keep = [&](const Endpoint& wanted) {
    const auto found = std::find_if(choice.begin(), choice.end(), [&](const WorldBackend* one) {
      return Endpoint{one->address, one->port} == wanted;
    });
    if (found != choice.end()) choice = {*found};
  };
  if (service.affinity_seconds != 0) {
    const auto last = affinity_.find({id, packet.source});
    if (last != affinity_.end() && now_ - last->second.second < service.affinity_seconds)
      keep(last->second.first);
  } else if (const auto before = choices_.find({id, tuple}); before != choices_.end()) {
    keep(before->second);
  }
  std::vector<Allowed> allowed;
  for (const WorldBackend* backend : choice) {
    Tuple to = tuple;
    to.destination = backend->address;
    to.destination_port = static_cast<uint16_t>(backend->port);
    // Replies must come back this way: backend and client are elsewhere (the answer would go past this node;
    // to its own processes past the forwarder), or the backend is the client itself.
    const bool is_client = backend->address == packet.source;
    const bool returns = (!backend->local && from.endpoint == nullptr) || is_client;
    if (from.port == kHostPort && is_own(world_, backend->address)) {
      allowed.push_back(whatever());
      continue;
    }
    for (const Allowed& one :
         begin(from, packet, tuple, instead_of, to, returns || leaves_cluster(from, backend->address), id)) {
      allowed.push_back(one);
    }
  }
  return allowed;
}

bool Model::is_port_free(Tuple reply, uint16_t port, std::optional<uint64_t> but) const {
  if (port < world_.snat_first || port > world_.snat_last || is_reserved(world_, reply.protocol, port))
    return false;
  reply.destination_port = port;
  const auto taken = by_tuple_.find(reply);
  return taken == by_tuple_.end() || (but && taken->second.first == *but);
}

bool Model::is_any_port_free(const Tuple& reply, std::optional<uint64_t> but) const {
  for (uint32_t port = world_.snat_first; port <= world_.snat_last; ++port) {
    if (is_port_free(reply, static_cast<uint16_t>(port), but)) return true;
  }
  return false;
}

// A part of what has one checksum over all of it. It may be told first that it could not be sent at all.
std::vector<Allowed> Model::untranslatable(const From& from, const IpPacket& packet, const Tuple& to) const {
  std::vector<Allowed> allowed{plainly(drop("UNTRANSLATABLE"))};
  const Judgement sent = deliver(from, packet, &to);
  if (sent.fate != Fate::kForward && sent.fate != Fate::kPunt) allowed.push_back(tolerated(plainly(sent)));
  return allowed;
}

// The first packet of a connection, which leaves as `to`.
std::vector<Allowed> Model::begin(const From& from, const IpPacket& packet, const Tuple& tuple,
                                  std::optional<uint64_t> instead_of, const Tuple& to, bool translates_source,
                                  uint32_t service) const {
  const bool is4 = packet.version == 4;
  const Bytes& own = is4 ? world_.masquerade4 : world_.masquerade6;
  const bool is_translated = translates_source || to != tuple;
  if (translates_source && own.empty()) return {whatever()};
  if (is_translated && packet.protocol == 132 && packet.more_fragments)
    return untranslatable(from, packet, to);
  Allowed one;
  one.memory.erase = instead_of;
  Flow flow;
  flow.original = tuple;
  flow.reply = to.inverse();
  flow.service = service;
  flow.backend = {to.destination, to.destination_port};
  flow.endpoint = from.endpoint != nullptr ? from.endpoint->id : 0;
  if (packet.protocol == 6) flow.state = (tcp_flags(packet) & 16) != 0 ? State::kMidstream : State::kSynSent;
  one.memory.begin = flow;
  one.memory.begins_datagram = packet.more_fragments;
  one.memory.packet = packet;
  one.memory.from = from;
  one.memory.leaves_as = to;
  one.memory.asks_affinity = service != 0;
  if (translates_source) {
    one.memory.leaves_as.source = own;
    one.memory.begin->reply = one.memory.leaves_as.inverse();
    one.judgement = deliver(from, packet, &one.memory.leaves_as);
    if (one.judgement.fate != Fate::kForward && one.judgement.fate != Fate::kPunt)
      return {plainly(one.judgement)};  // what cannot be sent needs no port
    // RST and FIN of a connection that nobody knows: never with an address that must not be seen.
    if (!begins(packet)) return {dropped("NO_FLOW")};
    if (!is_any_port_free(one.memory.begin->reply, instead_of)) return {plainly(drop("SNAT_EXHAUSTED"))};
    one.chooses_port = true;
    return {one};
  }
  if (is_translated && (hazy_.contains(to) || hazy_.contains(to.inverse()))) return {whatever()};
  const auto taken = by_tuple_.find(to.inverse());
  if (taken != by_tuple_.end() && !(instead_of && taken->second.first == *instead_of)) {
    if (is_translated) return collided(one, taken->second.first);
    // An untranslated packet the other way round of a translated connection's: whose its answers are cannot
    // be told.
    if (flows_.at(taken->second.first).is_translated()) return {whatever()};
  }
  one.judgement = deliver(from, packet, is_translated ? &to : nullptr);
  const bool sent = one.judgement.fate == Fate::kForward || one.judgement.fate == Fate::kPunt;
  if (!sent) {
    one.memory = {};
  } else if (!begins(packet)) {
    one.memory.begin.reset();
    one.memory.asks_affinity = false;
    if (is_translated) return {dropped("NO_FLOW"), tolerated(one)};
  }
  return {one};
}

// The client speaks to this backend from this port already, directly or by another frontend. A source port of
// its own at its own address tells the two apart; a connection of which only one side has been heard may also
// have to go.
std::vector<Allowed> Model::collided(const Allowed& as_it_is, uint64_t other) const {
  if (as_it_is.memory.erase || !begins(as_it_is.memory.packet)) return {whatever()};
  Allowed own_port = as_it_is;
  const Memory& memory = own_port.memory;
  own_port.judgement = deliver(memory.from, memory.packet, &memory.leaves_as);
  if (own_port.judgement.fate != Fate::kForward && own_port.judgement.fate != Fate::kPunt)
    return {plainly(own_port.judgement)};
  own_port.chooses_port = true;
  Allowed instead = as_it_is;
  instead.judgement = own_port.judgement;
  instead.memory.erase = other;
  return {own_port, tolerated(instead)};
}

// An ICMP error: about a packet of a connection it follows that packet's opposite direction.
std::vector<Allowed> Model::error(const From& from, const IpPacket& packet) const {
  const std::optional<Tuple> quoted = quoted_tuple(packet);
  const std::optional<Found> found = quoted ? find(quoted->inverse()) : std::nullopt;
  if (quoted && (hazy_.contains(*quoted) || hazy_.contains(quoted->inverse()))) return {whatever()};
  if (!found || !flows_.at(found->first).is_translated()) return untracked(from, packet);
  if (packet.more_fragments) return {whatever()};
  const Flow& flow = flows_.at(found->first);
  const Tuple arrives = found->second ? flow.reply : flow.original;
  const Tuple leaves = translated(flow, found->second);
  if (packet.destination != arrives.destination) return {whatever()};
  // The end's own address is translated as in its packets; a router's between stays (RFC 5508 REQ-4), unless
  // it would have to travel as a packet of this node's.
  const bool from_end = packet.source == arrives.source;
  const bool speaks_as_us = !found->second && leaves.source != arrives.source;
  std::vector<Bytes> sources{from_end || speaks_as_us ? leaves.source : packet.source};
  if (sources[0] != leaves.source) sources.push_back(leaves.source);
  std::vector<Allowed> allowed;
  for (const Bytes& source : sources) {
    IpPacket leaving = packet;
    rewrite_error(leaving, source, leaves.destination, leaves.inverse());
    allowed.push_back(plainly(deliver_as(from, packet, leaving, true)));
    allowed.back().tolerated = allowed.size() > 1;
  }
  if (listed(world_, flow) == nullptr && flow.service != 0)
    allowed.push_back(tolerated(dropped("BACKEND_GONE")));
  return allowed;
}

// Does this node translate at all? Otherwise a fragment is a packet like any other.
bool Model::translates() const {
  return !world_.services.empty() || !world_.masquerade4.empty() || !world_.masquerade6.empty();
}

// Nothing that is not known to belong to a datagram whose first fragment has shown its ports: it might be a
// part of what must be translated. RFC 5722, RFC 8200 4.5: no overlaps.
std::vector<Allowed> Model::later_fragment(const From& from, const IpPacket& packet) const {
  if (!translates()) return {plainly(deliver(from, packet, nullptr))};
  const auto known = datagrams_.find(datagram_of(packet));
  if (known == datagrams_.end()) return {plainly(drop("FRAGMENT_UNKNOWN"))};
  if (known->second.is_hazy) return {whatever()};
  if (known->second.went_nowhere) return {dropped("FRAGMENT_UNKNOWN")};
  if (known->second.overlaps(packet)) {
    Allowed one = plainly(drop("FRAGMENT_OVERLAP"));
    one.memory.packet = packet;
    one.memory.is_fragment = true;
    return {one};
  }
  const Tuple& to = known->second.leaves_as;
  const bool is_translated = to.source != packet.source || to.destination != packet.destination;
  Allowed one = plainly(deliver(from, packet, is_translated ? &to : nullptr));
  one.memory.packet = packet;
  one.memory.is_fragment = true;
  return {one};
}

// Without ports, or for an address where nothing listens.
std::vector<Allowed> Model::untracked(const From& from, const IpPacket& packet) const {
  if (is_service_address(world_, packet.destination)) {
    if (is_link_local(packet.source)) return {whatever()};
    if (is_icmp_error(packet)) return {dropped("NO_SERVICE")};  // about nothing that was sent from there
    // Outsiders are told nothing about the cluster's own range.
    if (is_outside(world_, from, packet) && is_in(world_.cluster_services, packet.destination))
      return {plainly(drop("CLUSTER_IP_FROM_OUTSIDE"))};
    return {plainly(refuse(world_, from, packet, "NO_SERVICE"))};
  }
  if (leaves_cluster(from, packet.destination)) {
    const Judgement sent = deliver(from, packet, nullptr);
    if (sent.fate != Fate::kForward && sent.fate != Fate::kHold) return {plainly(sent)};
    std::vector<Allowed> allowed{dropped("UNTRANSLATABLE")};
    if (sent.fate == Fate::kHold) allowed.push_back(tolerated(plainly(sent)));
    return allowed;
  }
  return {plainly(deliver(from, packet, nullptr))};
}

}  // namespace fairlead::model
