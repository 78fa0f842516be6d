#include "dataplane/core/snapshot_builder.hpp"

// The Service part of SnapshotBuilder: who answers on which address. Flows follow by reconciliation
// (flow_reconcile.cpp).

namespace fairlead::core {

void SnapshotBuilder::put_services(const NodeStateDelta& delta, const ServicesBefore& before) {
  const auto find_before = [&](ServiceId id) {
    const auto found = before.find(id);
    return found != before.end() ? found->second.get() : nullptr;
  };
  for (const auto& service : delta.upsert_services) frontends_.put(service, find_before(service->id));
  for (const ServiceId id : delta.remove_services) frontends_.remove(*find_before(id));
}

// The ranges decide what counts as a Service's address: other ones, and all of it is found out anew. Nothing
// that happens in a running cluster but when its operator adds a range. True: so it was, with all Services
// that there are now.
bool SnapshotBuilder::put_service_settings(const NodeSettings& before) {
  const NodeSettings& settings = node_.settings;
  next_.cluster_pods = std::make_shared<const std::vector<Prefix>>(settings.cluster_pods);
  const bool ranges_moved = settings.cluster_services != before.cluster_services;
  if (ranges_moved || settings.node_port_addresses != before.node_port_addresses) bulk_ = true;
  if (ranges_moved) frontends_ = FrontendTable();
  frontends_.put_settings(settings);
  if (!ranges_moved) return false;
  for (const auto& [id, service] : node_.services) frontends_.put(service, nullptr);
  return true;
}

}  // namespace fairlead::core
