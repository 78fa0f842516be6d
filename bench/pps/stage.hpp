#pragma once

#include "bench/pps/contestant.hpp"
#include "bench/pps/path.hpp"
#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::bench {

// The program that runs.
[[nodiscard]] std::string own_program();
// The runner's threads stay where no contestant's packets are.
void stay_off_the_measured_cpu();

// A directory of this run under /run: the plug-in's copy (EAL refuses plug-ins below world-writable
// directories, as /tmp is), the pages, what contestants print. Gone at the end.
class Stage {
 public:
  // `program` is fairlead-bench-pps, beside whose folder lib/ has the plug-in. Errors: FL6104 there is none,
  // or /run cannot be written.
  [[nodiscard]] static Result<Stage> open(const std::string& program);
  Stage(Stage&& other) noexcept;
  Stage& operator=(Stage&& other) = delete;
  ~Stage();

  [[nodiscard]] std::string plugin() const { return folder_ + "/librte_net_replay.so"; }
  // Ours: this program again, as a server of the load.
  [[nodiscard]] Contestant::Command ours(const Load& load, const std::string& break_what = "");
  // dpdk-testpmd of the distribution in one of its forwarding modes, on one device with the load's frames.
  [[nodiscard]] Contestant::Command testpmd(const std::string& mode, const Load& load);
  // DPDK's l3fwd, longest prefix match; its routes 198.18.n.0/24 are the destinations.
  [[nodiscard]] Contestant::Command l3fwd(const std::string& program, const Load& load);

  // OVS-DPDK that routes, see ovs.hpp.
  [[nodiscard]] Result<Contestant::Command> ovs(const std::string& prefix, const Load& load);

 private:
  Stage(std::string program, std::string folder) : program_(std::move(program)), folder_(std::move(folder)) {}
  [[nodiscard]] std::string file(const std::string& suffix) const {
    return folder_ + "/" + std::to_string(turn_) + "." + suffix;
  }
  std::string program_;
  std::string folder_;
  unsigned turn_ = 0;
};

}  // namespace fairlead::bench
