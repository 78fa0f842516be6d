#include "tools/cli/verbs.hpp"

#include <algorithm>

namespace fairlead::cli {
namespace {

constexpr OptionSpec kCommon[] = {
    {"output", 'o', "table|wide|json|yaml|name", "how to print", "table"},
    {"run-dir", 0, "DIR", "where the processes' sockets are", "/run/fairlead"},
    {"timeout", 0, "1..86400", "seconds to wait for an answer", "10"},
    {"help", 'h', "", "print help"},
};

constexpr OptionSpec kStatus[] = {
    {"wait", 0, "", "until everything wanted is programmed, at most --timeout"}};
constexpr OptionSpec kGet[] = {
    {"namespace", 'n', "NAMESPACE", "endpoints: only of this namespace"},
    {"all-namespaces", 'A', "", "endpoints: of all namespaces, as without -n"},
    {"address", 0, "IP", "flows: only with this address on either side"},
    {"port", 0, "1..65535", "flows: only with this port on either side"},
    {"protocol", 0, "PROTOCOL", "flows: only tcp, udp, icmp, icmpv6, sctp or a number"},
    {"limit", 0, "1..50000", "flows: at most so many", "1000"},
};
constexpr OptionSpec kDrops[] = {
    {"follow", 'f', "", "go on, and print what is dropped as it happens"},
    {"all", 0, "", "also the reasons that never occurred"},
    {"interval", 0, "1..3600", "seconds between two looks with -f", "1"},
};
constexpr OptionSpec kTrace[] = {
    {"from", 0, "SOURCE", "pod/NAMESPACE/NAME, pod/NAME, or an address"},
    {"to", 0, "TARGET", "pod/NAMESPACE/NAME, pod/NAME, or an address, with :PORT if wanted"},
    {"namespace", 'n', "NAMESPACE", "of pod/NAME", "default"},
    {"protocol", 0, "PROTOCOL", "tcp, udp, icmp, icmpv6, sctp or a number; with a port tcp, else ICMP echo"},
    {"source-port", 0, "0..65535", "of tcp, udp or sctp", "40000"},
    {"length", 0, "20..65535", "bytes from the IP header on", "84"},
    {"ttl", 0, "0..255", "TTL or hop limit", "64"},
    {"family", 0, "4|6", "which addresses of the pods; without it the first that both have"},
};
constexpr OptionSpec kCapture[] = {
    {"write", 'w', "FILE", "pcapng file to write; - is standard output"},
    {"filter", 0, "EXPRESSION", "only frames that match, as in man 7 pcap-filter"},
    {"at", 0, "rx|tx|drop|all", "where frames are copied", "all"},
    {"count", 'c', "1..4294967295", "end after so many packets"},
    {"snap", 0, "14..65535", "bytes kept of each frame", "65535"},
};
constexpr OptionSpec kMode[] = {{"wait", 0, "", "until this node forwards so, at most --timeout"}};
constexpr OptionSpec kWait[] = {
    {"for-generation", 0, "1..18446744073709551615", "without it the newest wanted one"}};

constexpr OptionSpec kBench[] = {
    {"quick", 0, "", "shorter and fewer rounds: minutes instead of a quarter of an hour"},
    {"write", 'w', "FILE", "also write the result as JSON, for compare and the report"},
    {"lab", 0, "DIR", "tcp, idle: the laboratory, tools/lab of the source tree"},
    {"program", 0, "FILE", "pps, search: the packet benchmark to run"},
    {"peer", 0, "NAME=PATH", "pps: a program to run beside ours, such as l3fwd=/path", "", true},
    {"path", 0, "PATH", "search: whose throughput", "routed4"},
    {"tolerance", 0, "0..100", "compare: percent of change that counts as none", "2"},
};

constexpr std::string_view kBenches[] = {"pps", "tcp", "service", "idle", "search", "compare"};
constexpr std::string_view kKinds[] = {"endpoints",  "services", "backends", "routes",
                                       "neighbours", "flows",    "ports"};
constexpr std::string_view kModes[] = {"overlay", "routed", "auto"};
constexpr std::string_view kShells[] = {"bash"};

constexpr Verb kVerbs[] = {
    {"status", "[--wait]", "how dataplane and agent are", "", kStatus, {}, 0, 0, run_status},
    {"get", "endpoints|services|backends|routes|neighbours|flows|ports [NAME...]",
     "what is programmed on this node",
     "NAME is NAMESPACE/POD or POD, NAMESPACE/SERVICE or SERVICE, a prefix, an address, a port's number or "
     "device.",
     kGet, kKinds, 1, 1000, run_get},
    {"drops",
     "[-f] [--all]",
     "what was dropped, and why",
     "Each packet has one reason. Stage \"forwarder\" is the dataplane itself, the hooks are kernel programs "
     "before it.",
     kDrops,
     {},
     0,
     0,
     run_drops},
    {"trace",
     "--from SOURCE --to TARGET",
     "what would happen to a packet, step by step",
     "The packet is hypothetical: nothing is sent. SOURCE is a pod of this node, or any other address, which "
     "then arrives\n"
     "at the uplink. TARGET is a pod, an address, or a Service: svc/NAMESPACE/NAME:PORT, with the port's "
     "number "
     "or name.",
     kTrace,
     {},
     0,
     0,
     run_trace},
    {"capture",
     "-w FILE [--filter EXPRESSION]",
     "copy frames into a pcapng file, dropped ones with their reason",
     "Ends after -c packets or with Ctrl-C. Forwarding never waits for a capture: what is too fast for it is "
     "counted as lost.",
     kCapture,
     {},
     0,
     0,
     run_capture},
    {"mode", "[overlay|routed|auto] [--wait]", "show or change how packets travel between nodes",
     "The change is written into the manifest of the ClusterNetwork; every node follows. No packet is lost: "
     "receivers accept\n"
     "both forms at all times.",
     kMode, kModes, 0, 1, run_mode},
    {"wait",
     "[--for-generation N]",
     "until the dataplane forwards by a generation",
     "",
     kWait,
     {},
     0,
     0,
     run_wait},
    {"bench", "[pps|tcp|service|idle|search|compare BASE [NEW]]",
     "measure this machine, beside the kernel and others",
     "  pps      cycles and packets a second of the forwarding paths\n"
     "  tcp      TCP and UDP of pods: Fairlead overlay, routed and on one node, beside the kernel; root "
     "needed\n"
     "  service  connections through a ClusterIP, beside kube-proxy's rule sets; part of tcp; root needed\n"
     "  idle     CPU of a dataplane at low rates, and how long a packet takes that wakes it; root needed\n"
     "  search   the load without loss and with 0.5 % of it (MLRsearch)\n"
     "  compare  two results, or BASE and what is measured now; exit code 7 when a figure is worse\n"
     "Without a name all of them. Ours and the peer run in turns; figures are medians with the 5-95 % band "
     "of "
     "the rounds,\n"
     "and bands that overlap are the same.",
     kBench, kBenches, 0, 3, run_bench},
    {"validate",
     "FILE|DIRECTORY...",
     "check manifests without using them",
     "",
     {},
     {},
     1,
     1000,
     run_validate},
    {"explain",
     "[FIELD|CODE|DROP_REASON]",
     "what a field, an error code or a drop reason means",
     "",
     {},
     {},
     0,
     1,
     run_explain},
    {"completion",
     "bash",
     "print the shell's completion",
     "Use it with: source <(fairlead completion bash)",
     {},
     kShells,
     1,
     1,
     run_completion},
    {"version", "", "print versions", "", {}, {}, 0, 0, run_version},
};

}  // namespace

std::span<const Verb> verbs() {
  return kVerbs;
}

const Verb* find_verb(std::string_view name) {
  const auto* verb =
      std::find_if(std::begin(kVerbs), std::end(kVerbs), [name](const Verb& v) { return v.name == name; });
  return verb == std::end(kVerbs) ? nullptr : verb;
}

std::span<const OptionSpec> common_options() {
  return kCommon;
}

}  // namespace fairlead::cli
