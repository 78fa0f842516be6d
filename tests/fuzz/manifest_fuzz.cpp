#include "controlplane/manifests/manifests.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// Any text is read without a crash, a throw or an endless loop; what is wrong has a place inside the text,
// and what is right stays right when it is read again.

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "manifest_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const control::LoadedManifest loaded = control::load_manifest(text, "fuzz.yaml");
  require(loaded.diagnostics.empty() || loaded.objects.empty(), "a wrong file gave objects");
  uint32_t lines = 1;
  for (const char c : text) lines += c == '\n' ? 1 : 0;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    require(diagnostic.line <= lines + 1, "a diagnostic is behind the end");
    require(!diagnostic.code.empty() && !diagnostic.what.empty(), "a diagnostic says nothing");
    require(render(diagnostic).size() < 2048 + 2 * diagnostic.what.size(),
            "a diagnostic floods the terminal");
  }
  const control::LoadedManifest again = control::load_manifest(text, "fuzz.yaml");
  require(again.objects == loaded.objects && again.diagnostics == loaded.diagnostics,
          "reading is not repeatable");
  return 0;
}
