#include "tools/cli/session.hpp"

#include "dataplane/base/diagnostic.hpp"

#include <array>
#include <ostream>
#include <utility>

namespace fairlead::cli {
namespace {

constexpr std::array<std::pair<const char*, Format>, 5> kFormats{{{"table", Format::kTable},
                                                                  {"wide", Format::kWide},
                                                                  {"json", Format::kJson},
                                                                  {"yaml", Format::kYaml},
                                                                  {"name", Format::kName}}};

}  // namespace

Session::Session(const CommandLine& line, Terminal& terminal)
    : line_(line), terminal_(terminal), format_(Format::kTable) {
  for (const auto& [word, format] : kFormats) {
    if (line.text("output") == word) format_ = format;
  }
}

std::chrono::milliseconds Session::timeout() const {
  return std::chrono::seconds(line_.number("timeout"));
}

ipc::ClientOptions Session::client_options(ipc::Service service) const {
  ipc::ClientOptions options;
  options.service = service;
  options.run_dir = line_.text("run-dir");
  options.request_timeout = timeout();
  return options;
}

Result<rpc::Response> Session::ask_dataplane(const rpc::Request& request,
                                             rpc::Response::AnswerCase expected) const {
  return ipc::ask(client_options(ipc::Service::kDataplane), request, expected);
}

Result<rpc::Response> Session::ask_agent(const rpc::Request& request, rpc::Response::AnswerCase expected,
                                         std::chrono::milliseconds extra) const {
  return ipc::ask(client_options(ipc::Service::kAgent), request, expected, timeout() + extra);
}

void Session::print(const Json& value) {
  if (format_ == Format::kYaml)
    out() << to_yaml(value);
  else
    out() << value.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
}

void Session::print_diagnostics(const std::vector<Diagnostic>& diagnostics) {
  err() << render(diagnostics, terminal_.colour_err);
}

Exit Session::fail(const Error& error) {
  if (is_structured())
    print({{"error", {{"code", error.code}, {"what", error.what}, {"fix", error.fix}}}});
  else
    err() << render(error, terminal_.colour_err);
  return exit_for(error);
}

}  // namespace fairlead::cli
