#include "tests/model/differential.hpp"

#include "tests/golden/rows.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <stdexcept>

namespace fairlead::model {
namespace {

using Fate = Judgement::Fate;
using Output = core::MemoryEngine::Output;

void require(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().text());
}

// Reasons for which a parser may give up first when a mutated frame is wrong in several ways.
bool is_malformed(const std::string& reason) {
  static const std::set<std::string> reasons{
      "MALFORMED_ETHERNET", "UNKNOWN_ETHERTYPE",      "MALFORMED_IPV4", "BAD_IPV4_CHECKSUM", "IPV4_OPTIONS",
      "MALFORMED_IPV6",     "IPV6_EXTENSION_HEADERS", "MALFORMED_L4",   "MALFORMED_TUNNEL"};
  return reasons.contains(reason);
}

std::string name_of(core::DropReason reason) {
  return std::string(core::describe(reason).name);
}

std::string difference(const Judgement& judged, bool any_reason, const core::MemoryEngine& engine,
                       const std::vector<Output>& out) {
  const char* fates[] = {"forward", "answer", "punt", "hold", "drop"};
  const std::string said =
      std::string("model: ") + fates[static_cast<int>(judged.fate)] + " " + judged.reason;
  if (out.empty()) {
    const std::string reason = name_of(engine.last_reason());
    if (engine.last_fate() == core::Fate::kHold)
      return judged.fate == Fate::kHold ? "" : said + ", core: hold";
    if (judged.fate != Fate::kDrop) return said + ", core: drop " + reason;
    if (any_reason || judged.reason == reason || (is_malformed(judged.reason) && is_malformed(reason)))
      return "";
    return said + ", core: drop " + reason;
  }
  if (out.size() != 1) return said + ", core: " + std::to_string(out.size()) + " frames";
  const Output& one = out.front();
  const bool same_fate = (judged.fate == Fate::kForward && one.fate == core::Fate::kForward) ||
                         (judged.fate == Fate::kPunt && one.fate == core::Fate::kPunt) ||
                         (judged.fate == Fate::kAnswer && one.fate == core::Fate::kAnswer &&
                          judged.reason == name_of(one.reason));
  const std::string core_said = ", core: fate " + std::to_string(static_cast<int>(one.fate)) + " " +
                                name_of(one.reason) + " by port " + std::to_string(one.port);
  if (!same_fate || judged.port != one.port)
    return said + " by port " + std::to_string(judged.port) + core_said;
  if (!judged.frame.matches(one.frame)) return said + core_said + "\n" + judged.frame.difference(one.frame);
  // What the model leaves open because it depends on a free choice must still be consistent in itself.
  if (one.frame.size() >= 34 && one.frame[12] == 0x08 && one.frame[13] == 0x00 &&
      golden::internet_checksum(one.frame.data() + 14, 20) != 0) {
    return "the IPv4 header checksum of what left is wrong: " + golden::hex(one.frame);
  }
  return "";
}

}  // namespace

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void Seen::count(const Allowed& was) {
  ++packets;
  if (was.anything) {
    ++open;
    return;
  }
  const Fate fate = was.judgement.fate;
  dropped += fate == Fate::kDrop ? 1 : 0;
  forwarded += fate == Fate::kForward || fate == Fate::kPunt ? 1 : 0;
  answered += fate == Fate::kAnswer ? 1 : 0;
  const Memory& memory = was.memory;
  const bool passed = fate == Fate::kForward || fate == Fate::kPunt;
  translated += passed && (memory.leaves_as.source != memory.packet.source ||
                           memory.leaves_as.destination != memory.packet.destination)
                    ? 1
                    : 0;
  if (!was.judgement.reason.empty()) reasons.insert(was.judgement.reason);
}

void Seen::print(const char* what) const {
  std::printf(
      "%s: %llu packets, %llu forwarded (%llu translated), %llu answered, %llu dropped, %zu reasons, "
      "%llu left open, %llu differences\n",
      what, static_cast<unsigned long long>(packets), static_cast<unsigned long long>(forwarded),
      static_cast<unsigned long long>(translated), static_cast<unsigned long long>(answered),
      static_cast<unsigned long long>(dropped), reasons.size(), static_cast<unsigned long long>(open),
      static_cast<unsigned long long>(differences));
}

Pair::Pair(const World& world, uint64_t seed) : model_(world) {
  core::ForwarderConfig config;
  config.flow_capacity = 1 << 14;
  config.seed = seed | 1;
  config.icmp_errors_per_second = 1'000'000'000;  // the limiter has its own tests
  engine_ = std::make_unique<core::MemoryEngine>(config);
  const PortKind kinds[] = {PortKind::kUplink, PortKind::kTrunk, PortKind::kHost};
  for (const uint32_t port : {golden::kUplinkPort, golden::kTrunkPort, golden::kHostPort}) {
    PortSpec spec;
    spec.id = static_cast<core::PortId>(port);
    spec.kind = kinds[port - 1];
    spec.mtu = static_cast<uint16_t>(world.port_mtus.at(port));
    require(engine_->add_port(spec));
  }
  require(engine_->set_underlay(golden::underlay_of(world)));
  require(engine_->publish(core::diff(core::NodeState{}, golden::node_state_of(world, generation_))));
}

std::string Pair::change(const World& world) {
  model_.change(world);
  const core::NodeState state = golden::node_state_of(world, ++generation_);
  const auto published = engine_->publish(core::diff(engine_->forwarder().node_state(), state));
  return published ? "" : published.error().text();
}

void Pair::pass(uint32_t seconds) {
  model_.pass(seconds);
  // Long times in steps, so that ageing comes round.
  const uint64_t steps = seconds > 60 ? 100 : 1;
  for (uint64_t step = 0; step < steps; ++step)
    engine_->tick(now_ns_ += uint64_t{seconds} * 1'000'000'000 / steps);
}

// Is it this? Then `was` has the port that was chosen, too.
std::string Pair::compare(const Allowed& allowed, const std::vector<Output>& out, Allowed* was) const {
  *was = allowed;
  if (allowed.anything) return "";
  if (allowed.chooses_port && out.size() == 1) {
    const IpPacket& packet = allowed.memory.packet;
    const size_t place = packet.header_length + (packet.protocol == 1 || packet.protocol == 58 ? 4 : 0);
    if (out[0].frame.size() > packet.bytes.size()) {
      const size_t at = out[0].frame.size() - packet.bytes.size() + place;
      const auto port = static_cast<uint16_t>(out[0].frame[at] << 8 | out[0].frame[at + 1]);
      if (!model_.is_free(allowed, port)) return "source port " + std::to_string(port) + " is not free";
      *was = model_.with_port(allowed, port);
    }
  }
  return difference(was->judgement, allowed.any_reason, *engine_, out);
}

Pair::Result Pair::packet(uint32_t port, const Bytes& frame) {
  std::vector<Allowed> allowed = model_.judge(port, frame);
  std::stable_partition(allowed.begin(), allowed.end(), [](const Allowed& one) { return !one.anything; });
  Result result;
  result.out = engine_->inject(static_cast<core::PortId>(port), frame);
  for (const Allowed& one : allowed) {
    const std::string difference = compare(one, result.out, &result.was);
    if (difference.empty()) {
      result.difference.clear();
      break;
    }
    result.difference += difference + "\n";
  }
  if (!result.difference.empty()) return result;
  if (result.was.anything) {
    model_.blur(frame);
    for (const Output& one : result.out) model_.blur(one.frame);
  } else {
    model_.happened(result.was);
  }
  return result;
}

}  // namespace fairlead::model
