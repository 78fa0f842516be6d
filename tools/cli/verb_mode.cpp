#include "dataplane/base/diagnostic.hpp"
#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"

#include <cctype>
#include <ostream>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;

constexpr std::string_view kModes[] = {"Overlay", "Routed", "Auto"};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

Result<rpc::WaitReply> wait_for(Session& session, uint64_t generation) {
  rpc::Request request;
  request.mutable_wait()->set_for_generation(generation);
  request.mutable_wait()->set_timeout_ms(static_cast<uint32_t>(session.timeout().count()));
  // The agent says itself that the time is over, and which generation it has; give that answer a moment to
  // arrive.
  const Result<rpc::Response> response = session.ask_agent(request, Answer::kWait, std::chrono::seconds(2));
  if (!response) return response.error();
  return response->wait();
}

Exit show_mode(Session& session) {
  const Result<rpc::NodeState> answer = session.ask_state(false);
  if (!answer) return session.fail(answer.error());
  const rpc::NodeState& state = *answer;
  if (session.is_structured()) {
    Json peers = Json::array();
    for (const rpc::Peer& peer : state.peers())
      peers.push_back({{"node", peer.node()}, {"transport", peer.transport()}});
    session.print({{"mode", state.settings().mode()}, {"peers", std::move(peers)}});
    return kOk;
  }
  if (state.generation() == 0) {
    session.out() << "nothing is programmed yet\n";
    return kOk;
  }
  session.out() << session.bold(lower(state.settings().mode())) << "\n";
  Table table({{"NODE"}, {"TRANSPORT"}, {"TUNNEL END"}, {"NEXT HOP"}}, false);
  for (const rpc::Peer& peer : state.peers()) {
    const std::string both = peer.next_hop4() +
                             (peer.next_hop4().empty() || peer.next_hop6().empty() ? "" : ",") +
                             peer.next_hop6();
    table.add({peer.node(), peer.transport(), peer.vtep(), both});
  }
  if (!table.empty()) session.out() << table.text();
  return kOk;
}

}  // namespace

Exit run_mode(Session& session) {
  if (session.words() == 0) return show_mode(session);
  const std::string wanted = lower(session.word(0));
  std::string mode;
  for (const std::string_view candidate : kModes) {
    if (lower(candidate) == wanted) mode = candidate;
  }
  if (mode.empty()) {
    const std::string_view close = nearest(wanted, {"overlay", "routed", "auto"});
    return session.fail(
        "there is no mode \"" + session.word(0) + "\"",
        close.empty() ? "one of overlay, routed, auto" : "did you mean: fairlead mode " + std::string(close),
        "FL6001");
  }
  rpc::Request request;
  request.mutable_set_mode()->set_mode(mode);
  const Result<rpc::Response> response = session.ask_agent(request, Answer::kSetMode);
  if (!response) return session.fail(response.error());
  uint64_t generation = response->set_mode().generation();
  const bool waits = session.line().given("wait");
  if (waits) {
    const Result<rpc::WaitReply> waited = wait_for(session, generation);
    if (!waited) return session.fail(waited.error());
    generation = waited->generation();
  }
  if (session.is_structured())
    session.print({{"mode", mode}, {"generation", generation}, {"programmed", waits}});
  else
    session.out() << "mode " << wanted << (waits ? ", programmed with" : ", wanted with") << " generation "
                  << generation << "\n";
  return kOk;
}

Exit run_wait(Session& session) {
  const CommandLine& line = session.line();
  const uint64_t wanted = line.given("for-generation") ? line.number("for-generation") : 0;
  const Result<rpc::WaitReply> waited = wait_for(session, wanted);
  if (!waited) return session.fail(waited.error());
  if (session.is_structured())
    session.print(to_json(*waited));
  else
    session.out() << "generation " << waited->generation() << " is programmed\n";
  return kOk;
}

}  // namespace fairlead::cli
