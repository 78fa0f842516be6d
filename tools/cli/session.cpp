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

Result<rpc::NodeState> Session::ask_state(bool with_services, const std::string& service) const {
  // Between two pages a change may come in: then all is read anew, a few times at most.
  constexpr int kTries = 5;
  rpc::NodeState state;
  int tries = 0;
  for (uint32_t after = 0;;) {
    rpc::Request request;
    request.mutable_get_state()->set_without_services(!with_services);
    request.mutable_get_state()->set_services_after(after);
    request.mutable_get_state()->set_service(service);
    Result<rpc::Response> response = ask_dataplane(request, rpc::Response::kState);
    if (!response) return response.error();
    rpc::NodeState& page = *response->mutable_state();
    if (after != 0 && page.generation() != state.generation()) {
      if (++tries == kTries) {
        return Error{"FL6002", "the state changes faster than it can be read", "try again"};
      }
      after = 0;
      continue;
    }
    const uint32_t next = page.more_services_after();
    if (after == 0)
      state = std::move(page);
    else
      state.mutable_services()->MergeFrom(page.services());
    if (next == 0) {
      state.set_more_services_after(0);
      return state;
    }
    after = next;
  }
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
