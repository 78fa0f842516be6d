#pragma once

#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/underlay.hpp"
#include "tests/golden/frame.hpp"
#include "tests/golden/world.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::golden {

// What a row expects of one packet it puts in.
struct Expectation {
  enum class Kind { kOut, kDrop, kAnswerFor, kHold } kind = Kind::kOut;
  uint32_t port = 0;   // kOut
  std::string frame;   // kOut: text for build_frame
  std::string reason;  // kDrop, kAnswerFor: name of drop_reasons.def
};

struct Stimulus {
  uint32_t port = 0;
  std::string frame;
  std::vector<Expectation> expected;
  std::string change_to;                    // instead of a packet: publish this state, keeping flows
  std::map<std::string, uint64_t> counted;  // instead of a packet: counter deltas since the row began
  int line = 0;
};

// One packet story: a name, a state, packets in, and what must come of each.
struct Row {
  std::string name, state, file;
  std::vector<Stimulus> stimuli;
};

struct Rows {
  std::map<std::string, World> states;
  std::vector<Row> rows;
};

// Reads every *.rows file of `directory`, sorted; throws std::invalid_argument with file:line.
[[nodiscard]] Rows load_rows(const std::string& directory);

struct Emitted {
  uint32_t port = 0;
  Bytes bytes;
};

// What rows run on: the core in memory, the DPDK engine on ring ports, later the kernel programs.
class RowEngine {
 public:
  virtual ~RowEngine() = default;
  virtual void load(const World& world) = 0;    // as from scratch
  virtual void change(const World& world) = 0;  // a new generation on a running engine
  virtual std::vector<Emitted> inject(uint32_t port, const Bytes& frame) = 0;
  [[nodiscard]] virtual core::Counters counters() const = 0;
};

// Runs one row; empty when everything came as expected, otherwise what did not. Conservation is checked after
// every packet, and so are the IPv4 header checksums of everything that left.
[[nodiscard]] std::string run_row(const Rows& rows, const Row& row, RowEngine& engine);

// The adapters from test text to what an engine is given.
[[nodiscard]] core::NodeState node_state_of(const World& world, uint64_t generation);
[[nodiscard]] core::Underlay underlay_of(const World& world);

}  // namespace fairlead::golden
