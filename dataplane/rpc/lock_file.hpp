#pragma once

#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::ipc {

// One process at a time holds it; the kernel gives it back however the holder ends. The file stays (removing
// it would let two processes hold two files of one name) and carries the holder's pid.
class LockFile {
 public:
  // Errors: FL5052 `process` runs already (names its pid); FL5057 the file cannot be made.
  [[nodiscard]] static Result<LockFile> take(const std::string& path, const std::string& process);

  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace fairlead::ipc
