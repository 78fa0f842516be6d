#pragma once

#include "dataplane/base/command_line.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/rpc/client.hpp"
#include "tools/cli/exit_code.hpp"
#include "tools/cli/json.hpp"

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::cli {

enum class Format { kTable, kWide, kJson, kYaml, kName };

// Where a command writes, and whether people read it there.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool colour = false;      // `out` is a terminal that may be coloured
  bool colour_err = false;  // the same for `err`
};

// One run of the command: what was asked, where to write, whom to ask.
class Session {
 public:
  Session(const CommandLine& line, Terminal& terminal);

  [[nodiscard]] const CommandLine& line() const { return line_; }
  [[nodiscard]] const std::string& word(size_t index) const { return line_.words()[index]; }
  [[nodiscard]] size_t words() const { return line_.words().size(); }
  [[nodiscard]] Format format() const { return format_; }
  [[nodiscard]] bool is_structured() const { return format_ == Format::kJson || format_ == Format::kYaml; }
  [[nodiscard]] std::ostream& out() { return terminal_.out; }
  [[nodiscard]] std::ostream& err() { return terminal_.err; }
  [[nodiscard]] std::chrono::milliseconds timeout() const;

  [[nodiscard]] ipc::ClientOptions client_options(ipc::Service service) const;
  [[nodiscard]] Result<rpc::Response> ask_dataplane(const rpc::Request& request,
                                                    rpc::Response::AnswerCase expected) const;
  // The dataplane's state, all pages of it; of the Services none, all, or those of `service`
  // (namespace/name).
  [[nodiscard]] Result<rpc::NodeState> ask_state(bool with_services, const std::string& service = {}) const;
  // `extra`: time the agent is allowed to think by the request itself.
  [[nodiscard]] Result<rpc::Response> ask_agent(const rpc::Request& request,
                                                rpc::Response::AnswerCase expected,
                                                std::chrono::milliseconds extra = {}) const;

  // Prints `value` as -o json or yaml asks.
  void print(const Json& value);
  // Text for people on standard output, in bold, red, green or dim where colours are wanted.
  [[nodiscard]] std::string bold(const std::string& text) const { return painted("\033[1m", text); }
  [[nodiscard]] std::string red(const std::string& text) const { return painted("\033[31m", text); }
  [[nodiscard]] std::string green(const std::string& text) const { return painted("\033[32m", text); }
  [[nodiscard]] std::string dim(const std::string& text) const { return painted("\033[2m", text); }

  // Says what went wrong (on standard error; with -o json as JSON on standard output) and which exit code
  // that is.
  Exit fail(const Error& error);
  Exit fail(const std::string& what, const std::string& fix = {}, const std::string& code = "FL6002") {
    return fail(Error{code, what, fix});
  }
  // All that is wrong in manifests, on standard error.
  void print_diagnostics(const std::vector<Diagnostic>& diagnostics);

 private:
  [[nodiscard]] std::string painted(const char* start, const std::string& text) const {
    return terminal_.colour ? start + text + "\033[0m" : text;
  }

  const CommandLine& line_;
  Terminal& terminal_;
  Format format_;
};

}  // namespace fairlead::cli
