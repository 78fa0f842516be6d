#include "dataplane/core/forwarder_state.hpp"

// Forwarder::each_flow(): entries as people read them.

namespace fairlead::core {

namespace {

IpAddress low_address(const flow_key4& key) {
  return IpAddress::ipv4(key.low_address.raw);
}
IpAddress high_address(const flow_key4& key) {
  return IpAddress::ipv4(key.high_address.raw);
}
IpAddress low_address(const flow_key6& key) {
  return address_of(key.low_address, 6);
}
IpAddress high_address(const flow_key6& key) {
  return address_of(key.high_address, 6);
}

bool matches(const FlowFilter& filter, const FlowRecord& flow) {
  if (filter.protocol != 0 && filter.protocol != flow.protocol) return false;
  if (filter.address && filter.address != flow.source && filter.address != flow.destination) return false;
  return filter.port == 0 || filter.port == flow.source_port || filter.port == flow.destination_port;
}

std::string leads_to(const Snapshot& snapshot, const SnapshotBuilder& names, const FlowVerdict& verdict) {
  if (verdict.template_id == 0) return "not decided yet";
  const Template& out = snapshot.template_of(verdict.template_id);
  if (out.generation != verdict.generation) return "to be judged again";
  return names.describe(out.owner);
}

// False: the visitor has had enough.
template <typename Table>
bool visit_all(const Table& table, const Snapshot& snapshot, const SnapshotBuilder& names,
               uint32_t now_seconds, const FlowFilter& filter, const FlowVisitor& visit) {
  FlowCopy<typename Table::Key> copy;
  for (FlowId id = 1; id <= table.last_id(); ++id) {
    if (!table.read(id, now_seconds, copy)) continue;
    const auto& key = copy.key;
    const bool swapped = copy.original_swapped;
    FlowRecord flow;
    flow.source = swapped ? high_address(key) : low_address(key);
    flow.destination = swapped ? low_address(key) : high_address(key);
    flow.source_port = from_be16(swapped ? key.high_port : key.low_port);
    flow.destination_port = from_be16(swapped ? key.low_port : key.high_port);
    flow.protocol = key.protocol;
    if (copy.translated) {
      const auto& reply = copy.reply_key;
      flow.translated = true;
      flow.reply_source = copy.reply_swapped ? high_address(reply) : low_address(reply);
      flow.reply_destination = copy.reply_swapped ? low_address(reply) : high_address(reply);
      flow.reply_source_port = from_be16(copy.reply_swapped ? reply.high_port : reply.low_port);
      flow.reply_destination_port = from_be16(copy.reply_swapped ? reply.low_port : reply.high_port);
    }
    if (!matches(filter, flow)) continue;
    flow.state = text(copy.state);
    flow.packets_original = copy.packets[0];
    flow.packets_reply = copy.packets[1];
    flow.bytes_original = copy.bytes[0];
    flow.bytes_reply = copy.bytes[1];
    flow.idle_seconds = copy.idle_seconds;
    flow.original_out = leads_to(snapshot, names, copy.verdict[0]);
    flow.reply_out = leads_to(snapshot, names, copy.verdict[1]);
    if (!visit(flow)) return false;
  }
  return true;
}

}  // namespace

void Forwarder::each_flow(const FlowFilter& filter, const FlowVisitor& visit) const {
  const Snapshot& snapshot = *state_->current.load(std::memory_order_acquire);
  const auto seconds = static_cast<uint32_t>(state_->now_ns / 1'000'000'000);
  if (!visit_all(*state_->flows.v4, snapshot, state_->builder, seconds, filter, visit)) return;
  visit_all(*state_->flows.v6, snapshot, state_->builder, seconds, filter, visit);
}

}  // namespace fairlead::core
