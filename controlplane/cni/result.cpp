#include "controlplane/cni/result.hpp"

#include <algorithm>

namespace fairlead::control {

namespace {

using nlohmann::json;

// A list of prevResult; absent and null are empty.
Result<json> list_of(const json& previous, const char* key) {
  if (!previous.is_object() || !previous.contains(key) || previous[key].is_null()) return json::array();
  if (!previous[key].is_array())
    return Error{"FL4006",
                 std::string("prevResult.") + key + " is " + previous[key].type_name() + ", not a list",
                 "the plugin before this one in the chain is wrong"};
  return previous[key];
}

bool is_ipv6(const std::string& address) {
  return address.find(':') != std::string::npos;
}

}  // namespace

Result<json> add_result(const NetConf& conf, const wire::AddReply& reply, const std::string& interface,
                        const std::string& netns) {
  const bool has_1_1_fields = !is_older_version(conf.cni_version, "1.1.0");
  const bool needs_ip_version = is_older_version(conf.cni_version, "1.0.0");
  Result<json> interfaces = list_of(conf.previous_result, "interfaces");
  if (!interfaces) return interfaces.error();
  Result<json> ips = list_of(conf.previous_result, "ips");
  if (!ips) return ips.error();
  Result<json> routes = list_of(conf.previous_result, "routes");
  if (!routes) return routes.error();

  json host = {{"name", reply.host_interface}, {"mac", reply.host_mac}};
  json pod = {{"name", interface}, {"mac", reply.mac}, {"sandbox", netns}};
  if (has_1_1_fields) pod["mtu"] = reply.mtu;
  interfaces->push_back(std::move(host));
  interfaces->push_back(std::move(pod));
  const size_t pod_index = interfaces->size() - 1;

  for (size_t i = 0; i < reply.addresses.size(); ++i) {
    const bool v6 = is_ipv6(reply.addresses[i]);
    json ip = {{"address", reply.addresses[i]}, {"interface", pod_index}};
    json route = {{"dst", v6 ? "::/0" : "0.0.0.0/0"}};
    if (i < reply.gateways.size()) {
      ip["gateway"] = reply.gateways[i];
      route["gw"] = reply.gateways[i];
    }
    if (needs_ip_version) ip["version"] = v6 ? "6" : "4";
    if (has_1_1_fields) route["mtu"] = reply.mtu;
    ips->push_back(std::move(ip));
    routes->push_back(std::move(route));
  }

  json dns = conf.dns;
  if (dns.empty() && conf.previous_result.is_object() && conf.previous_result.contains("dns"))
    dns = conf.previous_result["dns"];
  return json{{"cniVersion", conf.cni_version},
              {"interfaces", std::move(*interfaces)},
              {"ips", std::move(*ips)},
              {"routes", std::move(*routes)},
              {"dns", std::move(dns)}};
}

Result<std::vector<std::string>> previous_addresses(const NetConf& conf, const std::string& interface) {
  if (!conf.previous_result.is_object())
    return Error{"FL4007", "CHECK needs prevResult", "pass the result of the ADD in the configuration"};
  const Result<json> interfaces = list_of(conf.previous_result, "interfaces");
  if (!interfaces) return interfaces.error();
  const Result<json> ips = list_of(conf.previous_result, "ips");
  if (!ips) return ips.error();
  std::vector<std::string> addresses;
  for (const json& ip : *ips) {
    if (!ip.is_object() || !ip.contains("address") || !ip["address"].is_string())
      return Error{"FL4006", "prevResult.ips has an entry without address: " + ip.dump(),
                   "pass the result of the ADD"};
    if (ip.contains("interface") && ip["interface"].is_number_unsigned()) {
      const auto index = ip["interface"].get<size_t>();
      if (index >= interfaces->size())
        return Error{"FL4007",
                     "prevResult.ips refers to interface " + std::to_string(index) + ", which is not there",
                     "pass the result of the ADD"};
      const json& owner = (*interfaces)[index];
      if (!owner.is_object() || owner.value("name", json()) != interface) continue;
    }
    addresses.push_back(ip["address"].get<std::string>());
  }
  return addresses;
}

}  // namespace fairlead::control
