#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fairlead::control {

// One object of a manifest that we read, and where it stands.
struct ManifestObject {
  std::variant<NodeObject, PodObject, ClusterNetwork, ServiceObject, EndpointSliceObject> value;
  std::string key;  // node/node-1, pod/default/a, service/default/web
  uint32_t line = 0, column = 0;

  bool operator==(const ManifestObject&) const = default;
};

// A manifest, read. With any diagnostic `objects` is empty: a wrong file is refused whole.
struct LoadedManifest {
  std::vector<ManifestObject> objects;
  std::vector<Diagnostic> diagnostics;  // sorted
  std::vector<std::string> ignored;     // kinds that were there and that we do not read: "apps/v1 Deployment"
};

// *.yaml, *.yml and *.json that are not hidden.
[[nodiscard]] bool is_manifest_name(std::string_view name);

inline constexpr std::size_t kMaxManifestBytes = 8u << 20;

// Reads every document of `text` (YAML, several documents, kind: List, or JSON). Pure; `file_name` is only
// quoted.
[[nodiscard]] LoadedManifest load_manifest(std::string_view text, const std::string& file_name);

// The same for a file on disk; a file that cannot be read is a diagnostic, too.
[[nodiscard]] LoadedManifest load_manifest_file(const std::string& path);

// Writes spec.mode into the file of `directory` that defines the ClusterNetwork (or into a new
// cluster-network.yaml when none does), by atomic rename; every other byte of the file stays as it is. The
// agent notices as with any other edit.
[[nodiscard]] Result<void> write_mode(const std::string& directory, Mode mode);

}  // namespace fairlead::control
