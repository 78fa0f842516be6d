#include "dataplane/core/memory_engine.hpp"

#include <algorithm>

namespace fairlead::core {

namespace {

constexpr uint64_t kHoldFor = 1'000'000'000;
constexpr size_t kHeldPerNextHop = 3;
constexpr uint16_t kTailroom = 512;
constexpr uint32_t kAgeBudget = 4096;

// Collects frames that segmenting and fragmenting make.
struct Collector {
  std::vector<std::vector<uint8_t>> frames;
  std::vector<uint8_t> next;

  FrameSink sink() {
    FrameSink to;
    to.context = this;
    to.allocate = [](void* context, uint32_t length) {
      auto* self = static_cast<Collector*>(context);
      self->next.resize(length);
      return FrameBuffer{self->next.data(), length, nullptr};
    };
    to.emit = [](void* context, const FrameBuffer&, uint32_t length) {
      auto* self = static_cast<Collector*>(context);
      self->next.resize(length);
      self->frames.push_back(std::move(self->next));
    };
    return to;
  }
};

}  // namespace

struct MemoryEngine::Buffered {
  std::vector<uint8_t> bytes;
  Packet packet;
  uint64_t since_ns = 0;
};

MemoryEngine::MemoryEngine(const ForwarderConfig& config) : forwarder_(config) {}
MemoryEngine::~MemoryEngine() = default;

std::vector<MemoryEngine::Output> MemoryEngine::inject(PortId port, std::span<const uint8_t> frame,
                                                       const Offload& offload, uint16_t headroom) {
  Buffered buffered;
  buffered.bytes.resize(headroom + frame.size() + kTailroom);
  std::copy(frame.begin(), frame.end(), buffered.bytes.begin() + headroom);
  Packet& packet = buffered.packet;
  packet.data = buffered.bytes.data() + headroom;
  packet.length = static_cast<uint32_t>(frame.size());
  packet.headroom = headroom;
  packet.tailroom = kTailroom;
  packet.rx_port = port;
  packet.offload = offload;
  if (const auto at = ports_.find(port); at != ports_.end()) {
    ++at->second.rx_packets;
    at->second.rx_bytes += frame.size();
  }
  now_ns_ += 1000;
  forwarder_.worker(0).forward({&packet, 1}, now_ns_);
  std::vector<Output> out;
  settle(buffered, out);
  return out;
}

// After a verdict: hand out, or keep for the neighbour.
void MemoryEngine::settle(Buffered& buffered, std::vector<Output>& out) {
  const Packet& packet = buffered.packet;
  last_fate_ = packet.fate;
  last_reason_ = packet.reason;
  if (packet.fate == Fate::kDrop) return;
  if (packet.fate != Fate::kHold) return emit(buffered, out);
  const auto waiting = std::count_if(held_.begin(), held_.end(), [&](const auto& other) {
    return other->packet.next_hop == packet.next_hop;
  });
  if (waiting >= static_cast<ptrdiff_t>(kHeldPerNextHop)) {
    forwarder_.worker(0).undo(Fate::kHold, DropReason::NEIGHBOUR_UNRESOLVED, 1);  // the verdict was to hold
    return;
  }
  buffered.since_ns = now_ns_;
  held_.push_back(std::make_unique<Buffered>(std::move(buffered)));
}

void MemoryEngine::drop(Fate counted_as, DropReason reason, DropReason answered_for) {
  last_fate_ = Fate::kDrop;
  last_reason_ = reason;
  forwarder_.worker(0).undo(counted_as, reason, 1, answered_for);
}

// What a port without any offload does: complete checksums, cut what is too large.
void MemoryEngine::emit(Buffered& buffered, std::vector<Output>& out) {
  Packet& packet = buffered.packet;
  const auto at = ports_.find(packet.tx_port);
  if (at == ports_.end()) return drop(packet.fate, DropReason::NO_UPLINK, packet.reason);
  const bool carries_super_packets =
      at->second.spec.kind == PortKind::kTrunk || at->second.spec.kind == PortKind::kHost;
  Collector collector;
  FrameResult result;
  const uint32_t l3_length = packet.length - 14;
  if (packet.offload.segment_size != 0 && !carries_super_packets) {
    result = segment(packet, collector.sink());
  } else if (!finish_checksum(packet)) {
    result.reason = DropReason::MALFORMED_L4;
  } else if (packet.offload.segment_size == 0 && packet.tx_mtu != 0 && l3_length > packet.tx_mtu) {
    result = fragment_ipv4(packet, packet.tx_mtu, collector.sink());
  } else {
    collector.frames.emplace_back(packet.data, packet.data + packet.length);
  }
  if (result.reason != DropReason::NONE) return drop(packet.fate, result.reason, packet.reason);
  for (std::vector<uint8_t>& frame : collector.frames) {
    ++at->second.tx_packets;
    at->second.tx_bytes += frame.size();
    out.push_back({packet.tx_port, std::move(frame), packet.fate, packet.reason});
  }
}

std::vector<MemoryEngine::Output> MemoryEngine::take_released() {
  return std::exchange(released_, {});
}

Result<void> MemoryEngine::announce_ports() {
  std::vector<PortFacts> facts;
  for (auto& [id, status] : ports_) {
    const auto link = links_.find(id);
    status.mac = link != links_.end()
                     ? link->second.mac
                     : MacAddress{{0x02, 0, 0, 0, static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)}};
    facts.push_back(
        {.id = id, .kind = status.spec.kind, .mac = status.mac, .mtu = status.spec.mtu, .up = status.up});
  }
  return forwarder_.set_ports(facts);
}

Result<void> MemoryEngine::add_port(const PortSpec& spec) {
  PortStatus& status = ports_[spec.id];
  status.spec = spec;
  status.driver = "memory";
  status.up = true;
  return announce_ports();
}

Result<void> MemoryEngine::remove_port(PortId id) {
  ports_.erase(id);
  return announce_ports();
}

Result<void> MemoryEngine::publish(const NodeStateDelta& delta) {
  return forwarder_.publish(delta);
}

Result<void> MemoryEngine::set_underlay(const Underlay& underlay) {
  if (links_ != underlay.links) {
    links_ = underlay.links;
    if (auto done = announce_ports(); !done) return done;
  }
  if (auto done = forwarder_.set_underlay(underlay); !done) return done;
  for (auto& waiting : std::exchange(held_, {})) {
    forwarder_.worker(0).release_held({&waiting->packet, 1}, now_ns_);
    settle(*waiting, released_);
  }
  return {};
}

Counters MemoryEngine::counters() const {
  return forwarder_.counters();
}

void MemoryEngine::each_flow(const FlowFilter& filter, const FlowVisitor& visit) const {
  forwarder_.each_flow(filter, visit);
}

Result<Trace> MemoryEngine::trace(const TraceRequest& request) const {
  return forwarder_.trace(request);
}

std::vector<PortStatus> MemoryEngine::ports() const {
  std::vector<PortStatus> all;
  for (const auto& [id, status] : ports_) all.push_back(status);
  return all;
}

EngineInfo MemoryEngine::info() const {
  return {.name = "memory", .notes = {}, .workers = 1};
}

void MemoryEngine::tick(uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  forwarder_.age(now_ns_, kAgeBudget);
  const auto kept = std::stable_partition(held_.begin(), held_.end(), [&](const auto& waiting) {
    return waiting->since_ns + kHoldFor > now_ns_;
  });
  for (auto at = kept; at != held_.end(); ++at)
    drop(Fate::kHold, DropReason::NEIGHBOUR_UNRESOLVED, DropReason::NONE);
  held_.erase(kept, held_.end());
}

std::vector<std::pair<PortId, IpAddress>> MemoryEngine::unresolved_next_hops() const {
  std::vector<std::pair<PortId, IpAddress>> wanted;
  for (const UnresolvedNextHop& next_hop : forwarder_.unresolved_next_hops()) {
    wanted.emplace_back(next_hop.port, next_hop.address);
  }
  return wanted;
}

}  // namespace fairlead::core
