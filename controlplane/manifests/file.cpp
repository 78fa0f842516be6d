#include "controlplane/manifests/file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fairlead::control {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  int close() {
    const int result = fd_ >= 0 ? ::close(fd_) : 0;
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

std::string reason() {
  return std::strerror(errno);
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return Error{"FL1001", path + ": " + reason(), "check the path and its permissions"};
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) return Error{"FL1001", path + ": " + reason()};
  if (!S_ISREG(about.st_mode)) return Error{"FL1001", path + " is not a file", "name a regular file"};
  const Error too_large{"FL1001", path + " is larger than " + std::to_string(limit >> 20) + " MiB",
                        "split it"};
  if (static_cast<std::size_t>(about.st_size) > limit) return too_large;
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t got = ::read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{"FL1001", path + ": " + reason()};
    if (got == 0) return text;
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > limit) return too_large;  // grew while we read
  }
}

Result<void> replace_file(const std::string& path, std::string_view text, const std::string& code) {
  const auto failed = [&](const char* doing) {
    return Error{code, std::string("cannot ") + doing + " " + path + ": " + reason(),
                 "check the directory's permissions and space"};
  };
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  // Hidden, so that nobody who lists manifests takes it for one.
  std::string aside =
      (slash == std::string::npos ? "" : directory) + "." + path.substr(slash + 1) + ".XXXXXX";
  Descriptor file(::mkostemp(aside.data(), O_CLOEXEC));
  if (file.get() < 0) return failed("write beside");
  const auto give_up = [&](const char* doing) {
    Error error = failed(doing);  // before unlink() changes errno
    ::unlink(aside.c_str());
    return error;
  };
  struct stat about {};
  const bool exists = ::stat(path.c_str(), &about) == 0;
  if (::fchmod(file.get(), exists ? about.st_mode & 07777 : 0644) != 0) return give_up("set permissions of");
  if (exists && ::fchown(file.get(), about.st_uid, about.st_gid) != 0 && errno != EPERM)
    return give_up("set the owner of");
  while (!text.empty()) {
    const ssize_t put = ::write(file.get(), text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return give_up("write");
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(file.get()) != 0 || file.close() != 0) return give_up("write");
  if (::rename(aside.c_str(), path.c_str()) != 0) return give_up("replace");
  const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.get() >= 0) ::fsync(parent.get());  // best effort: the rename itself has happened
  return {};
}

}  // namespace fairlead::control
