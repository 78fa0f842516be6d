// Random states, random packets: the core and the reference model must say the same of every one.
//
// FAIRLEAD_DIFFERENTIAL_PACKETS and FAIRLEAD_DIFFERENTIAL_SEED change the length and the start. A difference
// prints the seed of its state and the frame; both become a packet row.
#include "dataplane/core/memory_engine.hpp"
#include "tests/golden/rows.hpp"
#include "tests/model/generate.hpp"
#include "tests/model/model.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace fairlead::model {
namespace {

using Fate = Judgement::Fate;

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

std::unique_ptr<core::MemoryEngine> engine_for(const golden::World& world, uint64_t seed) {
  core::ForwarderConfig config;
  config.flow_capacity = 1 << 12;
  config.seed = seed | 1;
  config.icmp_errors_per_second = 1'000'000'000;  // the limiter has its own tests
  auto engine = std::make_unique<core::MemoryEngine>(config);
  const PortKind kinds[] = {PortKind::kUplink, PortKind::kTrunk, PortKind::kHost};
  for (const uint32_t port : {golden::kUplinkPort, golden::kTrunkPort, golden::kHostPort}) {
    PortSpec spec;
    spec.id = static_cast<core::PortId>(port);
    spec.kind = kinds[port - 1];
    spec.mtu = static_cast<uint16_t>(world.port_mtus.at(port));
    EXPECT_TRUE(engine->add_port(spec).ok());
  }
  EXPECT_TRUE(engine->set_underlay(golden::underlay_of(world)).ok());
  const auto published = engine->publish(core::diff(core::NodeState{}, golden::node_state_of(world, 1)));
  EXPECT_TRUE(published.ok()) << (published.ok() ? "" : published.error().text());
  return engine;
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

std::string compare(const Judgement& judged, const core::MemoryEngine& engine,
                    const std::vector<core::MemoryEngine::Output>& out) {
  const char* fates[] = {"forward", "answer", "punt", "hold", "drop"};
  const std::string said =
      std::string("model: ") + fates[static_cast<int>(judged.fate)] + " " + judged.reason;
  if (out.empty()) {
    const std::string reason = name_of(engine.last_reason());
    if (engine.last_fate() == core::Fate::kHold)
      return judged.fate == Fate::kHold ? "" : said + ", core: hold";
    if (judged.fate != Fate::kDrop) return said + ", core: drop " + reason;
    if (judged.reason == reason || (is_malformed(judged.reason) && is_malformed(reason))) return "";
    return said + ", core: drop " + reason;
  }
  if (out.size() != 1) return said + ", core: " + std::to_string(out.size()) + " frames";
  const core::MemoryEngine::Output& one = out.front();
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

TEST(Differential, CoreAndReferenceModelAgree) {
  const uint64_t packets = setting("FAIRLEAD_DIFFERENTIAL_PACKETS", 500'000);
  const uint64_t first_seed = setting("FAIRLEAD_DIFFERENTIAL_SEED", 20261123);
  constexpr uint64_t kPacketsPerState = 2'000;
  uint64_t done = 0, differences = 0, dropped = 0, forwarded = 0, answered = 0;
  std::set<std::string> reasons;
  for (uint64_t seed = first_seed; done < packets; ++seed) {
    Generator generator(seed);
    const golden::World world = generator.world();
    const auto engine = engine_for(world, seed);
    for (uint64_t number = 0; number < kPacketsPerState && done < packets; ++number, ++done) {
      const auto [port, frame] = generator.packet(world);
      const Judgement judged = judge(world, port, frame);
      const auto out = engine->inject(static_cast<core::PortId>(port), frame);
      const std::string difference = compare(judged, *engine, out);
      dropped += judged.fate == Fate::kDrop ? 1 : 0;
      forwarded += judged.fate == Fate::kForward ? 1 : 0;
      answered += judged.fate == Fate::kAnswer ? 1 : 0;
      if (!judged.reason.empty()) reasons.insert(judged.reason);
      if (!difference.empty() && ++differences <= 10) {
        ADD_FAILURE() << "seed " << seed << " packet " << number << " in by port " << port << "\n"
                      << difference << "\nframe " << golden::hex(frame);
      }
    }
    EXPECT_TRUE(engine->counters().conserved()) << "seed " << seed;
  }
  EXPECT_EQ(differences, 0u) << "of " << done;
  // The generator must reach what it claims to compare.
  EXPECT_GT(forwarded, done / 8);
  EXPECT_GT(answered, done / 200);
  EXPECT_GE(reasons.size(), 20u);
  std::printf("%llu packets, %llu forwarded, %llu answered, %llu dropped, %zu reasons, %llu differences\n",
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(forwarded),
              static_cast<unsigned long long>(answered), static_cast<unsigned long long>(dropped),
              reasons.size(), static_cast<unsigned long long>(differences));
}

}  // namespace
}  // namespace fairlead::model
