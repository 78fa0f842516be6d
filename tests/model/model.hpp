#pragma once

#include "tests/golden/frame.hpp"
#include "tests/golden/world.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace fairlead::model {

using golden::Bytes;
using golden::World;

// What must become of one packet, according to the RFCs and the design - written to be read, not to be fast,
// and sharing no header with the dataplane.
struct Judgement {
  enum class Fate { kForward, kAnswer, kPunt, kHold, kDrop } fate = Fate::kDrop;
  uint32_t port = 0;
  std::string reason;   // with kDrop and kAnswer: the name in drop_reasons.def
  golden::Frame frame;  // with kForward, kAnswer, kPunt: what leaves; bytes that may be anything are masked
};

// Judges frame `bytes` received on `port` of the node `world`. Stateless: no rule of today depends on what
// came before.
[[nodiscard]] Judgement judge(const World& world, uint32_t port, const Bytes& bytes);

}  // namespace fairlead::model
