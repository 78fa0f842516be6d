#pragma once

#include "controlplane/intent/intent.hpp"
#include "controlplane/manifests/manifests.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/result.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fairlead::control {

// A directory of manifests (*.yaml, *.yml, *.json; not hidden, not recursive) as a source of events.
//
// inotify only says *when* to look; reload() compares what is there with what was read. So renames, editors
// that write aside, symbolic links swapped underneath (ConfigMap volumes) and lost events all end in the same
// state. A file that is wrong keeps its last good objects in force, across restarts too when a cache
// directory is given.
//
// Owns: the inotify descriptor. Threads: one.
class DirectorySource {
 public:
  // `cache_directory` (may be empty: none) receives a copy of each good file.
  explicit DirectorySource(std::string directory, std::string cache_directory = {});
  ~DirectorySource();
  DirectorySource(const DirectorySource&) = delete;
  DirectorySource& operator=(const DirectorySource&) = delete;

  // Starts watching. Called again after a failure or when the directory was replaced.
  Result<void> open();

  // Readable when something happened; -1 when not open.
  [[nodiscard]] int fd() const { return inotify_; }

  // Takes what inotify has to say. True: call reload() after kSettle of silence. Says in is_open() when the
  // directory is gone.
  bool drain();
  static constexpr std::chrono::milliseconds kSettle{20};

  [[nodiscard]] bool is_open() const { return watch_ >= 0; }

  // True while a file is open for writing in there; reload() passes over such a file for at most kMaxWriting.
  [[nodiscard]] bool is_settling() const { return !writing_.empty(); }
  static constexpr std::chrono::milliseconds kMaxWriting{1000};

  // Reads what changed and returns the events from the last call's objects to now's. The first call returns
  // everything.
  [[nodiscard]] std::vector<Event> reload();

  // True once the directory could be read: before that nothing is known, which is not the same as "there is
  // nothing".
  [[nodiscard]] bool has_loaded() const { return !is_first_; }

  // What is wrong now, in all files.
  [[nodiscard]] std::vector<Diagnostic> diagnostics() const;

 private:
  struct Signature {
    uint64_t inode = 0, size = 0;
    int64_t modified_ns = 0, changed_ns = 0;
    bool operator==(const Signature&) const = default;
  };
  struct File {
    Signature signature;
    bool is_good = false;                  // the newest content can be read
    std::vector<ManifestObject> newest;    // of the newest content, when it is good
    std::string text;                      // the same
    bool is_remembered = false;            // `text` is in the cache directory
    std::vector<ManifestObject> accepted;  // in force
    std::vector<Diagnostic> diagnostics;   // of the newest content
  };

  [[nodiscard]] bool scan();
  void read(const std::string& name, const Signature& signature);
  void merge();
  void accept(const std::string& name, File& file);
  [[nodiscard]] std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_, cache_;
  int inotify_ = -1, watch_ = -1;
  std::map<std::string, std::chrono::steady_clock::time_point> writing_;  // by name: the last write seen
  std::set<std::string> dirty_;                    // named by an event since they were read
  std::map<std::string, File> files_;              // by name: the order that decides duplicates
  std::map<std::string, ManifestObject> current_;  // by key: what the events given out so far amount to
  std::map<std::string, ManifestObject> merged_;   // by key: what the files amount to
  std::vector<Diagnostic> duplicates_, directory_problems_;
  bool is_first_ = true;
};

}  // namespace fairlead::control
