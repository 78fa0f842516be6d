#pragma once

#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/underlay.hpp"
#include "tests/golden/frame.hpp"
#include "tests/golden/world.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::golden {

// What a row expects of one packet it puts in.
struct Expectation {
  enum class Kind { kOut, kDrop, kAnswerFor, kHold } kind = Kind::kOut;
  struct Out {
    uint32_t port = 0;
    std::string frame;  // text for build_frame
  };
  std::vector<Out> any_of;  // kOut: one of these leaves
  std::string reason;       // kDrop, kAnswerFor: name of drop_reasons.def
};

// One step of a row: a packet with what must come of it, or (with no frame) one of the others.
struct Stimulus {
  uint32_t port = 0;
  std::string frame;
  uint32_t segment_size = 0;  // a TCP super-packet; its checksum is partial
  bool partial = false;       // the device completes the L4 checksum
  std::vector<Expectation> expected;
  std::string change_to;                    // publish this state, keeping flows
  std::map<std::string, uint64_t> counted;  // counter deltas since the row began
  uint32_t wait_seconds = 0;                // time passes
  int line = 0;
};

// One packet story: a name, a state, packets in, and what must come of each. Variables that one packet binds
// keep their value for the rest of the row.
struct Row {
  std::string name, state, file;
  std::vector<Stimulus> stimuli;
};

struct Rows {
  std::map<std::string, World> states;
  std::vector<Row> rows;
};

// Reads every *.rows file of `directory` and below it, sorted; throws std::invalid_argument with file:line.
[[nodiscard]] Rows load_rows(const std::string& directory);
// Reads rows from text, as if it were the file `name`.
void read_rows(const std::string& text, const std::string& name, Rows& rows);

struct Emitted {
  uint32_t port = 0;
  Bytes bytes;
  Bytes mask;  // bits that are clear are any value; empty: all are known
};

// What an engine says about one packet.
struct Outcome {
  std::vector<Emitted> emitted;
  std::map<std::string, uint64_t> dropped, answered;  // by reason
  uint64_t held = 0;
  bool conserved = true;
};

struct Arrival {
  uint32_t port = 0;
  Bytes bytes;
  uint32_t segment_size = 0;
  bool partial = false;
};

// What rows run on: the core in memory, the DPDK engine on ring ports, the reference model, later the kernel
// programs.
class RowEngine {
 public:
  virtual ~RowEngine() = default;
  virtual void load(const World& world) = 0;    // as from scratch
  virtual void change(const World& world) = 0;  // a new generation on a running engine
  virtual Outcome inject(const Arrival& arrival) = 0;
  // Lets seconds pass; false when this engine's clock is the machine's.
  virtual bool wait(uint32_t seconds) = 0;
  // Can it be given what a device leaves undone (super-packets, partial checksums)?
  [[nodiscard]] virtual bool takes_offload() const = 0;
  // Since it was made; nothing when it does not count that.
  [[nodiscard]] virtual std::optional<uint64_t> count(const std::string& name) const = 0;
};

// An engine with the product's counters.
class CountingEngine : public RowEngine {
 public:
  Outcome inject(const Arrival& arrival) final;
  [[nodiscard]] std::optional<uint64_t> count(const std::string& name) const final;

 protected:
  virtual std::vector<Emitted> forward(const Arrival& arrival) = 0;
  [[nodiscard]] virtual core::Counters counters() const = 0;
};

// Runs one row; empty when everything came as expected, otherwise what did not. Conservation is checked after
// every packet, and so are the IPv4 header checksums of everything that left. A row that needs what the
// engine does not have (see RowEngine) is left at that point, and `incomplete` is set.
[[nodiscard]] std::string run_row(const Rows& rows, const Row& row, RowEngine& engine,
                                  bool* incomplete = nullptr);

// The adapters from test text to what an engine is given.
[[nodiscard]] core::NodeState node_state_of(const World& world, uint64_t generation);
[[nodiscard]] core::Underlay underlay_of(const World& world);
// Where the L4 checksum of an Ethernet frame with TCP or UDP over plain IPv4 or IPv6 stands: the start of
// the summed part and the field in it.
[[nodiscard]] std::pair<uint16_t, uint16_t> checksum_place(const Bytes& frame);

}  // namespace fairlead::golden
