#pragma once

#include "dataplane/base/crc32c.hpp"
#include "dataplane/base/result.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::control {

// An append-only file of checksummed records: one a line, eight hex digits of CRC32C, a blank, the payload
// (text without newlines). People can read it.
//
//   8c1fa2d0 {"op":"commit","id":7}
//
// A crash can only tear the last record; what is torn was never acknowledged and is cut off by open(). A
// record that is whole but whose checksum is wrong was damaged later: open() refuses the file and says where.
//
// Owns the file <directory>/<name> and the lock file beside it: one process at a time.
// Threads: all members may be called from any thread; sync() of several threads shares one flush.
class Journal {
 public:
  using Replay = std::function<Result<void>(std::string_view payload)>;

  // Opens or creates the journal and shows every record to `replay`, oldest first. `header` is the first
  // record's payload, which names the format: a file that begins otherwise is refused.
  //
  // Errors: FL4201 cannot be used (directory, permission); FL4202 another process has it; FL4203 damaged;
  // FL4204 another format; what `replay` answers.
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(const std::string& directory,
                                                             const std::string& name,
                                                             const std::string& header, const Replay& replay);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Appends a record and returns its number; durable once sync() of that number returned. A failure leaves
  // the file as it was (FL4205).
  [[nodiscard]] Result<uint64_t> write(std::string_view payload);

  // Returns when record `number` and all before it are on disk. After one failure to flush nothing is
  // accepted any more (FL4206): the kernel may have dropped the data, only a fresh open() tells the truth.
  [[nodiscard]] Result<void> sync(uint64_t number);

  // Replaces the content by the header and `payloads`, by writing a new file and renaming it: at every
  // moment one whole journal is there. A failure leaves the old one in use (FL4205).
  [[nodiscard]] Result<void> rewrite(const std::vector<std::string>& payloads);

  [[nodiscard]] size_t records() const;  // in the file, without the header
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Journal(std::string directory, const std::string& name, std::string header);
  [[nodiscard]] Result<void> load(const Replay& replay);
  [[nodiscard]] Result<void> rewrite_locked(const std::vector<std::string>& payloads);

  const std::string directory_;
  const std::string path_;
  const std::string header_;
  int lock_ = -1;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable flushed_;
  int file_ = -1;
  uint64_t size_ = 0;  // bytes of whole records
  size_t records_ = 0;
  uint64_t written_ = 0;
  uint64_t synced_ = 0;
  bool flushing_ = false;
  bool broken_ = false;
};

}  // namespace fairlead::control
