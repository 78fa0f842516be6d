#include "controlplane/agent/generation_file.hpp"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace fairlead::control {

GenerationFile::GenerationFile(std::string path) : path_(std::move(path)) {
  std::string text;
  std::getline(std::ifstream(path_), text);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) last_ = value;
}

void GenerationFile::at_least(uint64_t generation) {
  if (generation > last_) last_ = generation;
}

uint64_t GenerationFile::next(Result<void>& written) {
  ++last_;
  const std::string aside = path_ + ".new";
  std::ofstream file(aside, std::ios::trunc);
  file << last_ << "\n";
  file.close();
  written = Result<void>();
  if (!file || std::rename(aside.c_str(), path_.c_str()) != 0) {
    written = Error{"FL5023", "cannot write " + path_ + ": " + std::strerror(errno),
                    "check the space and permissions of the state directory"};
  }
  return last_;
}

}  // namespace fairlead::control
