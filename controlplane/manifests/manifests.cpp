#include "controlplane/manifests/manifests.hpp"

#include "controlplane/manifests/decode.hpp"
#include "controlplane/manifests/directory_source.hpp"
#include "controlplane/manifests/file.hpp"
#include "controlplane/manifests/schema.hpp"
#include "controlplane/manifests/yaml.hpp"

#include <algorithm>
#include <filesystem>
#include <limits.h>
#include <map>
#include <stdlib.h>
#include <tuple>

namespace fairlead::control {
namespace {

void check_duplicates(const std::vector<ManifestObject>& objects, YamlReport& report) {
  std::map<std::string_view, const ManifestObject*> seen;
  for (const ManifestObject& object : objects) {
    const auto [first, is_new] = seen.emplace(object.key, &object);
    if (is_new) continue;
    report.add_at(
        "FL1015", object.line, object.column, 1, object.key + " is defined here for the second time",
        "keep one of the two",
        "first at " + std::to_string(first->second->line) + ":" + std::to_string(first->second->column));
  }
}

// Where spec.mode stands in a text, or where it would go.
struct ModePlace {
  uint32_t line = 0, column = 0;
  std::size_t length = 0;  // bytes to replace
  std::string before, after;
};

std::optional<ModePlace> find_mode(std::string_view text, YamlReport& report) {
  for (const YamlDocument& document : read_yaml(text, report)) {
    if (!document.root->is_mapping()) continue;
    const YamlNode* kind = document.root->find("kind");
    if (kind == nullptr || kind->text != "ClusterNetwork") continue;
    const YamlNode* spec = document.root->find("spec");
    if (spec == nullptr || !spec->is_mapping() || spec->members.empty()) return std::nullopt;
    if (const YamlNode* mode = spec->find("mode")) {
      const std::size_t quotes = mode->is_quoted ? 2 : 0;
      const std::string quote =
          mode->is_quoted ? std::string(1, text[report.offset(mode->line, mode->column)]) : "";
      return ModePlace{mode->line, mode->column, mode->text.size() + quotes, quote, quote};
    }
    // In front of the first member, in its style.
    const YamlNode& first = *spec->members.front().key;
    const bool is_flow = text[report.offset(spec->line, spec->column)] == '{';
    const bool is_json = first.is_quoted;
    const std::string name = is_json ? "\"mode\": \"" : "mode: ";
    const std::string end = is_json ? "\"" : "";
    return ModePlace{first.line, first.column, 0, name,
                     end + (is_flow ? ", " : "\n" + std::string(first.column - 1, ' '))};
  }
  return std::nullopt;
}

// The file that defines the network: the first by name, as the source decides it.
Result<std::string> network_file(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (is_manifest_name(entry.path().filename().string())) names.push_back(entry.path().string());
  }
  if (error)
    return Error{"FL1020", directory + ": " + error.message(), "check the directory given with --manifests"};
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const LoadedManifest loaded = load_manifest_file(name);
    for (const ManifestObject& object : loaded.objects) {
      if (std::holds_alternative<ClusterNetwork>(object.value)) return name;
    }
    if (loaded.diagnostics.empty()) continue;
    // A wrong file that would define the network must not get a second one beside it.
    const auto text = read_whole_file(name, kMaxManifestBytes);
    if (text && text->find("ClusterNetwork") != std::string::npos) {
      return Error{
          "FL1020",
          "the file that defines the ClusterNetwork is wrong: " + to_error(loaded.diagnostics[0]).what,
          "correct it first: fairlead validate " + name};
    }
  }
  return std::string();
}

}  // namespace

bool is_manifest_name(std::string_view name) {
  if (name.empty() || name.front() == '.') return false;
  return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

LoadedManifest load_manifest(std::string_view text, const std::string& file_name) {
  LoadedManifest loaded;
  YamlReport report(text, file_name);
  if (text.size() > kMaxManifestBytes) {
    report.add_file("FL1001", "is larger than " + std::to_string(kMaxManifestBytes >> 20) + " MiB",
                    "split it");
  } else {
    for (YamlDocument& document : read_yaml(text, report)) {
      DecodedDocument decoded = decode_document(*document.root, report);
      if (decoded.is_ours) {
        for (Diagnostic& doubt : document.doubts) report.diagnostics().push_back(std::move(doubt));
      }
      std::move(decoded.objects.begin(), decoded.objects.end(), std::back_inserter(loaded.objects));
      std::move(decoded.ignored.begin(), decoded.ignored.end(), std::back_inserter(loaded.ignored));
    }
    check_duplicates(loaded.objects, report);
  }
  loaded.diagnostics = std::move(report.diagnostics());
  std::stable_sort(loaded.diagnostics.begin(), loaded.diagnostics.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::tie(a.line, a.column) < std::tie(b.line, b.column);
                   });
  if (!loaded.diagnostics.empty()) loaded.objects.clear();
  return loaded;
}

LoadedManifest load_manifest_file(const std::string& path) {
  const auto text = read_whole_file(path, kMaxManifestBytes);
  if (text) return load_manifest(*text, path);
  LoadedManifest loaded;
  loaded.diagnostics.push_back(
      {.code = text.error().code, .file = {}, .what = text.error().what, .fix = text.error().fix});
  return loaded;
}

Result<void> write_mode(const std::string& directory, Mode mode) {
  const auto name = network_file(directory);
  if (!name) return name.error();
  const std::string word(mode_name(mode));
  if (name->empty()) {
    ClusterNetwork network;
    network.mode = mode;
    return replace_file(
        directory + "/cluster-network.yaml",
        "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\nspec:\n  mode: " +
            word + "\n",
        "FL1020");
  }
  const auto text = read_whole_file(*name, kMaxManifestBytes);
  if (!text) return text.error();
  YamlReport report(*text, *name);
  const auto place = find_mode(*text, report);
  const Error not_editable{"FL1020",
                           *name + ": spec.mode cannot be edited without changing more than the mode",
                           "set spec.mode: " + word + " in the file by hand"};
  if (!place) return not_editable;
  std::string edited = *text;
  edited.replace(report.offset(place->line, place->column), place->length,
                 place->before + word + place->after);

  // Nothing but the mode may be another one now.
  std::vector<ManifestObject> wanted = load_manifest(*text, *name).objects;
  for (ManifestObject& object : wanted) {
    if (auto* network = std::get_if<ClusterNetwork>(&object.value)) network->mode = mode;
  }
  const LoadedManifest result = load_manifest(edited, *name);
  const auto same = [](const ManifestObject& a, const ManifestObject& b) {
    return a.key == b.key && a.value == b.value;
  };
  if (!result.diagnostics.empty() ||
      !std::equal(wanted.begin(), wanted.end(), result.objects.begin(), result.objects.end(), same)) {
    return not_editable;
  }
  // A symbolic link stays one: what it points to is replaced.
  char real[PATH_MAX];
  if (::realpath(name->c_str(), real) == nullptr) return Error{"FL1020", *name + " vanished", "try again"};
  return edited == *text ? Result<void>() : replace_file(real, edited, "FL1020");
}

}  // namespace fairlead::control
