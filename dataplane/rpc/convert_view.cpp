// What the dataplane shows of itself: ports, flows, counters, traces.
#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/header_text.hpp"
#include "dataplane/rpc/reader.hpp"

namespace fairlead::ipc {

rpc::Port to_message(const PortStatus& port) {
  rpc::Port message;
  message.set_id(port.spec.id);
  message.set_kind(std::string(text(port.spec.kind)));
  message.set_device(port.spec.device);
  message.set_driver(port.driver);
  message.set_note(port.note);
  message.set_mac(port.mac.text());
  message.set_up(port.up);
  message.set_mtu(port.spec.mtu);
  message.set_rx_packets(port.rx_packets);
  message.set_rx_bytes(port.rx_bytes);
  message.set_tx_packets(port.tx_packets);
  message.set_tx_bytes(port.tx_bytes);
  message.set_rx_missed(port.rx_missed);
  message.set_tx_dropped(port.tx_dropped);
  message.set_queues(port.spec.queues);
  return message;
}

rpc::Flow to_message(const FlowRecord& flow) {
  rpc::Flow message;
  message.set_source(flow.source.text());
  message.set_source_port(flow.source_port);
  message.set_destination(flow.destination.text());
  message.set_destination_port(flow.destination_port);
  message.set_protocol(flow.protocol);
  message.set_state(flow.state);
  message.set_packets_original(flow.packets_original);
  message.set_packets_reply(flow.packets_reply);
  message.set_bytes_original(flow.bytes_original);
  message.set_bytes_reply(flow.bytes_reply);
  message.set_idle_seconds(flow.idle_seconds);
  message.set_original_out(flow.original_out);
  message.set_reply_out(flow.reply_out);
  return message;
}

rpc::TraceResult to_message(const Trace& trace) {
  rpc::TraceResult message;
  for (const TraceStep& step : trace.steps) {
    rpc::TraceStep& row = *message.add_steps();
    row.set_step(step.step);
    row.set_object(step.object);
    row.set_text(step.text);
  }
  message.set_verdict(trace.verdict);
  message.set_drop_reason(trace.drop_reason);
  message.set_port(trace.port);
  message.set_pushed_header(std::string(trace.pushed_header.begin(), trace.pushed_header.end()));
  message.set_pushed_header_text(header_text(trace.pushed_header));
  return message;
}

rpc::TraceRequest to_message(const TraceRequest& request) {
  rpc::TraceRequest message;
  message.set_from_endpoint(request.from_endpoint);
  message.set_from_port(request.from_port);
  if (request.source) message.set_source(request.source.text());
  message.set_destination(request.destination.text());
  message.set_protocol(request.protocol);
  message.set_source_port(request.source_port);
  message.set_destination_port(request.destination_port);
  message.set_length(request.length);
  message.set_ttl(request.ttl);
  return message;
}

Result<TraceRequest> from_message(const rpc::TraceRequest& message) {
  Reader reader("trace");
  TraceRequest request;
  request.from_endpoint =
      reader.number<uint32_t>("from_endpoint", message.from_endpoint(), 0, (1u << 24) - 1);
  request.from_port = reader.number<uint16_t>("from_port", message.from_port(), 0, 65535);
  if (message.from_endpoint() == 0 && message.from_port() == 0) {
    reader.fail("from_endpoint", "0", "an endpoint's id, or from_port");
  }
  request.source = reader.optional_address("source", message.source());
  request.destination = reader.address("destination", message.destination());
  request.protocol = reader.number<uint8_t>("protocol", message.protocol(), 0, 255);
  request.source_port = reader.number<uint16_t>("source_port", message.source_port(), 0, 65535);
  request.destination_port =
      reader.number<uint16_t>("destination_port", message.destination_port(), 0, 65535);
  request.length = reader.number<uint16_t>("length", message.length(), 20, 65535);
  request.ttl = reader.number<uint8_t>("ttl", message.ttl(), 0, 255);
  if (!reader.ok()) return reader.error();
  return request;
}

Result<FlowFilter> from_message(const rpc::FlowsRequest& message) {
  Reader reader("flows");
  FlowFilter filter;
  filter.address = reader.optional_address("address", message.address());
  filter.port = reader.number<uint16_t>("port", message.port(), 0, 65535);
  filter.protocol = reader.number<uint8_t>("protocol", message.protocol(), 0, 255);
  if (!reader.ok()) return reader.error();
  return filter;
}

rpc::CountersReply to_message(const core::Counters& counters) {
  rpc::CountersReply message;
  const auto add = [](rpc::NamedCount& row, const core::NameAndSentence& words, uint64_t count) {
    row.set_name(std::string(words.name));
    row.set_sentence(std::string(words.sentence));
    row.set_count(count);
    row.set_stage("forwarder");
  };
  for (size_t i = 0; i < counters.values.size(); ++i) {
    add(*message.add_counters(), describe(static_cast<core::Counter>(i)), counters.values[i]);
  }
  for (size_t i = 1; i < counters.drops.size(); ++i) {  // 0 is NONE
    add(*message.add_drops(), describe(static_cast<core::DropReason>(i)), counters.drops[i]);
  }
  message.set_conserved(counters.conserved());
  return message;
}

}  // namespace fairlead::ipc
