#include "controlplane/manifests/schema.hpp"

#include "controlplane/manifests/service_entries.hpp"
#include "dataplane/base/diagnostic.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace fairlead::control {
namespace {

const std::string& word(const FieldValue& value) {
  return std::get<std::string>(value);
}
uint64_t number(const FieldValue& value) {
  return std::get<uint64_t>(value);
}
const std::vector<core::Prefix>& prefixes(const FieldValue& value) {
  return std::get<std::vector<core::Prefix>>(value);
}

std::string list_text(const std::vector<core::Prefix>& list) {
  std::string text = "[";
  for (const core::Prefix& prefix : list) text += (text.size() > 1 ? ", \"" : "\"") + prefix.text() + "\"";
  return text + "]";
}

std::string uplinks_text(const std::vector<std::string>& globs) {
  std::string text = "[";
  for (const std::string& glob : globs)
    text += (text.size() > 1 ? ", {match: \"" : "{match: \"") + glob + "\"}";
  return text + "]";
}

// The schema. One row a key; nothing else in the tree repeats a name, a range or a default of these.
const std::array kFields = {
    Field{.path = "apiVersion",
          .kind = FieldKind::kConstant,
          .default_text = "",
          .sentence = "The version of this schema.",
          .allowed = {"fairlead.io/v1alpha1"},
          .is_required = true},
    Field{.path = "kind",
          .kind = FieldKind::kConstant,
          .default_text = "",
          .sentence = "The kind of object: the configuration of the cluster's pod network.",
          .allowed = {"ClusterNetwork"},
          .is_required = true},
    Field{.path = "metadata",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "Kubernetes' object metadata; only the name is read.",
          .is_required = true},
    Field{.path = "metadata.name",
          .kind = FieldKind::kConstant,
          .default_text = "",
          .sentence = "A cluster has one network and it is called default.",
          .allowed = {"default"},
          .is_required = true},
    Field{.path = "spec",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "What the pod network shall be."},
    Field{.path = "spec.mode",
          .kind = FieldKind::kWord,
          .default_text = "Auto",
          .sentence =
              "How packets for pods on other nodes are sent: Overlay encapsulates, Routed sends them as they "
              "are, "
              "Auto routes to nodes on the same link and encapsulates to all others. Both forms are always "
              "accepted, so the mode may be changed while traffic runs.",
          .allowed = {"Overlay", "Routed", "Auto"},
          .assign =
              [](ClusterNetwork& n, const FieldValue& v) {
                n.mode = word(v) == "Overlay"  ? Mode::kOverlay
                         : word(v) == "Routed" ? Mode::kRouted
                                               : Mode::kAuto;
              },
          .current = [](const ClusterNetwork& n) { return std::string(mode_name(n.mode)); }},
    Field{.path = "spec.overlay",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "The tunnel between nodes."},
    Field{.path = "spec.overlay.encapsulation",
          .kind = FieldKind::kWord,
          .default_text = "VXLAN",
          .sentence = "The tunnel's header: VXLAN (RFC 7348) or Geneve (RFC 8926).",
          .allowed = {"VXLAN", "Geneve"},
          .assign =
              [](ClusterNetwork& n, const FieldValue& v) {
                n.encapsulation =
                    word(v) == "VXLAN" ? core::Encapsulation::kVxlan : core::Encapsulation::kGeneve;
              },
          .current = [](const ClusterNetwork& n) -> std::string {
            return n.encapsulation == core::Encapsulation::kVxlan ? "VXLAN" : "Geneve";
          }},
    Field{.path = "spec.overlay.vni",
          .kind = FieldKind::kNumber,
          .default_text = "100",
          .sentence = "The network identifier in the tunnel header; packets with another one are dropped.",
          .min = 1,
          .max = 16777215,
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.vni = static_cast<uint32_t>(number(v)); },
          .current = [](const ClusterNetwork& n) { return std::to_string(n.vni); }},
    Field{.path = "spec.overlay.port",
          .kind = FieldKind::kNumber,
          .default_text = "4789",
          .sentence =
              "The UDP port that tunnel packets are sent to. The default is VXLAN's; Geneve's own is 6081.",
          .min = 1,
          .max = 65535,
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.port = static_cast<uint16_t>(number(v)); },
          .current = [](const ClusterNetwork& n) { return std::to_string(n.port); }},
    Field{.path = "spec.overlay.mtu",
          .kind = FieldKind::kNumber,
          .default_text = "",
          .sentence = "The MTU that pods' routes carry. Without it: the uplink's MTU minus the tunnel "
                      "overhead really in use.",
          .min = 1280,
          .max = 65535,
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.mtu = static_cast<uint16_t>(number(v)); },
          .current =
              [](const ClusterNetwork& n) { return n.mtu == 0 ? std::string() : std::to_string(n.mtu); }},
    Field{.path = "spec.addressing",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "The cluster's address ranges."},
    Field{.path = "spec.addressing.pods",
          .kind = FieldKind::kCidrList,
          .default_text = "[]",
          .sentence = "The ranges that pods' addresses come from. Empty: what the Nodes' podCIDRs add up to.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.pods = prefixes(v); },
          .current = [](const ClusterNetwork& n) { return list_text(n.pods); }},
    Field{.path = "spec.addressing.services",
          .kind = FieldKind::kCidrList,
          .default_text = "[]",
          .sentence = "The ranges of ClusterIPs; pod ranges may not overlap them.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.services = prefixes(v); },
          .current = [](const ClusterNetwork& n) { return list_text(n.services); }},
    Field{.path = "spec.addressing.blockSize",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "The prefix length of one node's share of spec.addressing.pods."},
    Field{.path = "spec.addressing.blockSize.ipv4",
          .kind = FieldKind::kNumber,
          .default_text = "24",
          .sentence = "Prefix length of a node's IPv4 range.",
          .min = 16,
          .max = 30,
          .assign = [](ClusterNetwork& n,
                       const FieldValue& v) { n.block_size_ipv4 = static_cast<uint8_t>(number(v)); },
          .current = [](const ClusterNetwork& n) { return std::to_string(n.block_size_ipv4); }},
    Field{.path = "spec.addressing.blockSize.ipv6",
          .kind = FieldKind::kNumber,
          .default_text = "64",
          .sentence = "Prefix length of a node's IPv6 range.",
          .min = 48,
          .max = 126,
          .assign = [](ClusterNetwork& n,
                       const FieldValue& v) { n.block_size_ipv6 = static_cast<uint8_t>(number(v)); },
          .current = [](const ClusterNetwork& n) { return std::to_string(n.block_size_ipv6); }},
    Field{.path = "spec.dataplane",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "What forwards, and on which devices."},
    Field{.path = "spec.dataplane.engine",
          .kind = FieldKind::kWord,
          .default_text = "Auto",
          .sentence =
              "The forwarder: DPDK (userspace), EBPF (in the kernel), or Auto for the fastest that works.",
          .allowed = {"Auto", "DPDK", "EBPF"},
          .unsupported = {"EBPF"},
          .instead = "set engine: DPDK or Auto",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.engine = word(v); },
          .current = [](const ClusterNetwork& n) { return n.engine; }},
    Field{.path = "spec.dataplane.dpdk",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "Settings of the DPDK engine."},
    Field{
        .path = "spec.dataplane.dpdk.cores",
        .kind = FieldKind::kWord,
        .default_text = "Auto",
        .sentence = "The CPU cores that forward. A node's own choice is an option of its fairlead-dataplane.",
        .allowed = {"Auto"},
        .instead = "set cores: Auto and choose cores with fairlead-dataplane's options"},
    Field{.path = "spec.dataplane.dpdk.hugepages",
          .kind = FieldKind::kWord,
          .default_text = "Auto",
          .sentence = "Huge pages are used where the node has them; otherwise ordinary memory, and the "
                      "dataplane says so.",
          .allowed = {"Auto"},
          .instead = "set hugepages: Auto and reserve huge pages on the node"},
    Field{
        .path = "spec.dataplane.dpdk.polling",
        .kind = FieldKind::kWord,
        .default_text = "Adaptive",
        .sentence = "Adaptive polls under load and sleeps when idle; Busy never sleeps.",
        .allowed = {"Adaptive", "Busy"},
        .unsupported = {"Busy"},
        .instead =
            "set polling: Adaptive; a node that shall never sleep is told so by fairlead-dataplane's options",
        .assign = [](ClusterNetwork& n, const FieldValue& v) { n.polling = word(v); },
        .current = [](const ClusterNetwork& n) { return n.polling; }},
    Field{.path = "spec.dataplane.uplinks",
          .kind = FieldKind::kUplinkList,
          .default_text = "[]",
          .sentence = "Which device of a node leads to the other nodes: the first that matches a glob, in "
                      "order. Empty: "
                      "the device that carries the Node's InternalIP, else that of the default route.",
          .assign = [](ClusterNetwork& n,
                       const FieldValue& v) { n.uplink_match = std::get<std::vector<std::string>>(v); },
          .current = [](const ClusterNetwork& n) { return uplinks_text(n.uplink_match); }},
    Field{.path = "spec.dataplane.uplinks.match",
          .kind = FieldKind::kWord,
          .default_text = "",
          .sentence = "A device name, with * and ? as in a shell: \"ens1f*\".",
          .is_required = true},
    Field{.path = "spec.dataplane.uplinks.driver",
          .kind = FieldKind::kWord,
          .default_text = "Auto",
          .sentence = "How the device is driven.",
          .allowed = {"Auto"},
          .instead = "set driver: Auto and choose a driver with fairlead-dataplane's options"},
    Field{.path = "spec.routing",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "Who tells the fabric about pods' ranges."},
    Field{.path = "spec.routing.provider",
          .kind = FieldKind::kWord,
          .default_text = "Kernel",
          .sentence = "Kernel: the nodes' own routes only. BGP and Exec would tell the fabric.",
          .allowed = {"Kernel", "BGP", "Exec"},
          .unsupported = {"BGP", "Exec"},
          .instead = "set provider: Kernel"},
    Field{.path = "spec.services",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "How Services are reachable from outside of the cluster."},
    Field{.path = "spec.services.nodePortAddresses",
          .kind = FieldKind::kCidrList,
          .default_text = "[]",
          .sentence = "NodePorts answer on a node's addresses within these ranges. Empty: on the InternalIPs "
                      "of its Node.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.node_port_addresses = prefixes(v); },
          .current = [](const ClusterNetwork& n) { return list_text(n.node_port_addresses); }},
    Field{.path = "spec.services.externalIPRanges",
          .kind = FieldKind::kCidrList,
          .default_text = "[]",
          .sentence = "The ranges that externalIPs of Services may come from. Any other is refused, so that "
                      "nobody who may "
                      "create a Service can take over somebody else's address.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.external_ip_ranges = prefixes(v); },
          .current = [](const ClusterNetwork& n) { return list_text(n.external_ip_ranges); }},
    Field{.path = "spec.services.replyPath",
          .kind = FieldKind::kWord,
          .default_text = "ThisNode",
          .sentence = "How a backend on another node gets a packet that came from outside. ThisNode: its "
                      "source becomes "
                      "this node, and replies come back through here. Geneve and IPIP: the client's address "
                      "is kept and the "
                      "reply goes straight to it (direct server return); pods' MTU leaves room for that "
                      "header. A Service's "
                      "annotation fairlead.io/reply-path overrides it.",
          .allowed = {"ThisNode", "Geneve", "IPIP"},
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.reply_path = *parse_reply_path(word(v)); },
          .current = [](const ClusterNetwork& n) { return std::string(reply_path_name(n.reply_path)); }},
    Field{.path = "spec.egress",
          .kind = FieldKind::kGroup,
          .default_text = "",
          .sentence = "What pods look like to the world outside of the cluster."},
    Field{.path = "spec.egress.masquerade",
          .kind = FieldKind::kBool,
          .default_text = "true",
          .sentence = "Whether packets of pods that leave the cluster get their node's address as source. "
                      "Without it the "
                      "underlay has to know the pod ranges, and traffic from outside to a NodePort reaches "
                      "backends of its "
                      "own node only.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.masquerade = std::get<bool>(v); },
          .current = [](const ClusterNetwork& n) -> std::string { return n.masquerade ? "true" : "false"; }},
    Field{.path = "spec.egress.nonMasqueradeCIDRs",
          .kind = FieldKind::kCidrList,
          .default_text = "[]",
          .sentence = "Destinations outside of the cluster that see pods' own addresses.",
          .assign = [](ClusterNetwork& n, const FieldValue& v) { n.non_masquerade_cidrs = prefixes(v); },
          .current = [](const ClusterNetwork& n) { return list_text(n.non_masquerade_cidrs); }},
    Field{.path = "spec.egress.snatPorts",
          .kind = FieldKind::kPortRange,
          .default_text = "61000-65535",
          .sentence = "The source ports that translated connections get on a node's address. They are kept "
                      "from the node's "
                      "own programs (net.ipv4.ip_local_reserved_ports), and may hold neither NodePorts nor "
                      "the tunnel's port.",
          .min = 1024,
          .max = 65535,
          .assign =
              [](ClusterNetwork& n, const FieldValue& v) {
                std::tie(n.snat_port_first, n.snat_port_last) = std::get<std::pair<uint16_t, uint16_t>>(v);
              },
          .current = [](const ClusterNetwork& n) -> std::string {
            return std::to_string(n.snat_port_first) + "-" + std::to_string(n.snat_port_last);
          }},
};

std::string_view strip_kind(std::string_view path) {
  for (std::string_view prefix : {"clusternetwork.", "ClusterNetwork."}) {
    if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
  }
  return path;
}

std::size_t depth(std::string_view path) {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '.'));
}

std::string_view last_name(std::string_view path) {
  return path.substr(path.rfind('.') + 1);
}

std::string wrap(std::string_view text, std::size_t width, std::string_view indent) {
  std::string out(indent);
  std::size_t column = indent.size();
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (column > indent.size() && column + 1 + end > width) {
      out += "\n" + std::string(indent);
      column = indent.size();
    } else if (column > indent.size()) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + "\n";
}

}  // namespace

std::span<const Field> cluster_network_fields() {
  return kFields;
}

const Field* find_field(std::string_view path) {
  const std::string_view wanted = strip_kind(path);
  const auto found =
      std::find_if(kFields.begin(), kFields.end(), [&](const Field& field) { return field.path == wanted; });
  return found == kFields.end() ? nullptr : &*found;
}

std::string_view nearest_field(std::string_view path) {
  std::vector<std::string_view> paths;
  paths.reserve(kFields.size());
  for (const Field& field : kFields) paths.push_back(field.path);
  const std::string_view wanted = strip_kind(path);
  // A last name alone ("vni") stands for its path.
  for (const Field& field : kFields) {
    if (last_name(field.path) == wanted) return field.path;
  }
  return nearest(wanted, paths);
}

std::string type_text(const Field& field) {
  const auto words = [&] {
    std::string text;
    for (std::string_view allowed : field.allowed) text += (text.empty() ? "" : ", ") + std::string(allowed);
    return text;
  };
  switch (field.kind) {
    case FieldKind::kConstant:
      return "the word " + words();
    case FieldKind::kWord:
      return field.allowed.empty() ? "text" : (field.allowed.size() == 1 ? "the word " : "one of ") + words();
    case FieldKind::kNumber:
      return "integer " + std::to_string(field.min) + ".." + std::to_string(field.max);
    case FieldKind::kBool:
      return "true or false";
    case FieldKind::kPortRange:
      return "text FIRST-LAST, ports " + std::to_string(field.min) + ".." + std::to_string(field.max);
    case FieldKind::kCidrList:
      return "list of CIDRs";
    case FieldKind::kUplinkList:
      return "list of mappings with match and driver";
    case FieldKind::kGroup:
      return "mapping";
  }
  return {};
}

std::string explain(const Field& field) {
  std::string out = "ClusterNetwork " + std::string(field.path) + "\n";
  out += "  type:     " + type_text(field) + (field.is_required ? ", required" : "") + "\n";
  if (!field.default_text.empty()) out += "  default:  " + std::string(field.default_text) + "\n";
  if (!field.unsupported.empty()) {
    std::string refused;
    for (std::string_view value : field.unsupported) {
      refused += (refused.empty() ? "" : ", ") + std::string(value == "*" ? "anything but []" : value);
    }
    out += "  refused:  " + refused + " (not in this version)\n";
  }
  out += wrap(field.sentence, 100, "  ");
  if (field.kind != FieldKind::kGroup && field.kind != FieldKind::kUplinkList) return out;
  out += "  fields:\n";
  const std::string prefix = std::string(field.path) + ".";
  for (const Field& member : kFields) {
    if (!member.path.starts_with(prefix) || depth(member.path) != depth(field.path) + 1) continue;
    std::string name = "    " + std::string(last_name(member.path));
    name.resize(std::max<std::size_t>(name.size() + 1, 24), ' ');
    out += name + type_text(member) +
           (member.default_text.empty() ? "" : ", default " + std::string(member.default_text)) + "\n";
  }
  return out;
}

std::string to_yaml(const ClusterNetwork& network) {
  std::string out;
  for (const Field& field : kFields) {
    // Members of a list stand within their list's text.
    const std::string_view parent = field.path.substr(0, std::max<std::size_t>(field.path.rfind('.'), 0));
    const Field* group = field.path.find('.') == std::string_view::npos ? nullptr : find_field(parent);
    if (group != nullptr && group->kind == FieldKind::kUplinkList) continue;
    const std::string indent(2 * depth(field.path), ' ');
    const std::string name = indent + std::string(last_name(field.path)) + ":";
    if (field.kind == FieldKind::kGroup) {
      out += name + "\n";
      continue;
    }
    std::string value = field.current != nullptr             ? field.current(network)
                        : field.kind == FieldKind::kConstant ? std::string(field.allowed[0])
                                                             : std::string(field.default_text);
    if (!value.empty()) out += name + " " + value + "\n";
  }
  return out;
}

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kOverlay:
      return "Overlay";
    case Mode::kRouted:
      return "Routed";
    case Mode::kAuto:
      break;
  }
  return "Auto";
}

}  // namespace fairlead::control
