#include "dataplane/core/service.hpp"

#include <algorithm>

namespace fairlead::core {

namespace {

constexpr ServiceId kLastServiceId = 0xffffff;
constexpr uint32_t kLongestAffinitySeconds = 86400;  // the API's own limit

bool is_of_family(const IpAddress& address, bool is_ipv6) {
  return is_ipv6 ? address.is_ipv6() : address.is_ipv4();
}

bool is_list_of(const std::vector<uint32_t>& indices, size_t count) {
  return std::is_sorted(indices.begin(), indices.end()) &&
         std::adjacent_find(indices.begin(), indices.end()) == indices.end() &&
         (indices.empty() || indices.back() < count);
}

std::string wrong_with(const Service& service, const Frontend& frontend) {
  if (frontend.port == 0) return "a frontend has port 0";
  if (frontend.kind == FrontendKind::kNodePort) {
    return frontend.address ? "a node port has an address of its own" : std::string();
  }
  if (!is_of_family(frontend.address, service.is_ipv6)) {
    return "frontend " + frontend.address.text() + " is not of the Service's family";
  }
  return {};
}

}  // namespace

std::string name_of(const Service& service) {
  std::string name = service.service_namespace + "/" + service.name;
  if (!service.port_name.empty()) name += ":" + service.port_name;
  return name;
}

std::string wrong_with(const Service& service) {
  const std::string who = "service " + std::to_string(service.id) + " (" + name_of(service) + "): ";
  if (service.id == 0 || service.id > kLastServiceId) return who + "id is not in 1..16777215";
  if (service.protocol != 6 && service.protocol != 17 && service.protocol != 132) {
    return who + "protocol " + std::to_string(service.protocol) + " is none of TCP, UDP, SCTP";
  }
  for (const Frontend& frontend : service.frontends) {
    if (const std::string wrong = wrong_with(service, frontend); !wrong.empty()) return who + wrong;
  }
  for (const Backend& backend : service.backends) {
    if (!is_of_family(backend.address, service.is_ipv6) || backend.port == 0) {
      return who + "backend " + backend.address.text() + " port " + std::to_string(backend.port) +
             " is not of the Service's family or has port 0";
    }
  }
  const size_t count = service.backends.size();
  if (count > kBackendsMax) {
    return who + std::to_string(count) + " backends are more than " + std::to_string(kBackendsMax);
  }
  if (!is_list_of(service.cluster_backends, count) || !is_list_of(service.local_backends, count)) {
    return who + "a list of backends is not ascending or names one that does not exist";
  }
  if (service.affinity_seconds > kLongestAffinitySeconds) {
    return who + "affinity of " + std::to_string(service.affinity_seconds) + " s is above 86400 s";
  }
  for (const Prefix& prefix : service.source_ranges) {
    if (!is_of_family(prefix.address, service.is_ipv6)) {
      return who + "source range " + prefix.text() + " is not of the Service's family";
    }
  }
  return {};
}

}  // namespace fairlead::core
