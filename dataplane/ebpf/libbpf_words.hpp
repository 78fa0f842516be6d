#pragma once

#include <string>

namespace fairlead::ebpf {

// Collects what libbpf and the kernel's verifier say while it lives, instead of letting them write to stderr.
//
// One at a time per thread. libbpf has one print function per process; it is set once and finds the thread's
// collector.
class LibbpfWords {
 public:
  LibbpfWords();
  ~LibbpfWords();
  LibbpfWords(const LibbpfWords&) = delete;
  LibbpfWords& operator=(const LibbpfWords&) = delete;

  // The last few lines, in one; empty when nothing was said.
  [[nodiscard]] std::string text() const;
};

}  // namespace fairlead::ebpf
