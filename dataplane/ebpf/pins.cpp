#include "dataplane/ebpf/pins.hpp"

#include "dataplane/ebpf/file_descriptor.hpp"
#include "dataplane/tables/hooks.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <linux/magic.h>
#include <string>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace fairlead::ebpf {
namespace {

bool is_on_bpffs(const std::filesystem::path& path) {
  struct statfs facts {};
  return statfs(path.c_str(), &facts) == 0 && static_cast<unsigned long>(facts.f_type) == BPF_FS_MAGIC;
}

std::string layout_text(unsigned type, unsigned key, unsigned value, unsigned entries, unsigned flags) {
  const char* name = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return std::string(name == nullptr ? "unknown" : name) + " map with keys of " + std::to_string(key) +
         " bytes, values of " + std::to_string(value) + ", " + std::to_string(entries) + " entries, flags " +
         std::to_string(flags);
}

Result<void> check_pin(const bpf_map* map, const std::filesystem::path& path) {
  const auto refuse = [&](const std::string& found) {
    return Error{"FL3103",
                 "pin " + path.string() + " is " + found + "; this version works with a " +
                     layout_text(bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
                                 bpf_map__max_entries(map), bpf_map__map_flags(map)),
                 "start the version that made it, or remove it: rm " + path.string()};
  };
  const FileDescriptor pin(bpf_obj_get(path.c_str()));
  if (!pin) {
    if (errno == ENOENT) return {};
    return refuse(std::string("not readable as a BPF map (") + std::strerror(errno) + ")");
  }
  bpf_map_info found{};
  __u32 length = sizeof(found);
  if (bpf_obj_get_info_by_fd(pin.get(), &found, &length) != 0 || found.type == 0) return refuse("no BPF map");
  if (found.type != bpf_map__type(map) || found.key_size != bpf_map__key_size(map) ||
      found.value_size != bpf_map__value_size(map) || found.max_entries != bpf_map__max_entries(map) ||
      found.map_flags != bpf_map__map_flags(map)) {
    return refuse(
        "a " + layout_text(found.type, found.key_size, found.value_size, found.max_entries, found.map_flags));
  }
  return {};
}

}  // namespace

Result<std::filesystem::path> open_pin_directory(const std::filesystem::path& bpf_dir) {
  std::filesystem::path existing = bpf_dir;
  std::error_code ignored;
  while (!std::filesystem::exists(existing, ignored) && existing.has_relative_path())
    existing = existing.parent_path();
  if (!is_on_bpffs(existing)) {
    return Error{"FL3101", "no BPF file system is mounted at " + bpf_dir.string() + " or above it",
                 "mount -t bpf bpf /sys/fs/bpf   (inside `ip netns exec`, too: it mounts a fresh /sys)"};
  }
  const auto directory = bpf_dir / ("v" + std::to_string(FL_HOOKS_VERSION));
  const mode_t mask = umask(077);
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  umask(mask);
  if (failure) {
    return Error{"FL3102",
                 "cannot make the directory for pins " + directory.string() + ": " + failure.message(),
                 failure.value() == EPERM || failure.value() == EACCES ? "run as root" : ""};
  }
  return directory;
}

Result<void> use_pins(bpf_object* object, const std::filesystem::path& directory) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map)) continue;
    const auto path = directory / bpf_map__name(map);
    if (auto known = check_pin(map, path); !known) return known.error();
    if (const int error = bpf_map__set_pin_path(map, path.c_str()); error != 0) {
      return Error{"FL3102", "cannot set the pin " + path.string() + ": " + std::strerror(-error)};
    }
  }
  return {};
}

}  // namespace fairlead::ebpf
