#include "controlplane/manifests/directory_source.hpp"
#include "controlplane/manifests/manifests.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "tools/cli/verbs.hpp"

#include <filesystem>
#include <ostream>

namespace fairlead::cli {
namespace {

struct Validated {
  std::vector<Diagnostic> diagnostics;
  size_t objects = 0;
  std::vector<std::string> ignored;
};

// A directory as the agent would read it: all its manifests together, so that an object defined twice is
// found.
void validate_directory(const std::string& path, Validated& all) {
  control::DirectorySource source(path);
  if (const Result<void> opened = source.open(); !opened) {
    all.diagnostics.push_back(
        {opened.error().code, path, 0, 0, 1, opened.error().what, "", opened.error().fix});
    return;
  }
  all.objects += source.reload().size();
  const std::vector<Diagnostic> found = source.diagnostics();
  all.diagnostics.insert(all.diagnostics.end(), found.begin(), found.end());
}

void validate_file(const std::string& path, Validated& all) {
  const control::LoadedManifest manifest = control::load_manifest_file(path);
  all.objects += manifest.objects.size();
  all.diagnostics.insert(all.diagnostics.end(), manifest.diagnostics.begin(), manifest.diagnostics.end());
  all.ignored.insert(all.ignored.end(), manifest.ignored.begin(), manifest.ignored.end());
}

}  // namespace

Exit run_validate(Session& session) {
  Validated all;
  for (size_t i = 0; i < session.words(); ++i) {
    std::error_code ignored;
    if (std::filesystem::is_directory(session.word(i), ignored))
      validate_directory(session.word(i), all);
    else
      validate_file(session.word(i), all);
  }
  const bool valid = all.diagnostics.empty();
  if (session.is_structured()) {
    session.print({{"valid", valid},
                   {"objects", all.objects},
                   {"ignored", all.ignored},
                   {"diagnostics", Json::parse(to_json(all.diagnostics).dump())}});
    return valid ? kOk : kInvalid;
  }
  if (!valid) {
    session.print_diagnostics(all.diagnostics);
    return kInvalid;
  }
  session.out() << session.green("ok") << "  " << all.objects << (all.objects == 1 ? " object" : " objects")
                << "\n";
  for (const std::string& kind : all.ignored) session.out() << session.dim("    not read: " + kind) << "\n";
  return kOk;
}

}  // namespace fairlead::cli
