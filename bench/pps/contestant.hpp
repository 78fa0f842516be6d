#pragma once

#include "bench/replay/page.hpp"
#include "dataplane/base/result.hpp"

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace fairlead::bench {

// A process that forwards between replay ports: ours, testpmd, l3fwd. It runs only during its slices and is
// stopped (SIGSTOP) otherwise, so that several can share a core and be measured in turn.
//
// What it did is read from the pages of its devices; the process itself is not asked while it is measured.
class Contestant {
 public:
  struct Command {
    std::string name;                  // for people
    std::vector<std::string> words;    // what to run
    std::vector<std::string> pages;    // one per device
    unsigned first_cpu = 0, cpus = 1;  // where its packet threads are
    std::string log;                   // what it prints on standard error (peers: also output)
    bool answers = false;              // understands the questions of serve()
    std::vector<std::pair<std::string, std::string>> environment = {};
    // What is left to do once its devices run, which hand out nothing before (`held`).
    std::function<Result<void>()> when_started = {};
    std::shared_ptr<void> keeps = {};  // what it needs for as long as it runs
  };

  // Starts the process and waits until all its devices run. Errors: FL6101 with the end of what it said.
  [[nodiscard]] static Result<Contestant> start(Command command);
  Contestant(Contestant&& other) noexcept;
  Contestant& operator=(Contestant&& other) = delete;
  ~Contestant();

  void resume();
  // Nothing more is handed out; what was comes out, or is lost; then it is stopped.
  void pause();
  // All its devices together.
  [[nodiscard]] replay::Totals totals() const;
  // Frames that were handed out and did not come out, as of the last pause. While it runs nobody can tell:
  // some are underway, and the counters are read one after the other.
  [[nodiscard]] int64_t lost() const { return lost_; }
  // Involuntary context switches of the threads on the measured CPUs so far.
  [[nodiscard]] uint64_t switches() const;
  // Resumes; frames fall due at this pace, from its start on, in every queue. The contestant is paused, its
  // first device paced.
  void begin_pace(const replay::Pace& pace);
  // The answer to a question of serve(); empty: it has none. Paused before and after: it runs, but nothing is
  // handed out.
  [[nodiscard]] std::string ask(const std::string& question);
  // Packets that found their flow and that did not, by the forwarder's own counters. Errors: FL6101 it does
  // not answer.
  struct FlowCounts {
    uint64_t hits = 0, misses = 0;
  };
  [[nodiscard]] Result<FlowCounts> flow_counts();
  // All of them as serve() prints them; empty: a peer, who is not asked.
  [[nodiscard]] std::string counters() { return command_.answers ? ask("counters") : std::string(); }
  [[nodiscard]] std::string first_wrong() const;  // empty: nothing was
  [[nodiscard]] const std::string& name() const { return command_.name; }
  [[nodiscard]] bool is_alive() const;

 private:
  explicit Contestant(Command command) : command_(std::move(command)) {}
  Result<void> launch();
  Result<void> await_pages();
  Error failed(const std::string& what) const;
  void hold(bool held);
  void come_to_rest();
  [[nodiscard]] std::vector<uint64_t> refused() const;  // of every queue that hands out frames
  void stop();

  Command command_;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::vector<replay::Page*> pages_;
  int64_t lost_ = 0;
};

}  // namespace fairlead::bench
