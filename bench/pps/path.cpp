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
  };
  return all;
}

const Path* find_path(std::string_view name) {
  for (const Path& path : paths()) {
    if (path.name == name) return &path;
  }
  return nullptr;
}

std::string Load::addresses() const {
  const bool ipv6 = replay::is_inner_ipv6(path->in);
  const std::string pods = ipv6 ? "fd00:10:244:1::101+" : "10.244.1.1+";
  const std::string ours = pods + std::to_string(kPods);
  std::string theirs = ipv6 ? "fd00:10:244:2::1+200" : "10.244.2.1+200";
  if (routes > 1) theirs = "20.0.0.1+" + std::to_string(routes) + "*" + std::to_string(kRouteStride);
  return path->from_uplink ? ",source=" + theirs + ",destination=" + ours
                           : ",source=" + ours + ",destination=" + theirs;
}

std::string Load::source_arguments(const std::string& page) const {
  return "frames=" + std::string(replay::text(path->in)) + ",expect=none,flows=" + std::to_string(flows) +
         ",size=" + size + ",burst=" + std::to_string(burst) + ",queues=" + std::to_string(workers) +
         ",held=1,paced=" + (paced ? "1" : "0") + addresses() + ",page=" + page;
}

std::string Load::sink_arguments(const std::string& page) const {
  const bool is_floor = path->name == "floor";
  return "frames=none,expect=" + std::string(replay::text(path->out)) + ",size=" + size +
         ",ttl=" + std::to_string(replay::kTimeToLive - (is_floor ? 0 : 1)) +
         ",queues=" + std::to_string(workers) + addresses() + ",page=" + page;
}

}  // namespace fairlead::bench
