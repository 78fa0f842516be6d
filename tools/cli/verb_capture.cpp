#include "dataplane/base/version.hpp"
#include "dataplane/core/counters.hpp"
#include "tools/cli/interrupt.hpp"
#include "tools/cli/pcapng.hpp"
#include "tools/cli/table.hpp"
#include "tools/cli/verbs.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <ostream>

namespace fairlead::cli {
namespace {

using Answer = rpc::Response::AnswerCase;

Result<std::map<uint32_t, std::string>> ask_port_names(const Session& session) {
  rpc::Request request;
  request.mutable_get_ports();
  const Result<rpc::Response> response = session.ask_dataplane(request, Answer::kPorts);
  if (!response) return response.error();
  std::map<uint32_t, std::string> names;
  for (const rpc::Port& port : response->ports().ports()) names[port.id()] = port.device();
  return names;
}

std::string sentence_of(const std::string& reason) {
  for (size_t i = 0; i < static_cast<size_t>(core::DropReason::kCount); ++i) {
    const core::NameAndSentence words = describe(static_cast<core::DropReason>(i));
    if (words.name == reason) return std::string(words.sentence);
  }
  return "";
}

PcapngWriter::Frame frame_of(const rpc::CapturedPacket& packet,
                             const std::map<uint32_t, std::string>& ports) {
  PcapngWriter::Frame frame;
  frame.interface = packet.port();
  const auto name = ports.find(packet.port());
  frame.interface_name = name == ports.end() ? "port " + std::to_string(packet.port()) : name->second;
  frame.time_ns = packet.time_ns();
  frame.original_length = packet.original_length();
  frame.bytes = packet.frame();
  frame.direction =
      packet.stage() == "tx" ? PcapngWriter::Direction::kOutbound : PcapngWriter::Direction::kInbound;
  if (!packet.drop_reason().empty()) {
    const std::string sentence = sentence_of(packet.drop_reason());
    frame.comment = "dropped: " + packet.drop_reason() + (sentence.empty() ? "" : " (" + sentence + ")");
  }
  return frame;
}

struct Tally {
  uint64_t packets = 0, lost = 0;
};

// Until the count is reached, the user interrupts, or the stream ends in an error.
Result<Tally> copy_stream(ipc::Client& client, std::ostream& file, Session& session,
                          const std::map<uint32_t, std::string>& ports) {
  const Interrupt interrupt;
  PcapngWriter writer(file, "fairlead " + std::string(kVersion),
                      static_cast<uint32_t>(session.line().number("snap")));
  Tally tally;
  while (interrupt.wait_readable(client.descriptor())) {
    const Result<rpc::Response> item = client.receive(session.timeout());
    if (!item) return item.error();
    if (item->has_done()) break;
    if (!item->has_captured())
      return Error{"FL5055", "the dataplane sent something else than packets", "fairlead version"};
    const rpc::CapturedPacket& packet = item->captured();
    if (packet.frame().empty()) {
      session.err() << "capturing; Ctrl-C ends\n" << std::flush;
      continue;
    }
    writer.write(frame_of(packet, ports));
    file.flush();  // so that a reader at the other end of a pipe sees it at once
    ++tally.packets;
    tally.lost = packet.lost();
    if (!file)
      return Error{"FL6003", std::string("the capture could not be written: ") + std::strerror(errno),
                   "is the disk full?"};
  }
  return tally;
}

}  // namespace

Exit run_capture(Session& session) {
  const CommandLine& line = session.line();
  if (!line.given("write")) {
    return session.fail("fairlead capture needs a file",
                        "give it -w FILE, or -w - and a pipe: | tcpdump -r -", "FL6001");
  }
  const Result<std::map<uint32_t, std::string>> ports = ask_port_names(session);
  if (!ports) return session.fail(ports.error());
  Result<ipc::Client> client = ipc::Client::connect(session.client_options(ipc::Service::kDataplane));
  if (!client) return session.fail(client.error());
  rpc::Request request;
  rpc::CaptureRequest& wanted = *request.mutable_capture();
  wanted.set_filter(line.text("filter"));
  wanted.set_stage(line.text("at"));
  if (line.given("count")) wanted.set_max_packets(static_cast<uint32_t>(line.number("count")));
  wanted.set_snap_length(static_cast<uint32_t>(line.number("snap")));
  if (const Result<void> sent = client->send(request); !sent) return session.fail(sent.error());

  const std::string& path = line.text("write");
  std::ofstream file;
  if (path != "-") {
    file.open(path, std::ios::binary | std::ios::trunc);
    if (!file) return session.fail("cannot write " + path + ": " + std::strerror(errno));
  }
  const Result<Tally> tally = copy_stream(*client, path == "-" ? session.out() : file, session, *ports);
  if (!tally) return session.fail(tally.error());
  session.err() << grouped(tally->packets) << (tally->packets == 1 ? " packet" : " packets") << " written to "
                << (path == "-" ? "standard output" : path);
  if (tally->lost != 0) session.err() << ", " << grouped(tally->lost) << " lost because they came too fast";
  session.err() << "\n";
  return kOk;
}

}  // namespace fairlead::cli
