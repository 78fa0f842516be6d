#include "dataplane/daemon/uplink_frontends.hpp"

namespace fairlead::daemon {
namespace {

template <typename Key>
bool count_one(std::map<Key, int>& counts, const Key& key, int by) {
  const auto [row, is_new] = counts.try_emplace(key, 0);
  row->second += by;
  if (row->second > 0) return is_new;
  counts.erase(row);
  return true;
}

}  // namespace

void UplinkFrontends::count(const core::Service& service, int by) {
  if (service.reply_path == core::ReplyPath::kIpInIp) {
    const bool had = ip_in_ip_ > 0;
    ip_in_ip_ += by;
    changed_ |= had != (ip_in_ip_ > 0);
  }
  for (const core::Frontend& frontend : service.frontends) {
    switch (frontend.kind) {
      case core::FrontendKind::kClusterIp:
        break;  // not reachable from the wire
      case core::FrontendKind::kNodePort:
        changed_ |= count_one(node_ports_, {service.is_ipv6, service.protocol, frontend.port}, by);
        break;
      case core::FrontendKind::kLoadBalancer:
      case core::FrontendKind::kExternalIp:
        changed_ |= count_one(addresses_, frontend.address, by);
        break;
    }
  }
}

ebpf::UplinkServices UplinkFrontends::list() const {
  ebpf::UplinkServices services;
  for (const auto& [address, count] : addresses_) services.addresses.push_back(address);
  for (const auto& [port, count] : node_ports_) services.node_ports.push_back(port);
  services.ip_in_ip = ip_in_ip_ > 0;
  return services;
}

}  // namespace fairlead::daemon
