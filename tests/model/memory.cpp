// What the model remembers: connections, affinity, datagrams, time.
#include "tests/model/model.hpp"
#include "tests/model/services.hpp"
#include "tests/model/way.hpp"

#include <algorithm>
#include <tuple>

namespace fairlead::model {
namespace {

bool same(const golden::WorldService& one, const golden::WorldService& other) {
  const auto backends = [](const golden::WorldService& service) {
    std::vector<std::tuple<Bytes, uint32_t, bool, bool, bool>> all;
    for (const auto& backend : service.backends)
      all.emplace_back(backend.address, backend.port, backend.local, backend.in_cluster, backend.in_local);
    return all;
  };
  return backends(one) == backends(other) && one.internal_local == other.internal_local &&
         one.external_local == other.external_local && one.affinity_seconds == other.affinity_seconds;
}

// RFC 9293 3.3.2; packets that fit nowhere change nothing (RFC 5961).
State tcp_next(State state, bool is_reply, uint8_t flags) {
  const bool syn = (flags & 2) != 0, fin = (flags & 1) != 0, rst = (flags & 4) != 0, ack = (flags & 16) != 0;
  if (rst) return State::kReset;
  if (syn && fin) return state;
  if (syn && !ack) return state == State::kSynSent && is_reply ? State::kSynReceived : state;
  if (state == State::kClosed || state == State::kReset || !ack) return state;
  if (state == State::kSynSent) return is_reply && syn ? State::kSynReceived : state;
  if (fin && !syn) {
    if (state == State::kFinFromClient) return is_reply ? State::kClosed : state;
    if (state == State::kFinFromServer) return is_reply ? state : State::kClosed;
    return is_reply ? State::kFinFromServer : State::kFinFromClient;
  }
  if (state == State::kSynReceived) return is_reply ? state : State::kOpen;
  if (state == State::kMidstream) return is_reply ? State::kOpen : state;
  return state;
}

// Idle seconds that a connection may rely on.
uint32_t timeout_of(const Flow& flow) {
  switch (flow.state) {
    case State::kSynSent:
      return 10;
    case State::kSynReceived:
      return 30;
    case State::kOpen:
      return 21600;
    case State::kMidstream:
      return 60;
    case State::kFinFromClient:
    case State::kFinFromServer:
      return 3600;
    case State::kClosed:
      return 20;
    case State::kReset:
      return 10;
    case State::kOneWay:
      return flow.original.protocol == 17 ? 30 : 10;
    case State::kTwoWay:
      break;
  }
  const int protocol = flow.original.protocol;
  return protocol == 17 ? 180 : protocol == 132 ? 3600 : 60;
}

constexpr uint32_t kDatagramSeconds = 30;

}  // namespace

// RFC 8200 4.5: IPv6 datagrams are told apart by addresses and id alone.
std::tuple<Bytes, Bytes, int, uint32_t> Model::datagram_of(const IpPacket& packet) {
  return {packet.source, packet.destination, packet.version == 4 ? packet.protocol : 0, packet.fragment_id};
}

bool Datagram::overlaps(const IpPacket& fragment) const {
  const uint32_t begin = fragment.fragment_offset;
  const auto end = static_cast<uint32_t>(begin + fragment.bytes.size() - fragment.header_length);
  return is_refused || std::any_of(pieces.begin(), pieces.end(), [&](const auto& piece) {
           return piece.first < end && begin < piece.second;
         });
}

void Datagram::add(const IpPacket& fragment) {
  const uint32_t begin = fragment.fragment_offset;
  const auto end = static_cast<uint32_t>(begin + fragment.bytes.size() - fragment.header_length);
  for (const auto& [from, to] : pieces) {
    // A repetition is refused alone, a real overlap with its whole datagram.
    if (from < end && begin < to && !(begin >= from && end <= to)) is_refused = true;
  }
  if (!overlaps(fragment)) pieces.emplace_back(begin, end);
}

void Model::change(const World& world) {
  std::erase_if(choices_, [&](const auto& one) {
    const auto before = world_.services.find(one.first.first);
    const auto after = world.services.find(one.first.first);
    return before == world_.services.end() || after == world.services.end() ||
           !same(before->second, after->second);
  });
  world_ = world;
}

void Model::pass(uint32_t seconds) {
  now_ += seconds;
  std::erase_if(flows_, [&](const auto& one) {
    const Flow& flow = one.second;
    if (now_ - flow.seen <= timeout_of(flow)) return false;
    by_tuple_.erase(flow.original);
    by_tuple_.erase(flow.reply);
    return true;
  });
  std::erase_if(datagrams_, [&](const auto& one) { return now_ - one.second.since > kDatagramSeconds; });
  if (seconds > kDatagramSeconds) hazy_.clear();
}

std::optional<Model::Found> Model::find(const Tuple& tuple) const {
  const auto found = by_tuple_.find(tuple);
  if (found == by_tuple_.end()) return std::nullopt;
  return found->second;
}

Allowed Model::with_port(const Allowed& one, uint16_t port) const {
  Allowed made = one;
  made.chooses_port = false;
  made.memory.begin->reply.destination_port = port;
  made.memory.leaves_as.source_port = port;
  made.judgement = deliver(made.memory.from, made.memory.packet, &made.memory.leaves_as);
  return made;
}

bool Model::is_free(const Allowed& one, uint16_t port) const {
  return is_port_free(one.memory.begin->reply, port, one.memory.erase);
}

void Model::forget(uint64_t id) {
  const auto flow = flows_.find(id);
  by_tuple_.erase(flow->second.original);
  by_tuple_.erase(flow->second.reply);
  flows_.erase(flow);
}

void Model::blur(const Bytes& frame) {
  const auto read_frame = [](const Bytes& bytes) {
    if (bytes.size() < 14) return Read{};
    return read_ip(static_cast<uint16_t>(bytes[12] << 8 | bytes[13]), Bytes(bytes.begin() + 14, bytes.end()));
  };
  Read read = read_frame(frame);
  if (read.packet && read.packet->protocol == 17 && read.packet->destination_port == world_.tunnel_port) {
    const Bytes& outer = read.packet->bytes;
    const size_t tunnel = read.packet->header_length + 8;
    const size_t options = world_.geneve && outer.size() > tunnel ? (outer[tunnel] & 0x3fu) * 4 : 0;
    const size_t inner = tunnel + 8 + options;
    if (inner < outer.size())
      read = read_frame(Bytes(outer.begin() + static_cast<std::ptrdiff_t>(inner), outer.end()));
  }
  if (!read.packet) return;
  if (const std::optional<Tuple> tuple = tuple_of(*read.packet)) {
    hazy_.insert(*tuple);
    const auto to = addressed(world_, tuple->protocol, tuple->destination, tuple->destination_port);
    if (to) affinity_.erase({to->service->id, tuple->source});
    for (const Tuple& one : {*tuple, tuple->inverse()}) {
      const std::optional<Found> found = find(one);
      if (!found) continue;
      const Flow& flow = flows_.at(found->first);
      hazy_.insert(flow.original);
      hazy_.insert(flow.reply);  // of these nothing is known, either
      forget(found->first);
    }
  }
  if (read.packet->more_fragments) datagrams_[datagram_of(*read.packet)] = {{}, {}, false, now_, true, false};
}

void Model::happened(const Allowed& one) {
  const Memory& memory = one.memory;
  if (memory.erase) forget(*memory.erase);
  if (memory.begin) {
    Flow flow = *memory.begin;
    flow.seen = now_;
    if (memory.begins_datagram && !flow.is_translated()) {
      hazy_.insert(flow.original);
    } else {
      const uint64_t id = next_++;
      by_tuple_[flow.original] = {id, false};
      by_tuple_[flow.reply] = {id, true};
      flows_[id] = flow;
    }
    if (memory.asks_affinity) {
      affinity_[{flow.service, flow.original.source}] = {flow.backend, now_};
      choices_[{flow.service, flow.original}] = flow.backend;
    }
  }
  if (memory.advance) {
    Flow& flow = flows_.at(*memory.advance);
    flow.seen = now_;
    if (flow.original.protocol == 6) {
      flow.state = tcp_next(flow.state, memory.is_reply, memory.tcp_flags);
    } else if (memory.is_reply) {
      flow.state = State::kTwoWay;
    }
  }
  if (memory.begins_datagram || memory.is_fragment) {
    Datagram& datagram = datagrams_[datagram_of(memory.packet)];
    if (memory.begins_datagram) {
      datagram.leaves_as = memory.leaves_as;
      datagram.since = now_;
      datagram.went_nowhere = memory.ends_datagram;
    }
    datagram.add(memory.packet);
  }
}

}  // namespace fairlead::model
