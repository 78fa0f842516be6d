#pragma once

#include "dataplane/core/memory_engine.hpp"
#include "tests/model/model.hpp"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace fairlead::model {

// A number from the environment.
[[nodiscard]] uint64_t setting(const char* name, uint64_t otherwise);

// What a run has seen: the generator must reach what it claims to compare.
struct Seen {
  uint64_t packets = 0, forwarded = 0, answered = 0, dropped = 0, translated = 0, open = 0, differences = 0;
  std::set<std::string> reasons;

  void count(const Allowed& was);
  void print(const char* what) const;
};

// The core and the reference model side by side.
class Pair {
 public:
  Pair(const World& world, uint64_t seed);

  struct Result {
    std::string difference;  // empty: the same
    Allowed was;             // what the model says it was
    std::vector<core::MemoryEngine::Output> out;
  };
  [[nodiscard]] Result packet(uint32_t port, const Bytes& frame);
  [[nodiscard]] std::string change(const World& world);
  void pass(uint32_t seconds);
  [[nodiscard]] core::MemoryEngine& engine() { return *engine_; }
  [[nodiscard]] const Model& model() const { return model_; }

 private:
  [[nodiscard]] std::string compare(const Allowed& allowed,
                                    const std::vector<core::MemoryEngine::Output>& out, Allowed* was) const;

  Model model_;
  std::unique_ptr<core::MemoryEngine> engine_;
  uint64_t generation_ = 1;
  uint64_t now_ns_ = 1'000'000'000;
};

}  // namespace fairlead::model
