#pragma once

#include <nlohmann/json.hpp>

#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fairlead::control {

// A directory of its own per object, gone afterwards.
class TestDirectory {
 public:
  TestDirectory() {
    static std::atomic<int> serial{0};
    path_ = std::filesystem::temp_directory_path() /
            ("fl-cni-" + std::to_string(::getpid()) + "-" + std::to_string(serial++));
    std::filesystem::create_directories(path_);
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] std::string text() const { return path_; }
  [[nodiscard]] static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void write(const std::string& file, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }

 private:
  std::filesystem::path path_;
};

struct PluginRun {
  int status = -1;
  std::string output, log;

  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(output, nullptr, false); }
  // The code of the error object; 0 when there is none.
  [[nodiscard]] int code() const {
    const nlohmann::json document = json();
    return document.is_object() ? document.value("code", 0) : 0;
  }
};

using Variables = std::map<std::string, std::string>;

// Runs the plugin exactly as a container runtime does. `input` "<closed>": standard input is not open.
inline PluginRun run_plugin_process(const Variables& variables, const std::string& input) {
  const TestDirectory scratch;
  TestDirectory::write(scratch / "in", input);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  if (input == "<closed>")
    ::posix_spawn_file_actions_addclose(&actions, 0);
  else
    ::posix_spawn_file_actions_addopen(&actions, 0, (scratch / "in").c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, (scratch / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_addopen(&actions, 2, (scratch / "err").c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<std::string> texts;
  for (const auto& [name, value] : variables) texts.push_back(name + "=" + value);
  std::vector<char*> environment;
  for (std::string& text : texts) environment.push_back(text.data());
  environment.push_back(nullptr);
  std::string program = FAIRLEAD_CNI;
  std::vector<char*> arguments = {program.data(), nullptr};
  pid_t pid = 0;
  PluginRun run;
  const int failed =
      ::posix_spawn(&pid, FAIRLEAD_CNI, &actions, nullptr, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return run;
  int status = 0;
  ::waitpid(pid, &status, 0);
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run.output = TestDirectory::read(scratch / "out");
  run.log = TestDirectory::read(scratch / "err");
  return run;
}

}  // namespace fairlead::control
