#include "tools/cli/interrupt.hpp"
#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"

#include <ctime>
#include <map>
#include <ostream>
#include <utility>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;
using Key = std::pair<std::string, std::string>;  // stage, name

Result<rpc::CountersReply> ask_counters(const Session& session) {
  rpc::Request request;
  request.mutable_get_counters();
  Result<rpc::Response> response = session.ask_dataplane(request, Answer::kCounters);
  if (!response) return response.error();
  return response->counters();
}

std::string clock_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  char text[16];
  std::strftime(text, sizeof(text), "%H:%M:%S", &parts);
  return text;
}

Exit print_once(Session& session, const rpc::CountersReply& counters) {
  const bool all = session.line().given("all");
  if (session.is_structured()) {
    Json json = to_json(counters);
    if (!all) {
      Json some = Json::array();
      for (const Json& row : json["drops"]) {
        if (row["count"] != 0) some.push_back(row);
      }
      json["drops"] = std::move(some);
    }
    session.print(json);
  } else {
    Table table({{"STAGE"}, {"REASON"}, {"PACKETS", true}, {"WHAT IT MEANS"}}, true);
    for (const rpc::NamedCount& row : counters.drops()) {
      if (row.count() == 0 && !all) continue;
      table.add({row.stage(), row.name(), grouped(row.count()), row.sentence()});
    }
    if (table.empty())
      session.out() << "nothing was dropped\n";
    else
      session.out() << table.text();
  }
  if (counters.conserved()) return kOk;
  session.err() << "the forwarder's counters do not add up: in != forwarded + answered + punted + held + "
                   "drops; please report it\n";
  return kProblems;
}

void print_increase(Session& session, const rpc::NamedCount& row, uint64_t increase) {
  if (session.is_structured()) {
    Json json = to_json(row);
    json["increase"] = increase;
    json["time"] = std::time(nullptr);
    session.out() << json.dump() << "\n";
  } else {
    session.out() << clock_text() << "  +" << grouped(increase) << "  " << session.bold(row.name()) << "  "
                  << row.stage() << ": " << row.sentence() << "\n";
  }
}

Exit follow(Session& session) {
  const Interrupt interrupt;
  std::map<Key, uint64_t> before;
  bool first = true;
  do {
    const Result<rpc::CountersReply> counters = ask_counters(session);
    if (!counters) return session.fail(counters.error());
    for (const rpc::NamedCount& row : counters->drops()) {
      uint64_t& last = before[{row.stage(), row.name()}];
      // Less than before: the dataplane was restarted and counts anew.
      const uint64_t increase = row.count() < last ? row.count() : row.count() - last;
      if (!first && increase != 0) print_increase(session, row, increase);
      last = row.count();
    }
    session.out().flush();
    if (!session.out()) return kFailed;
    first = false;
  } while (!interrupt.sleep(std::chrono::seconds(session.line().number("interval"))));
  return kOk;
}

}  // namespace

Exit run_drops(Session& session) {
  if (session.line().given("follow")) return follow(session);
  Result<rpc::CountersReply> counters = ask_counters(session);
  if (!counters) return session.fail(counters.error());
  return print_once(session, *counters);
}

}  // namespace fairlead::cli
