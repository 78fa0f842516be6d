#pragma once

#include "controlplane/ipam/attachment.hpp"
#include "dataplane/base/result.hpp"

#include <string>
#include <vector>

namespace fairlead::control {

// DELs that came while the agent was away: one small file each in <state-dir>/cni-del. The plugin puts them
// there, the agent works them off at its start and whenever one appears. Also compiled into the static
// plugin.
//
// A note is whole or not there (written aside, flushed, renamed); putting the same one twice is one note.
class DelQueue {
 public:
  explicit DelQueue(const std::string& state_dir) : directory_(state_dir + "/cni-del") {}

  [[nodiscard]] const std::string& directory() const { return directory_; }

  // Durable on return. Errors: FL4104.
  [[nodiscard]] Result<void> put(const AttachmentKey& key) const;

  struct Note {
    std::string file;  // path
    AttachmentKey key;
  };
  // All notes, oldest name first. Files that are no notes are renamed to *.bad and named in `problems`.
  [[nodiscard]] std::vector<Note> list(std::vector<std::string>& problems) const;
  [[nodiscard]] bool contains(const AttachmentKey& key) const;
  void remove(const AttachmentKey& key) const;

 private:
  [[nodiscard]] std::string file_of(const AttachmentKey& key) const;

  std::string directory_;
};

}  // namespace fairlead::control
