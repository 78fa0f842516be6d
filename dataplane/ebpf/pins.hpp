#pragma once

#include "dataplane/base/result.hpp"

#include <bpf/libbpf.h>

#include <filesystem>

namespace fairlead::ebpf {

// Makes sure that `bpf_dir`/v<FL_HOOKS_VERSION> exists on a bpffs and returns it. FL3101: no bpffs there.
// FL3102: cannot make it.
Result<std::filesystem::path> open_pin_directory(const std::filesystem::path& bpf_dir);

// Tells an object that is open but not loaded to pin each of its maps in `directory`, or to use what is
// pinned there. FL3103: a pin there is no map, or one of another layout.
Result<void> use_pins(bpf_object* object, const std::filesystem::path& directory);

}  // namespace fairlead::ebpf
