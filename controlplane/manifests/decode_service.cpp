#include "controlplane/manifests/decode.hpp"
#include "controlplane/manifests/service_entries.hpp"

#include <algorithm>

namespace fairlead::control {
namespace {

// The API has no bounds of its own on these; more than anybody has is a mistake or an attack.
constexpr std::size_t kMostServicePorts = 1000;
constexpr std::size_t kMostAddresses = 256;
constexpr std::size_t kMostRanges = 1024;
constexpr uint64_t kLongestAffinity = 86400;
constexpr uint32_t kDefaultAffinity = 10800;

constexpr std::string_view kReplyPath = "fairlead.io/reply-path";

class ServiceReader {
 public:
  ServiceReader(ServiceObject& service, YamlReport& report)
      : service_(service), report_(report), entries_(service.problems, "FL1035", report) {}

  void metadata(const YamlNode& metadata) {
    if (const YamlNode* at = metadata.find("creationTimestamp"))
      service_.created = entries_.time(*at, "metadata.creationTimestamp");
    if (const YamlNode* labels = read_group(metadata, "labels", "metadata.labels", report_))
      service_.is_foreign = has_key(*labels, kServiceProxyName);
    const YamlNode* annotations = read_group(metadata, "annotations", "metadata.annotations", report_);
    const YamlNode* path = annotations == nullptr ? nullptr : annotations->find(kReplyPath);
    if (path == nullptr) return;
    const std::string field = "metadata.annotations[" + std::string(kReplyPath) + "]";
    if (const auto text = read_text(*path, field, report_)) {
      service_.reply_path = parse_reply_path(*text);
      if (!service_.reply_path)
        entries_.add(field, "found \"" + shortened(*text) + "\", wanted ThisNode, Geneve or IPIP");
    }
  }

  void spec(const YamlNode& spec) {
    type(spec);
    cluster_ips(spec);
    if (const YamlNode* list = spec.find("ports")) ports(*list);
    addresses(spec, "externalIPs", service_.external_ips);
    source_ranges(spec);
    affinity(spec);
    service_.internal_local = is_local(spec, "internalTrafficPolicy");
    service_.external_local = is_local(spec, "externalTrafficPolicy");
    if (const YamlNode* at = spec.find("healthCheckNodePort"))
      service_.health_check_node_port =
          static_cast<uint16_t>(entries_.number(*at, "spec.healthCheckNodePort", 0, 65535).value_or(0));
  }

  void status(const YamlNode& status) {
    const YamlNode* balancer = read_group(status, "loadBalancer", "status.loadBalancer", report_);
    const YamlNode* list = balancer == nullptr ? nullptr : balancer->find("ingress");
    if (list == nullptr || !expect_list(*list, "status.loadBalancer.ingress", report_)) return;
    const std::size_t count = entries_.bounded(*list, "status.loadBalancer.ingress", kMostAddresses);
    for (std::size_t i = 0; i < count; ++i)
      ingress(*list->items[i], "status.loadBalancer.ingress[" + std::to_string(i) + "]");
  }

 private:
  void type(const YamlNode& spec) {
    const YamlNode* at = spec.find("type");
    const auto text =
        at == nullptr ? std::optional<std::string>("ClusterIP") : read_text(*at, "spec.type", report_);
    if (!text || *text == "ClusterIP") return;
    if (*text == "NodePort") {
      service_.type = ServiceType::kNodePort;
    } else if (*text == "LoadBalancer") {
      service_.type = ServiceType::kLoadBalancer;
    } else if (*text == "ExternalName") {
      service_.type = ServiceType::kExternalName;
    } else {
      entries_.add("spec.type", "found \"" + shortened(*text) +
                                    "\", wanted ClusterIP, NodePort, LoadBalancer or ExternalName; taken as "
                                    "ClusterIP");
    }
  }

  void cluster_ips(const YamlNode& spec) {
    const auto take = [&](const YamlNode& item, const std::string& field) {
      const auto text = read_text(item, field, report_);
      if (!text || text->empty()) return;
      if (*text == "None") {
        service_.is_headless = true;
        return;
      }
      const auto address = core::IpAddress::parse(*text);
      if (!address) return entries_.add(field, "found \"" + shortened(*text) + "\", wanted an IP address");
      const bool has_family =
          std::any_of(service_.cluster_ips.begin(), service_.cluster_ips.end(),
                      [&](const core::IpAddress& earlier) { return earlier.family == address->family; });
      if (has_family) return entries_.add(field, *text + " is the second of its address family");
      service_.cluster_ips.push_back(*address);
    };
    if (const YamlNode* list = spec.find("clusterIPs")) {
      if (!expect_list(*list, "spec.clusterIPs", report_)) return;
      const std::size_t count = entries_.bounded(*list, "spec.clusterIPs", 2);
      for (std::size_t i = 0; i < count; ++i)
        take(*list->items[i], "spec.clusterIPs[" + std::to_string(i) + "]");
    } else if (const YamlNode* single = spec.find("clusterIP")) {
      take(*single, "spec.clusterIP");
    }
  }

  void ports(const YamlNode& list) {
    if (!expect_list(list, "spec.ports", report_)) return;
    const std::size_t count = entries_.bounded(list, "spec.ports", kMostServicePorts);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string field = "spec.ports[" + std::to_string(i) + "]";
      const YamlNode& item = *list.items[i];
      if (!expect_mapping(item, field, report_)) continue;
      const auto name = entries_.port_name(item, field);
      const auto protocol = entries_.protocol(item, field);
      const YamlNode* number = item.find("port");
      if (number == nullptr) entries_.add(field + ".port", "is missing");
      const auto port =
          number == nullptr ? std::nullopt : entries_.number(*number, field + ".port", 1, 65535);
      std::optional<uint64_t> node_port = 0;
      if (const YamlNode* at = item.find("nodePort"))
        node_port = entries_.number(*at, field + ".nodePort", 0, 65535).value_or(0);
      if (!name || !protocol || !port) continue;
      const bool is_twin =
          std::any_of(service_.ports.begin(), service_.ports.end(), [&](const ServicePort& earlier) {
            return earlier.protocol == *protocol && (earlier.name == *name || earlier.port == *port);
          });
      if (is_twin) {
        entries_.add(field, "an earlier port of this Service has the same " +
                                std::string(name->empty() ? "number or no name either" : "name or number"));
        continue;
      }
      service_.ports.push_back(
          {*name, *protocol, static_cast<uint16_t>(*port),
           service_.type == ServiceType::kClusterIp ? uint16_t{0} : static_cast<uint16_t>(*node_port)});
    }
  }

  void addresses(const YamlNode& spec, const char* name, std::vector<core::IpAddress>& into) {
    const std::string path = std::string("spec.") + name;
    const YamlNode* list = spec.find(name);
    if (list == nullptr || !expect_list(*list, path, report_)) return;
    const std::size_t count = entries_.bounded(*list, path, kMostAddresses);
    for (std::size_t i = 0; i < count; ++i) {
      const auto address = entries_.address(*list->items[i], path + "[" + std::to_string(i) + "]");
      if (address && std::find(into.begin(), into.end(), *address) == into.end()) into.push_back(*address);
    }
  }

  void source_ranges(const YamlNode& spec) {
    const std::string path = "spec.loadBalancerSourceRanges";
    const YamlNode* list = spec.find("loadBalancerSourceRanges");
    if (list == nullptr || !expect_list(*list, path, report_)) return;
    service_.has_source_ranges = !list->items.empty();
    const std::size_t count = entries_.bounded(*list, path, kMostRanges);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string field = path + "[" + std::to_string(i) + "]";
      auto text = read_text(*list->items[i], field, report_);
      if (!text) continue;
      // The API trims them, and so do we.
      text->erase(0, text->find_first_not_of(' '));
      text->erase(text->find_last_not_of(' ') + 1);
      if (const auto prefix = core::Prefix::parse(*text)) {
        service_.source_ranges.push_back(*prefix);
      } else {
        entries_.add(field, "found \"" + shortened(*text) + "\", wanted a CIDR without host bits");
      }
    }
  }

  void affinity(const YamlNode& spec) {
    const YamlNode* at = spec.find("sessionAffinity");
    const auto text = at == nullptr ? std::nullopt : read_text(*at, "spec.sessionAffinity", report_);
    if (!text || *text == "None") return;
    if (*text != "ClientIP")
      return entries_.add("spec.sessionAffinity",
                          "found \"" + shortened(*text) + "\", wanted None or ClientIP");
    service_.affinity_seconds = kDefaultAffinity;
    const std::string path = "spec.sessionAffinityConfig";
    const YamlNode* config = read_group(spec, "sessionAffinityConfig", path, report_);
    const YamlNode* client =
        config == nullptr ? nullptr : read_group(*config, "clientIP", path + ".clientIP", report_);
    const YamlNode* seconds = client == nullptr ? nullptr : client->find("timeoutSeconds");
    if (seconds == nullptr) return;
    const auto value = entries_.number(*seconds, path + ".clientIP.timeoutSeconds", 1, kLongestAffinity);
    if (value) service_.affinity_seconds = static_cast<uint32_t>(*value);
  }

  bool is_local(const YamlNode& spec, const char* name) {
    const YamlNode* at = spec.find(name);
    const std::string path = std::string("spec.") + name;
    const auto text = at == nullptr ? std::nullopt : read_text(*at, path, report_);
    if (!text || *text == "Cluster" || text->empty()) return false;
    if (*text == "Local") return true;
    entries_.add(path, "found \"" + shortened(*text) + "\", wanted Cluster or Local; taken as Cluster");
    return false;
  }

  void ingress(const YamlNode& item, const std::string& field) {
    if (!expect_mapping(item, field, report_)) return;
    const YamlNode* ip = item.find("ip");
    if (ip == nullptr) return;  // a host name: nothing to program
    IngressAddress entry;
    const auto address = entries_.address(*ip, field + ".ip");
    if (const YamlNode* mode = item.find("ipMode")) {
      const auto text = read_text(*mode, field + ".ipMode", report_);
      if (text && *text != "VIP" && *text != "Proxy") {
        return entries_.add(field + ".ipMode", "found \"" + shortened(*text) + "\", wanted VIP or Proxy");
      }
      entry.is_vip = text && *text == "VIP";
    }
    const YamlNode* list = item.find("ports");
    if (list != nullptr && expect_list(*list, field + ".ports", report_) && !list->items.empty()) {
      entry.has_ports = true;
      const std::size_t count = entries_.bounded(*list, field + ".ports", kMostServicePorts);
      for (std::size_t i = 0; i < count; ++i) {
        const std::string where = field + ".ports[" + std::to_string(i) + "]";
        const YamlNode& port = *list->items[i];
        if (!expect_mapping(port, where, report_) || port.find("error") != nullptr) continue;
        const YamlNode* at = port.find("port");
        const auto number = at == nullptr ? std::nullopt : entries_.number(*at, where + ".port", 1, 65535);
        const auto protocol = entries_.protocol(port, where);
        if (number && protocol) entry.ports.emplace_back(*protocol, static_cast<uint16_t>(*number));
      }
    }
    if (!address) return;
    entry.address = *address;
    service_.ingress.push_back(std::move(entry));
  }

  ServiceObject& service_;
  YamlReport& report_;
  EntryReader entries_;
};

}  // namespace

void decode_service(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects) {
  ServiceObject service;
  service.service_namespace = "default";
  const YamlNode* metadata = read_group(root, "metadata", "metadata", report);
  const auto name = object_name(root, metadata, report);
  ServiceReader reader(service, report);
  if (metadata != nullptr) {
    if (const YamlNode* at = metadata->find("namespace")) {
      if (auto text = read_name(*at, "metadata.namespace", report)) service.service_namespace = *text;
    }
    reader.metadata(*metadata);
  }
  if (const YamlNode* spec = read_group(root, "spec", "spec", report)) reader.spec(*spec);
  if (const YamlNode* status = read_group(root, "status", "status", report)) reader.status(*status);
  if (!name) return;
  service.name = *name;
  std::string key = "service/" + key_of(service);
  objects.push_back({std::move(service), std::move(key), root.line, root.column});
}

}  // namespace fairlead::control
