#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"

#include <memory>
#include <optional>
#include <string>

namespace fairlead::daemon {

// The last good NodeState on disk, so that a restart forwards before anybody talks to it.
//
// Layout: magic "FLSTATE1", version, length and CRC32C of what follows (big endian, 4 bytes each),
// rpc::NodeState. What is not exactly that is never used.
//
// Owns a thread that writes, and its own copy of the state: nobody waits for the disk, and a change costs the
// caller what it holds. After a write that took long (a million backends are 60 MB) the next one waits ten
// times as long, so that churn takes a tenth of a core at most; after a crash the agent publishes the rest.
class StateFile {
 public:
  explicit StateFile(const std::string& state_dir);
  ~StateFile();  // waits until what was saved is written
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  // nullopt: there is none yet. Errors: FL2112 damaged or of another version (renamed to <path>.refused),
  // FL2113 unreadable.
  [[nodiscard]] Result<std::optional<core::NodeState>> load() const;

  // Changes are from `state` on, which is on disk already.
  void assume(core::NodeState state);
  // Hands a change over; the state it leads to is written (new file, fsync, rename). What goes wrong is in
  // last_error() until a write succeeds.
  void save(core::NodeStateDelta change);
  // Until all that was saved is on disk; without the pause between writes.
  void flush();
  [[nodiscard]] std::optional<Error> last_error() const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Writer;
  std::string path_;
  std::unique_ptr<Writer> writer_;
};

// The file's content for `state`, and back. Errors: FL2112 says what does not fit.
[[nodiscard]] std::string encode_state(const core::NodeState& state);
[[nodiscard]] Result<core::NodeState> decode_state(const std::string& bytes);

}  // namespace fairlead::daemon
