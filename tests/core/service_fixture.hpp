#pragma once

#include "dataplane/core/service.hpp"
#include "dataplane/packet/parsed.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <numeric>
#include <string>

namespace fairlead::core {

inline IpAddress ip(const std::string& text) {
  return *IpAddress::parse(text);
}

inline Prefix net(const std::string& text) {
  return *Prefix::parse(text);
}

inline ip_address wire(const IpAddress& from) {
  ip_address raw;
  std::memcpy(&raw, from.bytes.data(), sizeof(raw));
  return raw;
}
inline ip_address wire(const std::string& text) {
  return wire(ip(text));
}

// A Service with `count` backends 10.244.2.1, .2, ... (or fd00:10:244:2::1, ...) port 8080, all of them in
// the list of the cluster, none local. One cluster IP frontend: 10.96.0.<id> or fd00:96::<id>, port 80.
inline Service sample_service(ServiceId id, uint32_t count, uint8_t protocol = 6, bool is_ipv6 = false) {
  Service service;
  service.id = id;
  service.service_namespace = "default";
  service.name = "web-" + std::to_string(id);
  service.protocol = protocol;
  service.is_ipv6 = is_ipv6;
  IpAddress front = ip(is_ipv6 ? "fd00:96::" : "10.96.0.0");
  const unsigned last = is_ipv6 ? 15 : 3;
  front.bytes[last] = static_cast<uint8_t>(id);
  front.bytes[last - 1] = static_cast<uint8_t>(id >> 8);
  service.frontends = {{FrontendKind::kClusterIp, front, 80}};
  for (uint32_t i = 1; i <= count; ++i) {
    Backend backend;
    backend.address = ip(is_ipv6 ? "fd00:10:244:2::" : "10.244.2.0");
    backend.address.bytes[last] = static_cast<uint8_t>(i);
    backend.address.bytes[last - 1] = static_cast<uint8_t>(backend.address.bytes[last - 1] + (i >> 8));
    backend.port = 8080;
    backend.object = "pod/default/web-" + std::to_string(i);
    backend.node = "node-2";
    service.backends.push_back(backend);
  }
  service.cluster_backends.resize(count);
  std::iota(service.cluster_backends.begin(), service.cluster_backends.end(), 0u);
  return service;
}

inline std::shared_ptr<const Service> share(const Service& service) {
  EXPECT_EQ(wrong_with(service), "");
  return std::make_shared<const Service>(service);
}

}  // namespace fairlead::core
