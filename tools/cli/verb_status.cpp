#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"

#include <chrono>
#include <ostream>
#include <thread>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;
using Clock = std::chrono::steady_clock;

struct Both {
  Result<rpc::Response> dataplane;
  Result<rpc::Response> agent;

  [[nodiscard]] bool reached() const { return dataplane.ok() && agent.ok(); }
  // The agent wants nothing the dataplane has not got.
  [[nodiscard]] bool settled() const {
    return reached() && agent->agent_status().dataplane_connected() &&
           agent->agent_status().wanted_generation() != 0 &&
           agent->agent_status().wanted_generation() == agent->agent_status().programmed_generation();
  }
};

Both ask_both(const Session& session) {
  rpc::Request of_dataplane, of_agent;
  of_dataplane.mutable_dataplane_status();
  of_agent.mutable_agent_status();
  return {session.ask_dataplane(of_dataplane, Answer::kDataplaneStatus),
          session.ask_agent(of_agent, Answer::kAgentStatus)};
}

std::string counted(uint64_t count, const std::string& noun) {
  return grouped(count) + " " + noun + (count == 1 ? "" : "s");
}

void print_dataplane(Session& session, const rpc::DataplaneStatus& status) {
  session.out() << session.bold("dataplane") << "   " << session.green("ok") << "  " << status.version()
                << ", engine " << status.engine() << ", " << counted(status.workers(), "worker") << ", pid "
                << status.pid() << ", up " << duration_text(status.uptime_seconds()) << "\n";
  if (status.generation() == 0) {
    session.out() << "            nothing is programmed yet\n";
  } else {
    session.out() << "            node " << status.node() << ", mode " << status.mode() << ", generation "
                  << status.generation() << ", " << counted(status.flows(), "flow") << "\n";
  }
  for (const std::string& note : status.notes())
    session.out() << "            " << session.dim("note: " + note) << "\n";
}

void print_agent(Session& session, const rpc::AgentStatus& status) {
  const bool well = status.dataplane_connected() && status.last_error().empty();
  session.out() << session.bold("agent") << "       " << (well ? session.green("ok") : session.red("!!"))
                << "  " << status.version() << ", pid " << status.pid() << ", up "
                << duration_text(status.uptime_seconds()) << ", source " << status.source()
                << "\n            node " << status.node() << ", mode " << status.mode() << ", "
                << counted(status.nodes(), "node") << ", " << counted(status.endpoints(), "endpoint")
                << ", generation " << status.programmed_generation();
  if (status.programmed_generation() != status.wanted_generation()) {
    session.out() << session.red(" of wanted " + std::to_string(status.wanted_generation()));
  }
  session.out() << "\n";
  if (!status.dataplane_connected())
    session.out() << "            " << session.red("not connected to the dataplane") << "\n";
  if (!status.last_error().empty())
    session.out() << "            " << session.red(status.last_error()) << "\n";
}

Json error_json(const Error& error) {
  return {{"code", error.code}, {"what", error.what}, {"fix", error.fix}};
}

Exit print_json(Session& session, const Both& both) {
  Json json{{"dataplane", nullptr}, {"agent", nullptr}, {"errors", Json::array()}};
  if (both.dataplane)
    json["dataplane"] = to_json(both.dataplane->dataplane_status());
  else
    json["errors"].push_back(error_json(both.dataplane.error()));
  if (both.agent)
    json["agent"] = to_json(both.agent->agent_status());
  else
    json["errors"].push_back(error_json(both.agent.error()));
  session.print(json);
  if (!both.dataplane) return exit_for(both.dataplane.error());
  return both.agent ? kOk : exit_for(both.agent.error());
}

}  // namespace

Exit run_status(Session& session) {
  const Clock::time_point deadline = Clock::now() + session.timeout();
  Both both = ask_both(session);
  const bool waits = session.line().given("wait");
  while (waits && !both.settled() && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    both = ask_both(session);
  }
  const bool in_vain = waits && !both.settled();
  if (session.is_structured()) {
    const Exit code = print_json(session, both);
    return code == kOk && in_vain ? kTimedOut : code;
  }
  if (both.dataplane) print_dataplane(session, both.dataplane->dataplane_status());
  if (both.agent) print_agent(session, both.agent->agent_status());
  Exit code = kOk;
  if (!both.agent) code = session.fail(both.agent.error());
  if (!both.dataplane) code = session.fail(both.dataplane.error());
  if (code == kOk && in_vain) {
    session.fail("not everything wanted is programmed after " +
                     std::to_string(session.line().number("timeout")) + " s",
                 "fairlead status shows the agent's last error");
    return kTimedOut;
  }
  return code;
}

}  // namespace fairlead::cli
