#include "dataplane/rpc/lock_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace fairlead::ipc {

Result<LockFile> LockFile::take(const std::string& path, const std::string& process) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    return Error{"FL5057", "cannot open the lock file " + path + ": " + std::strerror(errno),
                 "make its directory and run as root, or choose another --run-dir"};
  }
  LockFile lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    char holder[16] = {};
    const ssize_t n = pread(descriptor, holder, sizeof(holder) - 1, 0);
    const std::string pid(holder, n > 0 ? strcspn(holder, "\n") : 0);
    return Error{"FL5052",
                 process + " runs already" + (pid.empty() ? "" : " (pid " + pid + ")") + ": it holds " + path,
                 "stop that one first, or give this one its own --run-dir"};
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0) {
    return Error{"FL5057", "cannot write the lock file " + path + ": " + std::strerror(errno),
                 "make room on its file system"};
  }
  return lock;
}

LockFile::LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

LockFile::~LockFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace fairlead::ipc
