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
  std::vector<std::string> refused;  // entries of objects that will be left out
};

void note_refused(const std::string& object, const std::vector<control::ObjectProblem>& problems,
                  Validated& all) {
  for (const control::ObjectProblem& problem : problems)
    all.refused.push_back(problem.code + " " + object + " " + problem.field + ": " + problem.reason);
}
void note_refused(const control::ServiceObject& service, Validated& all) {
  note_refused("service/" + key_of(service), service.problems, all);
}
void note_refused(const control::EndpointSliceObject& slice, Validated& all) {
  note_refused("endpointslice/" + key_of(slice), slice.problems, all);
}

// A directory as the agent would read it: all its manifests together, so that an object defined twice is
// found.
void validate_directory(const std::string& path, Validated& all) {
  control::DirectorySource source(path);
  if (const Result<void> opened = source.open(); !opened) {
    all.diagnostics.push_back(
        {opened.error().code, path, 0, 0, 1, opened.error().what, "", opened.error().fix});
    return;
  }
  const std::vector<control::Event> events = source.reload();
  all.objects += events.size();
  for (const control::Event& event : events) {
    if (const auto* service = std::get_if<control::ServiceUpserted>(&event))
      note_refused(service->service, all);
    if (const auto* slice = std::get_if<control::EndpointSliceUpserted>(&event))
      note_refused(slice->slice, all);
  }
  const std::vector<Diagnostic> found = source.diagnostics();
  all.diagnostics.insert(all.diagnostics.end(), found.begin(), found.end());
}

void validate_file(const std::string& path, Validated& all) {
  const control::LoadedManifest manifest = control::load_manifest_file(path);
  all.objects += manifest.objects.size();
  for (const control::ManifestObject& object : manifest.objects) {
    if (const auto* service = std::get_if<control::ServiceObject>(&object.value)) note_refused(*service, all);
    if (const auto* slice = std::get_if<control::EndpointSliceObject>(&object.value))
      note_refused(*slice, all);
  }
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
  // A file with a bad entry is taken; what is left out is a problem all the same.
  const Exit code = !valid ? kInvalid : all.refused.empty() ? kOk : kProblems;
  if (session.is_structured()) {
    session.print({{"valid", valid},
                   {"objects", all.objects},
                   {"ignored", all.ignored},
                   {"refused", all.refused},
                   {"diagnostics", Json::parse(to_json(all.diagnostics).dump())}});
    return code;
  }
  if (!valid) {
    session.print_diagnostics(all.diagnostics);
    return kInvalid;
  }
  session.out() << session.green("ok") << "  " << all.objects << (all.objects == 1 ? " object" : " objects")
                << "\n";
  for (const std::string& kind : all.ignored) session.out() << session.dim("    not read: " + kind) << "\n";
  for (const std::string& entry : all.refused) session.err() << "left out: " << entry << "\n";
  return code;
}

}  // namespace fairlead::cli
