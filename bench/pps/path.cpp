#include "bench/pps/path.hpp"

namespace fairlead::bench {

using replay::Form;

const std::vector<Path>& paths() {
  static const std::vector<Path> all = {
      {"floor", "rx and tx only", Form::kIp4, Form::kIp4},
      {"routed4", "routed, IPv4", Form::kIp4, Form::kIp4},
      {"routed6", "routed, IPv6", Form::kIp6, Form::kIp6},
      {"encap4", "VXLAN encapsulation, IPv4", Form::kIp4, Form::kVxlan4},
      {"encap6", "VXLAN encapsulation, IPv6 in IPv4", Form::kIp6, Form::kVxlan6},
      {"decap4", "VXLAN decapsulation, IPv4", Form::kVxlan4, Form::kIp4, true},
      {"geneve4", "Geneve encapsulation, IPv4", Form::kIp4, Form::kGeneve4},
      {"new4", "new UDP flow, VXLAN, IPv4", Form::kIp4, Form::kVxlan4, false, true},
      {"service4", "service, established, IPv4", Form::kIp4, Form::kIp4, false, false, true},
      {"service_reply4", "service, answers, IPv4", Form::kIp4, Form::kIp4, true, false, true, true},
      {"service_encap4", "service and VXLAN, established, IPv4", Form::kIp4, Form::kVxlan4, false, false,
       true},
      {"service_new4", "new UDP flow to a service, VXLAN, IPv4", Form::kIp4, Form::kVxlan4, false, true,
       true},
  };
  return all;
}

const Path* find_path(std::string_view name) {
  for (const Path& path : paths()) {
    if (path.name == name) return &path;
  }
  return nullptr;
}

namespace {

std::string hosts(const std::string& key, const std::string& base, uint32_t count) {
  return "," + key + "=" + base + "+" + std::to_string(count);
}

// Flows of our pods to services, or of the backends' answers to them.
std::string flows_to_services(const Load& load) {
  return hosts("source", "10.244.1.1", kPods) + hosts("destination", "10.96.0.1", load.services) +
         ",port=" + std::to_string(kServicePort);
}
std::string flows_to_backends() {
  return hosts("source", "10.244.1.1", kPods) + hosts("destination", "10.244.2.1", kServices) +
         ",port=" + std::to_string(kBackendPort);
}

}  // namespace

std::string Load::addresses() const {
  if (path->to_service) return path->is_reply ? flows_to_backends() : flows_to_services(*this);

  const bool ipv6 = replay::is_inner_ipv6(path->in);
  const std::string pods = ipv6 ? "fd00:10:244:1::101+" : "10.244.1.1+";
  const std::string ours = pods + std::to_string(kPods);
  std::string theirs = ipv6 ? "fd00:10:244:2::1+200" : "10.244.2.1+200";
  if (routes > 1) theirs = "20.0.0.1+" + std::to_string(routes) + "*" + std::to_string(kRouteStride);
  return path->from_uplink ? ",source=" + theirs + ",destination=" + ours
                           : ",source=" + ours + ",destination=" + theirs;
}

std::string Load::source_arguments(const std::string& page) const {
  // Of a reply's path, what makes the connections is sent to it.
  return "frames=" + std::string(replay::text(path->in)) + (path->is_reply ? ",expect=any" : ",expect=none") +
         ",flows=" + std::to_string(flows) + ",size=" + size + ",burst=" + std::to_string(burst) +
         ",queues=" + std::to_string(workers) + ",held=1,paced=" + (paced ? "1" : "0") + addresses() +
         (path->is_reply ? ",reply=1" : "") + ",page=" + page;
}

std::string Load::sink_arguments(const std::string& page) const {
  const bool is_floor = path->name == "floor";
  std::string ends = addresses(), handed_out = "frames=none";
  if (path->is_reply) {
    // What the pods send first makes the connections; what comes back has the service's address again.
    handed_out = "frames=" + std::string(replay::text(path->in)) + ",once=1,flows=" + std::to_string(flows);
    ends = flows_to_services(*this) + hosts("expect_source", "10.96.0.1", services) +
           hosts("expect_destination", "10.244.1.1", kPods) +
           ",expect_source_port=" + std::to_string(kServicePort);
  } else if (path->to_service) {
    ends = hosts("source", "10.244.1.1", kPods) + hosts("destination", "10.244.2.1", kServices) +
           ",expect_port=" + std::to_string(kBackendPort) + "+" +
           std::to_string(backend_port(backends - 1) - kBackendPort + 1);
  }
  return handed_out + ",expect=" + std::string(replay::text(path->out)) + ",size=" + size +
         ",ttl=" + std::to_string(replay::kTimeToLive - (is_floor ? 0 : 1)) +
         ",queues=" + std::to_string(workers) + ends + ",page=" + page;
}

}  // namespace fairlead::bench
