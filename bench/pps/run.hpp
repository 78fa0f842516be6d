#pragma once

#include "bench/pps/contestant.hpp"
#include "bench/pps/report.hpp"
#include "bench/pps/rounds.hpp"
#include "bench/pps/stage.hpp"
#include "dataplane/base/result.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::bench {

inline constexpr uint32_t kMillion = 1u << 20;

[[nodiscard]] Load load_of(std::string_view path, uint32_t flows = 16384);
[[nodiscard]] nlohmann::json parameters_of(const Load& load);
// Cycles above the floor that the project aims at; 0: nothing was said of such a load.
[[nodiscard]] double aim_of(const Load& load);
// FL6105 when hits were misses, or new flows were known: it would be another figure.
[[nodiscard]] Result<void> check_flows(const Contestant& contestant, const Contestant::FlowCounts& before,
                                       const Contestant::FlowCounts& after, bool is_new);

// Contestants that are measured together, in turns, and the figures that come of it. Contestants are known by
// the number that entering returned.
class Run {
 public:
  Run(Stage& stage, Report& report, const Rounds& rounds) : stage_(stage), report_(report), rounds_(rounds) {}

  // Starts ours and lets it see every flow.
  [[nodiscard]] Result<size_t> ours(const Load& load);
  [[nodiscard]] Result<size_t> peer(Contestant::Command command, const Load& load);
  [[nodiscard]] Result<void> measure_all();
  [[nodiscard]] const Measured& measured() const { return measured_; }
  [[nodiscard]] const Contestant& contestant(size_t which) const { return contestants_.at(which); }

  // The whole cost, the rate and the cost above the floor of contestant `which`; ids are pps.<id>.cycles etc.
  // `peer`: contestant to print beside it.
  void figures(size_t which, size_t floor, const std::string& id, const std::string& title,
               std::optional<size_t> peer = {});
  // The cost of a peer on the same port.
  void peer_figure(size_t which);
  // Rate of `ours` as a part of `other`'s; an aim of 0 is none.
  void rate_of(const std::string& id, const std::string& title, size_t ours, size_t other,
               double at_least = 0, const std::string& limits = {});
  void note_rounds();

 private:
  Result<size_t> enter(Contestant::Command command, const Load& load);
  // Cycles: lower is better, so the ratio is theirs to ours.
  [[nodiscard]] Report::Peer as_peer(size_t peer, size_t ours) const;

  Stage& stage_;
  Report& report_;
  Rounds rounds_;
  std::deque<Contestant> contestants_;
  std::deque<Load> loads_;
  std::map<size_t, Contestant::FlowCounts> before_;  // of ours
  Measured measured_;
};

}  // namespace fairlead::bench
