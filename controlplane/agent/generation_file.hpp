#pragma once

#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>

namespace fairlead::control {

// The last generation number that was handed out, on disk, so that numbers never go back when the agent is
// killed.
//
// Written by rename and not flushed: after a crash of the whole machine the number the dataplane has is the
// floor. A file that cannot be read as a number counts as 0.
class GenerationFile {
 public:
  explicit GenerationFile(std::string path);

  [[nodiscard]] uint64_t last() const { return last_; }
  void at_least(uint64_t generation);  // somebody else knows a higher number

  // The next number, on disk before it is used. Errors: FL5023; the number is good nevertheless.
  [[nodiscard]] uint64_t next(Result<void>& written);

 private:
  std::string path_;
  uint64_t last_ = 0;
};

}  // namespace fairlead::control
