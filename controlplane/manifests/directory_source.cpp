#include "controlplane/manifests/directory_source.hpp"

#include "controlplane/manifests/file.hpp"
#include "controlplane/manifests/yaml.hpp"

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <filesystem>
#include <memory>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fairlead::control {
namespace {

constexpr uint32_t kMask = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                           IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

int64_t to_ns(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Event upserted(const ManifestObject& object) {
  if (const auto* node = std::get_if<NodeObject>(&object.value)) return NodeUpserted{*node};
  if (const auto* pod = std::get_if<PodObject>(&object.value)) return PodUpserted{*pod};
  if (const auto* service = std::get_if<ServiceObject>(&object.value)) return ServiceUpserted{*service};
  if (const auto* slice = std::get_if<EndpointSliceObject>(&object.value))
    return EndpointSliceUpserted{*slice};
  return NetworkChanged{std::get<ClusterNetwork>(object.value)};
}

Event deleted(const ManifestObject& object) {
  if (const auto* node = std::get_if<NodeObject>(&object.value)) return NodeDeleted{node->name};
  if (const auto* pod = std::get_if<PodObject>(&object.value))
    return PodDeleted{pod->pod_namespace + "/" + pod->name};
  if (const auto* service = std::get_if<ServiceObject>(&object.value))
    return ServiceDeleted{key_of(*service)};
  if (const auto* slice = std::get_if<EndpointSliceObject>(&object.value))
    return EndpointSliceDeleted{key_of(*slice)};
  return NetworkChanged{ClusterNetwork{}};
}

}  // namespace

DirectorySource::DirectorySource(std::string directory, std::string cache_directory)
    : directory_(std::move(directory)), cache_(std::move(cache_directory)) {}

DirectorySource::~DirectorySource() {
  if (inotify_ >= 0) ::close(inotify_);
}

Result<void> DirectorySource::open() {
  const auto failed = [&](const char* doing) {
    Error error{"FL1019",
                std::string("cannot ") + doing + " the manifest directory " + directory_ + ": " +
                    std::strerror(errno),
                errno == ENOSPC ? "raise fs.inotify.max_user_watches"
                                : "create it, or name another with --manifests"};
    directory_problems_ = {{.code = error.code, .file = {}, .what = error.what, .fix = error.fix}};
    return error;
  };
  if (inotify_ < 0) inotify_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_ < 0) return failed("watch");
  watch_ = ::inotify_add_watch(inotify_, directory_.c_str(), kMask);
  if (watch_ < 0) return failed("watch");
  directory_problems_.clear();
  return {};
}

bool DirectorySource::drain() {
  bool is_relevant = false;
  alignas(inotify_event) char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(inotify_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return is_relevant;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      is_relevant = true;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [name, file] : files_) dirty_.insert(name);
        continue;
      }
      if (event->wd != watch_) continue;  // a watch that was replaced
      if ((event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        if ((event->mask & IN_MOVE_SELF) != 0) ::inotify_rm_watch(inotify_, watch_);
        watch_ = -1;
        writing_.clear();
        continue;
      }
      if (event->len == 0 || !is_manifest_name(event->name)) continue;
      dirty_.insert(event->name);
      if ((event->mask & IN_MODIFY) != 0) {
        writing_[event->name] = std::chrono::steady_clock::now();
      } else if ((event->mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0) {
        writing_.erase(event->name);
      }
    }
  }
}

std::vector<Event> DirectorySource::reload() {
  if (!scan()) return {};
  merge();
  std::vector<Event> events;
  for (const auto& [key, object] : current_) {
    if (!merged_.contains(key)) events.push_back(deleted(object));
  }
  for (const auto& [key, object] : merged_) {
    const auto before = current_.find(key);
    if (before == current_.end() || !(before->second.value == object.value))
      events.push_back(upserted(object));
  }
  current_ = merged_;
  is_first_ = false;
  return events;
}

// Looks at the directory; a directory that cannot be read leaves everything as it was.
bool DirectorySource::scan() {
  const auto unreadable = [&] {
    directory_problems_ = {
        {.code = "FL1019",
         .file = {},
         .what = "cannot read the manifest directory " + directory_ + ": " + std::strerror(errno),
         .fix = "create it, or name another with --manifests"}};
    return false;
  };
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory_.c_str()), ::closedir);
  if (!listing) return unreadable();
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(writing_, [&](const auto& entry) { return now - entry.second >= kMaxWriting; });
  std::set<std::string> present;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(listing.get());  // the stream is our own: no other thread
    if (entry == nullptr && errno != 0) return unreadable();
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (!is_manifest_name(name)) continue;
    struct stat about {};
    if (::stat(path_of(name).c_str(), &about) != 0 && errno == ENOENT)
      continue;  // gone meanwhile, or a dangling link
    if (S_ISDIR(about.st_mode)) continue;
    present.insert(name);
    if (writing_.contains(name)) continue;
    const Signature signature{about.st_ino, static_cast<uint64_t>(about.st_size), to_ns(about.st_mtim),
                              to_ns(about.st_ctim)};
    const auto known = files_.find(name);
    if (known == files_.end() || dirty_.contains(name) || !(known->second.signature == signature))
      read(name, signature);
  }
  directory_problems_.clear();
  std::erase_if(dirty_, [&](const std::string& name) { return !writing_.contains(name); });
  std::erase_if(files_, [&](const auto& entry) { return !present.contains(entry.first); });
  if (cache_.empty()) return true;
  std::error_code ignored;  // a copy too many is harmless: it is used for a file of its name only
  for (const auto& copy : std::filesystem::directory_iterator(cache_, ignored)) {
    if (!present.contains(copy.path().filename().string())) std::filesystem::remove(copy.path(), ignored);
  }
  return true;
}

void DirectorySource::read(const std::string& name, const Signature& signature) {
  const bool is_new = !files_.contains(name);
  File& file = files_[name];
  file.signature = signature;
  auto text = read_whole_file(path_of(name), kMaxManifestBytes);
  LoadedManifest loaded;
  if (text) {
    loaded = load_manifest(*text, path_of(name));
  } else {
    loaded.diagnostics.push_back(
        {.code = text.error().code, .file = {}, .what = text.error().what, .fix = text.error().fix});
  }
  file.diagnostics = std::move(loaded.diagnostics);
  file.is_good = file.diagnostics.empty();
  file.newest = std::move(loaded.objects);
  file.text = file.is_good ? std::move(*text) : std::string();
  file.is_remembered = false;
  if (file.is_good || !is_new || !is_first_ || cache_.empty()) return;
  // Wrong already when we started: what it said when it was last good is in force.
  if (const auto copy = read_whole_file(cache_ + "/" + name, kMaxManifestBytes)) {
    file.accepted = load_manifest(*copy, cache_ + "/" + name).objects;
  }
}

void DirectorySource::accept(const std::string& name, File& file) {
  file.accepted = file.newest;
  if (!cache_.empty() && !file.is_remembered) {
    const std::string copy = cache_ + "/" + name;
    const auto before = read_whole_file(copy, kMaxManifestBytes);
    if (!before || *before != file.text) {
      if (const auto kept = replace_file(copy, file.text, "FL5023"); !kept) {
        file.diagnostics.push_back(
            {.code = kept.error().code, .file = {}, .what = kept.error().what, .fix = kept.error().fix});
      }
    }
  }
  file.is_remembered = true;
}

void DirectorySource::merge() {
  merged_.clear();
  duplicates_.clear();
  std::map<std::string, std::string> owners;  // key -> file
  for (auto& [name, file] : files_) {
    const auto owner_of = [&](const ManifestObject& object) {
      const auto owner = owners.find(object.key);
      return owner == owners.end() ? nullptr : &owner->second;
    };
    bool is_accepted = file.is_good;
    for (const ManifestObject& object : file.newest) {
      const std::string* owner = owner_of(object);
      if (owner == nullptr) continue;
      is_accepted = false;
      duplicates_.push_back({.code = "FL1015",
                             .file = path_of(name),
                             .line = object.line,
                             .column = object.column,
                             .what = object.key + " is defined in " + *owner + " already",
                             .note = "files are read in the order of their names; the first counts",
                             .fix = "remove it from one of the two files",
                             .excerpt = std::string(YamlReport(file.text, name).line(object.line))});
    }
    if (is_accepted) accept(name, file);
    for (const ManifestObject& object : file.accepted) {
      if (owner_of(object) != nullptr) continue;
      owners[object.key] = path_of(name);
      merged_[object.key] = object;
    }
  }
}

std::vector<Diagnostic> DirectorySource::diagnostics() const {
  std::vector<Diagnostic> all = directory_problems_;
  for (const auto& [name, file] : files_)
    all.insert(all.end(), file.diagnostics.begin(), file.diagnostics.end());
  all.insert(all.end(), duplicates_.begin(), duplicates_.end());
  return all;
}

}  // namespace fairlead::control
