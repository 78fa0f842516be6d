#pragma once

#include "bench/pps/rounds.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairlead::bench {

// CPU, kernel, versions: without them no figure means anything.
[[nodiscard]] nlohmann::json machine();

// The figures of a run: printed as they come, and as one JSON object at the end (schema 1, kind
// fairlead-bench).
class Report {
 public:
  Report(bool quick, bool as_json);

  struct Peer {
    std::string name;
    Spread value;
    Spread ratio;  // at least 1: ours is better
  };
  struct Figure {
    std::string id;
    std::string title;
    std::string unit;
    std::string better = "lower";
    Spread value;
    nlohmann::json parameters = nlohmann::json::object();
    std::vector<Peer> peer = {};  // none or one
    double at_most = 0;           // the project's aim; 0: none
    double at_least = 0;
    std::string limits = {};  // what limits it when the aim is not met
  };
  void add(const Figure& figure);
  void note(const std::string& text);
  // For people, on standard error with -o json.
  void say(const std::string& text) const;
  void finish() const;

 private:
  bool as_json_;
  double started_at_;
  nlohmann::json object_;
};

}  // namespace fairlead::bench
