#include "dataplane/base/version.hpp"
#include "tools/cli/verbs.hpp"

#include <ostream>

namespace fairlead::cli {

// Also works where nothing runs: what cannot be asked is said to be absent.
Exit run_version(Session& session) {
  using Answer = rpc::Response::AnswerCase;
  rpc::Request of_dataplane, of_agent;
  of_dataplane.mutable_dataplane_status();
  of_agent.mutable_agent_status();
  const Result<rpc::Response> dataplane = session.ask_dataplane(of_dataplane, Answer::kDataplaneStatus);
  const Result<rpc::Response> agent = session.ask_agent(of_agent, Answer::kAgentStatus);
  const std::string dataplane_version = dataplane ? dataplane->dataplane_status().version() : "";
  const std::string agent_version = agent ? agent->agent_status().version() : "";
  if (session.is_structured()) {
    const auto or_null = [](const std::string& version) {
      return version.empty() ? Json(nullptr) : Json(version);
    };
    session.print({{"fairlead", kVersion},
                   {"dataplane", or_null(dataplane_version)},
                   {"agent", or_null(agent_version)}});
    return kOk;
  }
  session.out() << "fairlead   " << kVersion << "\n";
  session.out() << "dataplane  " << (dataplane_version.empty() ? "not running here" : dataplane_version)
                << "\n";
  session.out() << "agent      " << (agent_version.empty() ? "not running here" : agent_version) << "\n";
  return kOk;
}

}  // namespace fairlead::cli
