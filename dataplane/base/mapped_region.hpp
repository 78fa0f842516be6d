#pragma once

#include "dataplane/base/result.hpp"

#include <cstddef>
#include <string>

namespace fairlead {

// Memory from the kernel, page-aligned and zero until written, that never moves.
//
// System calls are made at set-up only. Owns the mapping (and the file's lock); movable.
class MappedRegion {
 public:
  MappedRegion() = default;
  ~MappedRegion();
  MappedRegion(MappedRegion&& other) noexcept;
  MappedRegion& operator=(MappedRegion&& other) noexcept;

  // Private memory of this process; pages are taken as they are touched, huge ones when the kernel has them.
  // Throws std::bad_alloc when the address space cannot be reserved.
  [[nodiscard]] static MappedRegion reserve(size_t bytes);

  // The file's first `bytes`, shared, created (0600) or grown as needed and locked against a second process.
  // `existed` says whether it had exactly this size before; otherwise it is all zero now.
  [[nodiscard]] static Result<MappedRegion> file(const std::string& path, size_t bytes, bool& existed);

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
  int file_ = -1;
};

}  // namespace fairlead
