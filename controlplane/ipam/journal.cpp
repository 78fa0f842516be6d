#include "controlplane/ipam/journal.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fairlead::control {

namespace {

constexpr size_t kChecksumLength = 8;
constexpr size_t kMaxJournalBytes = 256u << 20;

// Written and compared as text: another spelling of the same number is damage too.
std::string checksum_of(std::string_view payload) {
  char text[kChecksumLength + 1];
  std::snprintf(text, sizeof text, "%08x", crc32c(payload));
  return text;
}

std::string line_of(std::string_view payload) {
  std::string line = checksum_of(payload) + " ";
  line.append(payload).push_back('\n');
  return line;
}

bool checksum_matches(std::string_view line) {
  return line.size() > kChecksumLength && line[kChecksumLength] == ' ' &&
         line.substr(0, kChecksumLength) == checksum_of(line.substr(kChecksumLength + 1));
}

Error cannot(const std::string& code, const std::string& doing, const std::string& fix) {
  return {code, "cannot " + doing + ": " + std::strerror(errno), fix};
}

bool write_all(int file, std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(done));
    offset += static_cast<uint64_t>(done);
  }
  return true;
}

Result<std::string> read_all(int file, const std::string& path) {
  struct stat facts {};
  if (::fstat(file, &facts) != 0) return cannot("FL4201", "read " + path, "check the disk");
  if (static_cast<uint64_t>(facts.st_size) > kMaxJournalBytes)
    return Error{"FL4203", path + " has " + std::to_string(facts.st_size) + " bytes: no journal of ours",
                 "move it away and restart the agent with the pods of this node drained"};
  std::string content(static_cast<size_t>(facts.st_size), '\0');
  size_t used = 0;
  while (used < content.size()) {
    const ssize_t got = ::pread(file, content.data() + used, content.size() - used, static_cast<off_t>(used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot("FL4201", "read " + path, "check the disk");
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  content.resize(used);
  return content;
}

// A rename is durable only once its directory is.
bool sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = ::fsync(fd) == 0;
  ::close(fd);
  return done;
}

}  // namespace

Journal::Journal(std::string directory, const std::string& name, std::string header)
    : directory_(std::move(directory)), path_(directory_ + "/" + name), header_(std::move(header)) {}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
  if (lock_ >= 0) ::close(lock_);
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& directory, const std::string& name,
                                               const std::string& header, const Replay& replay) {
  std::unique_ptr<Journal> journal(new Journal(directory, name, header));
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure)
    return Error{"FL4201", "cannot create " + directory + ": " + failure.message(),
                 "check the permissions, or choose another --state-dir"};
  const std::string lock_path = journal->path_ + ".lock";
  journal->lock_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->lock_ < 0)
    return cannot("FL4201", "open " + lock_path, "check the permissions, or choose another --state-dir");
  if (::flock(journal->lock_, LOCK_EX | LOCK_NB) != 0)
    return Error{"FL4202", journal->path_ + " is in use by another process",
                 "stop the other fairlead-agent, or give this one its own --state-dir"};
  // What is left of a rewrite that did not reach its rename was never in force.
  ::unlink((journal->path_ + ".new").c_str());
  if (Result<void> loaded = journal->load(replay); !loaded) return loaded.error();
  return journal;
}

Result<void> Journal::load(const Replay& replay) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0)
    return cannot("FL4201", "open " + path_, "check the permissions, or choose another --state-dir");
  Result<std::string> content = read_all(file_, path_);
  if (!content) return content.error();

  const std::string_view all = *content;
  size_t offset = 0;
  size_t line_number = 0;
  while (offset < all.size()) {
    const size_t newline = all.find('\n', offset);
    if (newline == std::string_view::npos) break;  // torn: cut off below
    const std::string_view line = all.substr(offset, newline - offset);
    ++line_number;
    if (!checksum_matches(line)) {
      // Pages reach the disk in any order: the last record may have its end but zeros before it.
      const bool torn = newline + 1 == all.size() && line.find('\0') != std::string_view::npos;
      if (torn) break;
      return Error{"FL4203",
                   path_ + ":" + std::to_string(line_number) + " (byte " + std::to_string(offset) +
                       "): the record's checksum is wrong, the file was damaged after it was written",
                   "addresses may be in use that the file no longer names: drain this node's pods, move the "
                   "file away, restart the agent"};
    }
    const std::string_view payload = line.substr(kChecksumLength + 1);
    if (line_number == 1) {
      if (payload != header_)
        return Error{
            "FL4204",
            path_ + " is of format " + std::string(payload.substr(0, 80)) + ", this version reads " + header_,
            "run the version that wrote it, or drain this node's pods and move the file away"};
    } else {
      if (Result<void> taken = replay(payload); !taken) return taken;
      ++records_;
    }
    offset = newline + 1;
  }
  size_ = offset;
  if (size_ == 0) {
    // New, or torn while it was made; anything else without a header is not ours to overwrite.
    if (!line_of(header_).starts_with(all.substr(0, all.find('\0'))))
      return Error{"FL4204", path_ + " is not a journal of this program",
                   "move the file away, restart the agent"};
    return rewrite_locked({});
  }
  if (size_ < all.size() && ::ftruncate(file_, static_cast<off_t>(size_)) != 0)
    return cannot("FL4201", "cut the torn record off " + path_, "check the disk");
  return {};
}

Result<uint64_t> Journal::write(std::string_view payload) {
  const std::string line = line_of(payload);
  std::lock_guard lock(mutex_);
  if (broken_)
    return Error{"FL4206", path_ + " could not be flushed earlier", "check the disk, restart the agent"};
  if (!write_all(file_, line, size_)) {
    const Error error = cannot("FL4205", "append to " + path_, "free space on that file system");
    if (::ftruncate(file_, static_cast<off_t>(size_)) != 0) broken_ = true;
    return error;
  }
  size_ += line.size();
  ++records_;
  return ++written_;
}

Result<void> Journal::sync(uint64_t number) {
  std::unique_lock lock(mutex_);
  while (synced_ < number) {
    if (broken_)
      return Error{"FL4206", path_ + " could not be flushed to disk", "check the disk, restart the agent"};
    if (flushing_) {
      flushed_.wait(lock);
      continue;
    }
    flushing_ = true;
    const uint64_t target = written_;
    const int file = file_;  // rewrite() waits for us before it replaces it
    lock.unlock();
    const bool done = ::fdatasync(file) == 0;
    lock.lock();
    flushing_ = false;
    if (done)
      synced_ = target;
    else
      broken_ = true;
    flushed_.notify_all();
  }
  return {};
}

Result<void> Journal::rewrite(const std::vector<std::string>& payloads) {
  std::unique_lock lock(mutex_);
  flushed_.wait(lock, [this] { return !flushing_; });
  if (broken_)
    return Error{"FL4206", path_ + " could not be flushed earlier", "check the disk, restart the agent"};
  Result<void> done = rewrite_locked(payloads);
  flushed_.notify_all();
  return done;
}

Result<void> Journal::rewrite_locked(const std::vector<std::string>& payloads) {
  const std::string fresh_path = path_ + ".new";
  std::string content = line_of(header_);
  for (const std::string& payload : payloads) content += line_of(payload);

  const int fresh = ::open(fresh_path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fresh < 0) return cannot("FL4205", "create " + fresh_path, "check permissions and space");
  if (!write_all(fresh, content, 0) || ::fsync(fresh) != 0 ||
      ::rename(fresh_path.c_str(), path_.c_str()) != 0) {
    const Error error = cannot("FL4205", "write " + fresh_path, "free space on that file system");
    ::close(fresh);
    ::unlink(fresh_path.c_str());
    return error;
  }
  ::close(std::exchange(file_, fresh));
  size_ = content.size();
  records_ = payloads.size();
  if (!sync_directory(directory_)) {
    // The new name may vanish with a crash, and the old file with it is out of date from the next record on.
    broken_ = true;
    return cannot("FL4206", "flush the directory " + directory_, "check the disk, restart the agent");
  }
  synced_ = written_;
  return {};
}

size_t Journal::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

}  // namespace fairlead::control
