#include "tests/cli/fake_processes.hpp"

#include <boost/asio/post.hpp>
#include <google/protobuf/text_format.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <stdexcept>

namespace fairlead::cli {
namespace {

rpc::Response parse(const std::string& text) {
  rpc::Response response;
  if (!google::protobuf::TextFormat::ParseFromString(text, &response))
    throw std::logic_error("bad test data: " + text);
  return response;
}

}  // namespace

FakeProcesses::FakeProcesses() {
  char name[] = "/tmp/fairlead-cli-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  run_dir_ = name;
}

FakeProcesses::~FakeProcesses() {
  if (thread_.joinable()) {
    boost::asio::post(io_, [this] {
      dataplane_.reset();
      agent_.reset();
    });
    work_.reset();
    thread_.join();
  }
  std::filesystem::remove_all(run_dir_);
}

void FakeProcesses::start_dataplane() {
  start("dataplane.sock", dataplane_);
}
void FakeProcesses::start_agent() {
  start("agent.sock", agent_);
}

void FakeProcesses::start(const std::string& name, std::optional<ipc::Server>& server) {
  if (!thread_.joinable()) thread_ = std::thread([this] { io_.run(); });
  std::promise<std::string> started;
  boost::asio::post(io_, [&] {
    ipc::ServerOptions options;
    options.socket = run_dir_ + "/" + name;
    Result<ipc::Server> opened = ipc::Server::open(io_, options);
    if (!opened) return started.set_value(opened.error().text());
    server.emplace(std::move(*opened));
    const Result<void> serving = server->serve([this](const rpc::Request& request, const ipc::Reply& reply) {
      asked[request.call_case()] = request;
      if (request.has_capture() && on_capture) return on_capture(request.capture(), reply);
      const auto answer = answers.find(request.call_case());
      if (answer == answers.end()) return reply.fail({"FL5061", "the fake does not know this request", ""});
      reply.answer(answer->second);
    });
    started.set_value(serving ? "" : serving.error().text());
  });
  if (const std::string error = started.get_future().get(); !error.empty()) throw std::runtime_error(error);
}

void tell_ordinary_node(FakeProcesses& processes) {
  using Request = rpc::Request;
  processes.answers[Request::kGetState] = parse(R"(state {
    generation: 7
    settings { node: "node-1" mode: "Auto" encapsulation: "VXLAN" vni: 100 tunnel_port: 4789 vtep4: "192.0.2.1" pod_mtu: 1450 }
    endpoints { id: 1 pod_namespace: "default" pod_name: "a" container_id: "0123456789abcdef" interface: "eth0"
                host_interface: "fl1" host_ifindex: 12 mac: "02:00:00:00:00:01" addresses: ["10.244.1.2", "fd00:10:244:1::2"] }
    endpoints { id: 2 pod_namespace: "kube-system" pod_name: "dns" host_interface: "fl2" mac: "02:00:00:00:00:02"
                addresses: ["10.244.1.3"] }
    peers { id: 1 node: "node-2" transport: "Overlay" vtep: "192.0.2.2" vtep_mac: "02:46:c0:00:02:02" pod_cidrs: "10.244.2.0/24" }
    peers { id: 2 node: "node-3" transport: "Routed" vtep: "192.0.2.3" next_hop4: "192.0.2.3" pod_cidrs: "10.244.3.0/24" }
    routes { prefix: "10.244.1.0/24" kind: "Blackhole" }
    routes { prefix: "10.244.1.2/32" kind: "Endpoint" target: 1 target_name: "default/a" }
    routes { prefix: "10.244.2.0/24" kind: "Peer" target: 1 target_name: "node-2" }
    routes { prefix: "10.244.3.0/24" kind: "Peer" target: 2 target_name: "node-3" }
    services { id: 1 service_namespace: "default" name: "web" port_name: "http" protocol: 6 reply_path: "ThisNode"
               frontends { kind: "ClusterIP" address: "10.96.0.10" port: 80 } frontends { kind: "NodePort" port: 30080 }
               frontends { kind: "LoadBalancer" address: "203.0.113.7" port: 80 }
               backends { address: "10.244.1.2" port: 8080 serving: true local: true object: "pod/default/a" node: "node-1" }
               backends { address: "10.244.2.2" port: 8080 serving: true object: "pod/default/b" node: "node-2" }
               backends { address: "10.244.2.3" port: 8080 node: "node-2" }
               cluster_backends: [0, 1] local_backends: [0] affinity_seconds: 600 external_local: true }
    services { id: 2 service_namespace: "kube-system" name: "dns" protocol: 17 reply_path: "ThisNode"
               frontends { kind: "ClusterIP" address: "10.96.0.53" port: 53 } }
    services { id: 3 service_namespace: "kube-system" name: "dns" protocol: 17 is_ipv6: true reply_path: "ThisNode"
               frontends { kind: "ClusterIP" address: "fd00:96::35" port: 53 } }
  })");
  processes.answers[Request::kGetPorts] = parse(R"(ports {
    ports { id: 1 kind: "Uplink" device: "eth0" driver: "af_xdp" mac: "02:00:00:00:01:01" up: true mtu: 1500 rx_packets: 1234567
            rx_bytes: 5368709120 tx_packets: 9 tx_bytes: 900 queues: 1 }
    ports { id: 2 kind: "Trunk" device: "fltrunk" driver: "tap" mac: "02:00:00:00:01:02" up: true mtu: 1500 }
    ports { id: 3 kind: "Host" device: "fairlead0" driver: "tap" note: "no vhost" mac: "02:00:00:00:01:03" mtu: 1500 }
  })");
  processes.answers[Request::kGetNeighbours] = parse(R"(neighbours {
    neighbours { address: "192.0.2.2" mac: "02:00:00:00:02:02" port: 1 state: "resolved" }
    neighbours { address: "192.0.2.9" port: 1 state: "unresolved" }
  })");
  processes.answers[Request::kGetFlows] = parse(R"(flows {
    flows { source: "10.244.1.2" source_port: 40000 destination: "10.244.2.2" destination_port: 80 protocol: 6 state: "established"
            packets_original: 1000 packets_reply: 900 bytes_original: 1048576 bytes_reply: 0 idle_seconds: 75
            original_out: "peer node-2 vxlan" reply_out: "endpoint default/a" }
    flows { source: "fd00:10:244:1::2" destination: "fd00::9" destination_port: 53 source_port: 5353 protocol: 17 state: "one-way"
            packets_original: 1 bytes_original: 80 }
  })");
  processes.answers[Request::kGetCounters] = parse(R"(counters {
    counters { name: "in" sentence: "packets taken" count: 10 stage: "forwarder" }
    drops { name: "NO_ROUTE" sentence: "no route to the destination" count: 3 stage: "forwarder" }
    drops { name: "TOO_BIG" sentence: "too big" count: 0 stage: "forwarder" }
    drops { name: "SPOOFED_SOURCE" sentence: "source address is not the endpoint's" count: 12345 stage: "pod hook" }
    conserved: true
  })");
  processes.answers[Request::kTrace] = parse(R"(trace {
    steps { step: "parse" text: "IPv4 TCP 10.244.1.2:40000 > 10.244.2.2:80" }
    steps { step: "source_check" object: "endpoint default/a" text: "10.244.1.2 is its address" }
    steps { step: "route" object: "10.244.2.0/24 node-2" text: "VXLAN to 192.0.2.2, MTU 1450" }
    verdict: "forward" port: "eth0" pushed_header: "\x02\x46\x00\x00\x00\x02\x02\x46\x00\x00\x00\x01\x08\x00\x45\x00\x00\x01"
    pushed_header_text: "Ethernet  02:46:00:00:00:01 > 02:46:00:00:00:02  type 0x0800\nrest      4 bytes\n"
  })");
  processes.answers[Request::kDataplaneStatus] = parse(R"(dataplane_status {
    version: "0.1.0" engine: "dpdk" notes: "no huge pages: --no-huge" workers: 1 generation: 7 node: "node-1" mode: "Auto"
    uptime_seconds: 3725 pid: 4242 cpu_seconds: 1.5 flows: 2
  })");
  processes.answers[Request::kAgentStatus] = parse(R"(agent_status {
    version: "0.1.0" node: "node-1" source: "manifests:/etc/fairlead" wanted_generation: 7 programmed_generation: 7
    dataplane_connected: true nodes: 3 endpoints: 2 mode: "Auto" pod_cidrs: "10.244.1.0/24" uptime_seconds: 60 pid: 4343
  })");
  processes.answers[Request::kGetRefusals] = parse(R"(refusals { total: 2
    refusals { code: "FL1037" object: "endpointslice/default/web-1" field: "endpoints[2].addresses[0]"
               reason: "127.0.0.1 is loopback" service: "default/web" }
    refusals { code: "FL1036" object: "service/default/late" field: "spec.clusterIPs[0]"
               reason: "TCP 10.96.0.10 port 80 is service/default/web's" service: "default/late" }
  })");
  processes.answers[Request::kSetMode] = parse("set_mode { generation: 8 }");
  processes.answers[Request::kFindPod] =
      parse(R"(pod { pod_namespace: "default" pod_name: "b" node: "node-2" addresses: "10.244.2.2" })");
  processes.answers[Request::kWait] = parse("wait { generation: 8 wanted: 8 }");
}

}  // namespace fairlead::cli
