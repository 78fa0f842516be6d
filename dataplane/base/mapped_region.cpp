#include "dataplane/base/mapped_region.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fairlead {

namespace {

Error file_error(const std::string& path, const std::string& doing, int error, std::string fix) {
  return {"FL2205", "flow table file " + path + ": " + doing + ": " + std::strerror(error), std::move(fix)};
}

}  // namespace

MappedRegion::~MappedRegion() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (file_ >= 0) ::close(file_);
}

MappedRegion::MappedRegion(MappedRegion&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      file_(std::exchange(other.file_, -1)) {}

MappedRegion& MappedRegion::operator=(MappedRegion&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(file_, other.file_);
  return *this;
}

MappedRegion MappedRegion::reserve(size_t bytes) {
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // advice: a kernel without huge pages says no and nothing is lost
  MappedRegion region;
  region.data_ = memory;
  region.size_ = bytes;
  return region;
}

Result<MappedRegion> MappedRegion::file(const std::string& path, size_t bytes, bool& existed) {
  MappedRegion region;
  region.file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (region.file_ < 0) {
    return file_error(path, "cannot open", errno,
                      "choose a directory that exists and is writable, e.g. /run/fairlead");
  }
  if (::flock(region.file_, LOCK_EX | LOCK_NB) != 0) {
    return file_error(path, "cannot lock", errno, "stop the other process that uses it");
  }
  struct stat status {};
  if (::fstat(region.file_, &status) != 0) return file_error(path, "cannot stat", errno, {});
  existed = status.st_size == static_cast<off_t>(bytes);
  // Another size is another layout: cut to nothing first, so that no old byte survives.
  if (!existed &&
      (::ftruncate(region.file_, 0) != 0 || ::ftruncate(region.file_, static_cast<off_t>(bytes)) != 0)) {
    return file_error(path, "cannot resize to " + std::to_string(bytes) + " bytes", errno,
                      "make room on that file system");
  }
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region.file_, 0);
  if (memory == MAP_FAILED) return file_error(path, "cannot map", errno, {});
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  region.data_ = memory;
  region.size_ = bytes;
  return region;
}

}  // namespace fairlead
