#include "controlplane/cni/del_queue.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <unistd.h>

namespace fairlead::control {

namespace {

constexpr const char* kSuffix = ".del";
constexpr size_t kNamePart = 64;  // of the container id, for people; the hash makes the name unique

Error not_queued(const std::string& doing) {
  return {"FL4104", "the DEL cannot be noted for later: cannot " + doing + ": " + std::strerror(errno),
          "start fairlead-agent (systemctl start fairlead-agent), or make room on that file system"};
}

std::optional<AttachmentKey> read_note(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  const nlohmann::json note = nlohmann::json::parse(content, nullptr, false);
  if (!note.is_object() || !note.contains("container") || !note.contains("interface") ||
      !note["container"].is_string() || !note["interface"].is_string())
    return std::nullopt;
  return AttachmentKey{note["container"].get<std::string>(), note["interface"].get<std::string>()};
}

}  // namespace

std::string DelQueue::file_of(const AttachmentKey& key) const {
  char digest[24];
  std::snprintf(digest, sizeof digest, "-%016llx", static_cast<unsigned long long>(name_hash(key.text())));
  return directory_ + "/" + key.container_id.substr(0, kNamePart) + digest + kSuffix;
}

Result<void> DelQueue::put(const AttachmentKey& key) const {
  std::error_code failure;
  std::filesystem::create_directories(directory_, failure);
  if (failure) {
    errno = failure.value();
    return not_queued("create " + directory_);
  }
  const std::string file = file_of(key);
  const std::string aside = file + "." + std::to_string(::getpid()) + ".new";
  const std::string content =
      nlohmann::json{{"container", key.container_id}, {"interface", key.interface}}.dump(
          -1, ' ', true, nlohmann::json::error_handler_t::replace) +
      "\n";
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return not_queued("create " + aside);
  const bool written =
      ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) && ::fsync(fd) == 0;
  const int write_errno = errno;
  ::close(fd);
  errno = write_errno;
  if (!written || ::rename(aside.c_str(), file.c_str()) != 0) {
    const Error error = not_queued("write " + aside);
    ::unlink(aside.c_str());
    return error;
  }
  const int directory = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool durable = directory >= 0 && ::fsync(directory) == 0;
  if (directory >= 0) ::close(directory);
  if (!durable) return not_queued("flush " + directory_);
  return {};
}

std::vector<DelQueue::Note> DelQueue::list(std::vector<std::string>& problems) const {
  std::vector<Note> notes;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failure)) {
    if (entry.path().extension() != kSuffix) continue;
    if (std::optional<AttachmentKey> key = read_note(entry.path())) {
      notes.push_back({entry.path(), std::move(*key)});
      continue;
    }
    std::error_code ignored;  // the file is named either way
    std::filesystem::rename(entry.path(), entry.path().string() + ".bad", ignored);
    problems.push_back(entry.path().string() + " is no note of ours; set aside as *.bad");
  }
  std::sort(notes.begin(), notes.end(), [](const Note& a, const Note& b) { return a.file < b.file; });
  return notes;
}

bool DelQueue::contains(const AttachmentKey& key) const {
  return ::access(file_of(key).c_str(), F_OK) == 0;
}

void DelQueue::remove(const AttachmentKey& key) const {
  ::unlink(file_of(key).c_str());
}

}  // namespace fairlead::control
