#include "controlplane/agent/agent.hpp"

#include "controlplane/agent/service.hpp"
#include "controlplane/host/sysctl.hpp"
#include "dataplane/rpc/client.hpp"
#include "tests/agent/fake_dataplane.hpp"
#include "tests/host/netns_fixture.hpp"

#include <atomic>
#include <fstream>
#include <thread>

// The whole agent but its main(): real files, real netlink in a namespace of its own, the real protocol on
// both sockets.

namespace fairlead::control {
namespace {

using namespace std::chrono_literals;

class FakePods : public PodService {
 public:
  Result<std::vector<core::Endpoint>> restore() override { return endpoints; }
  Result<void> set_pod_mtu(uint16_t mtu) override {
    mtus.push_back(mtu);
    return {};
  }
  void pod_cidrs_changed(const std::vector<core::Prefix>& now) override { cidrs = now; }
  bool handle(const rpc::Request& request, const ipc::Reply& reply) override {
    if (!request.has_cni_del()) return false;
    reply.done();
    return true;
  }
  [[nodiscard]] uint32_t free_ipv4() const override { return 42; }

  std::vector<core::Endpoint> endpoints;
  std::vector<uint16_t> mtus;
  std::vector<core::Prefix> cidrs;
};

core::Endpoint endpoint(core::EndpointId id, const std::string& address) {
  core::Endpoint e;
  e.id = id;
  e.pod_namespace = "default";
  e.pod_name = "pod-" + std::to_string(id);
  e.container_id = "c" + std::to_string(id);
  e.interface = "eth0";
  e.host_interface = "fl" + std::to_string(id);
  e.host_ifindex = 100 + id;
  e.mac = core::MacAddress{{2, 0, 0, 0, 0, static_cast<uint8_t>(id)}};
  e.addresses = {core::IpAddress::parse(address).value()};
  return e;
}

class AgentTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directory(manifests());
    run_ip("link add u0 type veth peer name u0p");
    run_ip("link set u0p up");
    run_ip("link set u0 up");
    run_ip("addr add 192.0.2.1/24 dev u0");
    run_ip("link add fairlead0 type veth peer name hp");
    run_ip("link set hp up");
    run_ip("link set fairlead0 up");
    write("network.yaml", network("Overlay"));
    write("n1.yaml", node("n1", "192.0.2.1", "10.1.1.0/24"));
    write("n2.yaml", node("n2", "192.0.2.2", "10.1.2.0/24"));
    dataplane_.start();
    start_agent();
  }
  void TearDown() override {
    server_.reset();
    answers_.reset();
    agent_.reset();
  }

  static void run_ip(const std::string& arguments) { EXPECT_EQ(ip(arguments), "") << "ip " << arguments; }

  void start_agent() {
    server_.reset();
    answers_.reset();
    agent_.reset();
    AgentOptions options;
    options.node = "n1";
    options.manifests = manifests();
    options.run_dir = scratch_.path();
    options.state_dir = scratch_.path() + "/state";
    options.dataplane_socket = scratch_.path() + "/dataplane.sock";
    options.host_port = "fairlead0";
    auto made = Agent::create(io_, options);
    ASSERT_TRUE(made.ok()) << made.error().text();
    agent_ = std::move(*made);
    const auto started = agent_->start(pods_);
    ASSERT_TRUE(started.ok()) << started.error().text();
    auto server = ipc::Server::open(
        io_, {.socket = scratch_.path() + "/agent.sock", .process = "agent", .extra_uids = {}});
    ASSERT_TRUE(server.ok()) << server.error().text();
    server_.emplace(std::move(*server));
    answers_.emplace(*agent_, pods_);
    const auto serving = server_->serve(
        [this](const rpc::Request& request, const ipc::Reply& reply) { answers_->handle(request, reply); });
    ASSERT_TRUE(serving.ok()) << serving.error().text();
  }

  // Asks over the socket, as the CLI does, while the loop runs here.
  Result<rpc::Response> ask(const rpc::Request& request, rpc::Response::AnswerCase expected) {
    std::optional<Result<rpc::Response>> answer;
    std::atomic<bool> is_done = false;
    std::thread client([&] {
      answer = ipc::ask({.service = ipc::Service::kAgent, .run_dir = scratch_.path()}, request, expected);
      is_done = true;
    });
    EXPECT_TRUE(run_until(io_, [&] { return is_done.load(); }));
    client.join();
    return *answer;
  }
  rpc::AgentStatus status() {
    rpc::Request request;
    request.mutable_agent_status();
    const auto answer = ask(request, rpc::Response::kAgentStatus);
    EXPECT_TRUE(answer.ok());
    return answer ? answer->agent_status() : rpc::AgentStatus{};
  }

  [[nodiscard]] std::string manifests() const { return scratch_.path() + "/manifests"; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(manifests() + "/." + name) << text;
    std::filesystem::rename(manifests() + "/." + name, manifests() + "/" + name);
  }
  static std::string node(const std::string& name, const std::string& address, const std::string& cidr) {
    return "apiVersion: v1\nkind: Node\nmetadata: {name: " + name + "}\nspec: {podCIDRs: [" + cidr +
           "]}\nstatus: {addresses: [{type: InternalIP, address: " + address + "}]}\n";
  }
  static std::string network(const std::string& mode) {
    return "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\nspec:\n  "
           "mode: " +
           mode + "\n  addressing: {pods: [10.1.0.0/16]}\n";
  }
  ::testing::AssertionResult programmed() {
    return run_until(io_, [this] { return agent_->publisher().is_programmed(); });
  }
  ::testing::AssertionResult reaches(const std::function<bool(const core::NodeState&)>& is_met) {
    return run_until(io_, [&] { return is_met(dataplane_.state); });
  }

  ScratchDirectory scratch_;
  boost::asio::io_context io_{1};
  FakeDataplane dataplane_{io_, scratch_.path() + "/dataplane.sock"};
  FakePods pods_;
  std::unique_ptr<Agent> agent_;
  std::optional<AgentServer> answers_;
  std::optional<ipc::Server> server_;
};

TEST_F(AgentTest, ManifestsBecomeWhatTheDataplaneHas) {
  ASSERT_TRUE(programmed());
  const core::NodeState& state = dataplane_.state;
  EXPECT_EQ(state.settings.node, "n1");
  EXPECT_EQ(state.settings.vtep4.text(), "192.0.2.1");
  EXPECT_EQ(state.settings.pod_mtu, 1450);
  ASSERT_EQ(state.peers.size(), 1u);
  EXPECT_EQ(state.peers.begin()->second.node, "n2");
  ASSERT_EQ(pods_.cidrs.size(), 1u);
  EXPECT_EQ(pods_.cidrs[0].text(), "10.1.1.0/24");
  const rpc::AgentStatus now = status();
  EXPECT_EQ(now.last_error(), "");
  EXPECT_EQ(now.wanted_generation(), 1u);
  EXPECT_EQ(now.programmed_generation(), 1u);
  EXPECT_TRUE(now.dataplane_connected());
  EXPECT_EQ(now.nodes(), 2u);
  EXPECT_EQ(now.mode(), "Overlay");
  EXPECT_EQ(now.pod_cidrs(0), "10.1.1.0/24");
  EXPECT_EQ(now.addresses_free4(), 42u);
}

TEST_F(AgentTest, ChangesOfFilesAreFollowed) {
  ASSERT_TRUE(programmed());
  write("n3.yaml", node("n3", "192.0.2.3", "10.1.3.0/24"));
  ASSERT_TRUE(reaches([](const core::NodeState& s) { return s.peers.size() == 2; }));
  std::filesystem::remove(manifests() + "/n2.yaml");
  ASSERT_TRUE(reaches([](const core::NodeState& s) { return s.peers.size() == 1; }));
  EXPECT_EQ(dataplane_.state.peers.begin()->second.node, "n3");
}

TEST_F(AgentTest, ServicesAndSlicesBecomeWhatTheDataplaneHas) {
  ASSERT_TRUE(programmed());
  write("network.yaml",
        "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\nspec:\n  mode: "
        "Overlay\n"
        "  addressing: {pods: [10.1.0.0/16], services: [10.96.0.0/16]}\n");
  write(
      "web.yaml",
      "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec:\n  clusterIP: "
      "10.96.0.10\n"
      "  externalIPs: [203.0.113.7]\n  ports: [{name: http, port: 80, targetPort: 8080}]\n---\n"
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, namespace: shop, "
      "labels: "
      "{kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n"
      "- {addresses: [10.1.1.7], nodeName: n1, targetRef: {kind: Pod, namespace: shop, name: web-a}}\n"
      "- {addresses: [127.0.0.1]}\n");
  ASSERT_TRUE(reaches([](const core::NodeState& s) { return !s.services.empty(); }));
  const core::Service& web = *dataplane_.state.services.begin()->second;
  EXPECT_EQ(core::name_of(web), "shop/web:http");
  ASSERT_EQ(web.backends.size(), 1u);
  EXPECT_EQ(web.backends[0].object.view(), "pod/shop/web-a");
  EXPECT_TRUE(web.backends[0].local);
  EXPECT_EQ(web.frontends.size(), 1u) << "the external address is in no configured range";

  rpc::Request request;
  request.mutable_get_refusals();
  const auto answer = ask(request, rpc::Response::kRefusals);
  ASSERT_TRUE(answer.ok()) << answer.error().text();
  ASSERT_EQ(answer->refusals().total(), 2u);
  EXPECT_EQ(answer->refusals().refusals(0).code(), "FL1038");
  EXPECT_EQ(answer->refusals().refusals(0).object(), "service/shop/web");
  EXPECT_EQ(answer->refusals().refusals(1).object(), "endpointslice/shop/web-1");
  EXPECT_EQ(answer->refusals().refusals(1).service(), "shop/web");
  const rpc::AgentStatus now = status();
  EXPECT_EQ(now.services(), 1u);
  EXPECT_EQ(now.services_refused(), 1u);
  EXPECT_NE(now.last_error().find("127.0.0.1 is loopback"), std::string::npos) << now.last_error();

  // The node's own processes find ClusterIPs by the forwarder's device, with the node's address as source.
  ASSERT_TRUE(run_until(io_, [] { return ip("route").find("10.96.0.0/16") != std::string::npos; }));
  EXPECT_NE(ip("route").find("10.96.0.0/16 dev fairlead0 proto 76 scope link src 192.0.2.1"),
            std::string::npos)
      << ip("route");
  EXPECT_EQ(read_sysctl("net/ipv4/ip_local_reserved_ports").value(), "61000-65535");

  std::filesystem::remove(manifests() + "/web.yaml");
  ASSERT_TRUE(reaches([](const core::NodeState& s) { return s.services.empty(); }));
  EXPECT_EQ(status().last_error(), "");
}

TEST_F(AgentTest, AWrongFileChangesNothingAndIsShown) {
  ASSERT_TRUE(programmed());
  const core::NodeState before = dataplane_.state;
  write("n2.yaml", node("n2", "192.0.2.2", "10.1.2.7/24"));
  ASSERT_TRUE(run_until(io_, [this] { return !agent_->problems().empty(); }));
  run_for(io_, 50ms);
  EXPECT_EQ(dataplane_.state, before);
  EXPECT_NE(status().last_error().find("write 10.1.2.0/24"), std::string::npos) << status().last_error();
  start_agent();  // and outlives a restart
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.state, before);
}

TEST_F(AgentTest, ARestartChangesNothing) {
  pods_.endpoints = {};
  ASSERT_TRUE(programmed());
  std::optional<Result<void>> attached;
  agent_->attach(endpoint(7, "10.1.1.7"), 5000, [&](Result<void> result) { attached = std::move(result); });
  ASSERT_TRUE(run_until(io_, [&] { return attached.has_value(); }));
  ASSERT_TRUE(attached->ok());
  const core::NodeState before = dataplane_.state;
  EXPECT_TRUE(before.endpoints.contains(7));
  const size_t published = dataplane_.published.size();
  pods_.endpoints = {endpoint(7, "10.1.1.7")};
  start_agent();
  ASSERT_TRUE(programmed());
  run_for(io_, 50ms);
  EXPECT_EQ(dataplane_.published.size(), published);
  EXPECT_EQ(dataplane_.state, before);
}

TEST_F(AgentTest, NothingIsPublishedBeforeTheManifestsAreKnown) {
  ASSERT_TRUE(programmed());
  const core::NodeState before = dataplane_.state;
  const size_t published = dataplane_.published.size();
  std::filesystem::rename(manifests(), manifests() + ".away");
  start_agent();
  run_for(io_, 100ms);
  EXPECT_EQ(dataplane_.published.size(), published) << "an empty intent would have taken the peers away";
  std::optional<Result<void>> attached;
  agent_->attach(endpoint(7, "10.1.1.7"), 5000, [&](Result<void> result) { attached = std::move(result); });
  EXPECT_FALSE(attached.has_value()) << "never within the call";
  ASSERT_TRUE(run_until(io_, [&] { return attached.has_value(); }));
  EXPECT_EQ(attached->error().code, "FL5026");
  std::filesystem::rename(manifests() + ".away", manifests());
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.state, before);
}

TEST_F(AgentTest, EndpointsComeAndGo) {
  ASSERT_TRUE(programmed());
  std::vector<std::string> log;
  const auto answer = [&](const std::string& name) {
    return [&log, name](const Result<void>& result) {
      log.push_back(name + (result ? "" : " " + result.error().what));
    };
  };
  agent_->attach(endpoint(7, "10.1.1.7"), 5000, answer("first"));
  EXPECT_TRUE(log.empty());
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 1; }));
  EXPECT_TRUE(dataplane_.state.endpoints.contains(7)) << "done means that the dataplane forwards for it";
  agent_->attach(endpoint(8, "10.1.1.7"), 5000, answer("same address"));
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 2; }));
  agent_->detach(8, answer("second gone"));
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 3; }));
  agent_->detach(7, answer("gone"));
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 4; }));
  EXPECT_FALSE(dataplane_.state.endpoints.contains(7));
  dataplane_.stop();
  ASSERT_TRUE(run_until(io_, [this] { return !agent_->publisher().is_connected(); }));
  agent_->detach(9, answer("dataplane away"));
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 5; }));
  agent_->attach(endpoint(9, "10.1.1.9"), 50, answer("late:"));
  ASSERT_TRUE(run_until(io_, [&] { return log.size() == 6; }));
  EXPECT_EQ(log[1], "same address pod/default/pod-8: 10.1.1.7 is endpoint 7's");
  EXPECT_EQ(log[4], "dataplane away");
  EXPECT_NE(log[5].find("not programmed after 50 ms"), std::string::npos) << log[5];
}

TEST_F(AgentTest, ModeIsWrittenAndFollowed) {
  ASSERT_TRUE(programmed());
  rpc::Request request;
  request.mutable_set_mode()->set_mode("Routed");
  const auto answer = ask(request, rpc::Response::kSetMode);
  ASSERT_TRUE(answer.ok()) << answer.error().text();
  rpc::Request wait;
  wait.mutable_wait()->set_for_generation(answer->set_mode().generation());
  const auto waited = ask(wait, rpc::Response::kWait);
  ASSERT_TRUE(waited.ok()) << waited.error().text();
  EXPECT_EQ(dataplane_.state.settings.mode, "Routed");
  EXPECT_EQ(dataplane_.state.peers.begin()->second.transport, core::Transport::kRouted);
  EXPECT_EQ(dataplane_.state.settings.pod_mtu, 1500);
  EXPECT_EQ(pods_.mtus.back(), 1500);
  std::string text;
  std::getline(std::ifstream(manifests() + "/network.yaml"), text, '\0');
  EXPECT_EQ(text, network("Routed"));
  request.mutable_set_mode()->set_mode("routed");
  EXPECT_EQ(ask(request, rpc::Response::kSetMode).error().code, "FL1007");
}

TEST_F(AgentTest, WaitCoversWhatIsInTheFilesNow) {
  ASSERT_TRUE(programmed());
  write("n3.yaml", node("n3", "192.0.2.3", "10.1.3.0/24"));
  rpc::Request wait;
  wait.mutable_wait();
  const auto waited = ask(wait, rpc::Response::kWait);
  ASSERT_TRUE(waited.ok()) << waited.error().text();
  EXPECT_EQ(dataplane_.state.peers.size(), 2u);
  EXPECT_EQ(waited->wait().generation(), dataplane_.state.generation);
  wait.mutable_wait()->set_for_generation(1000);
  wait.mutable_wait()->set_timeout_ms(20);
  EXPECT_EQ(ask(wait, rpc::Response::kWait).error().code, "FL5024");
}

TEST_F(AgentTest, OtherRequestsGoToThePodsOrAreRefused) {
  ASSERT_TRUE(programmed());
  rpc::Request request;
  request.mutable_cni_del()->set_container_id("c");
  EXPECT_TRUE(ask(request, rpc::Response::kDone).ok());
  rpc::Request foreign;
  foreign.mutable_get_ports();
  EXPECT_EQ(ask(foreign, rpc::Response::kPorts).error().code, "FL5025");
  rpc::Request state;
  state.mutable_get_state();
  const auto wanted = ask(state, rpc::Response::kState);
  ASSERT_TRUE(wanted.ok());
  EXPECT_EQ(ipc::from_message(wanted->state()).value(), dataplane_.state);
}

TEST_F(AgentTest, KernelRoutesToPodsAreKept) {
  ASSERT_TRUE(programmed());
  const auto routes = [] { return ip("route show proto 76"); };
  const auto has_route = [&] { return routes().find("10.1.0.0/16 dev fairlead0") != std::string::npos; };
  ASSERT_TRUE(run_until(io_, has_route)) << routes();
  expect_has(routes(), "src 192.0.2.1");
  expect_has(routes(), "mtu 1450");
  run_ip("route del 10.1.0.0/16");
  EXPECT_FALSE(has_route());
  ASSERT_TRUE(run_until(io_, has_route)) << "somebody else deleted it";
  run_ip("link set fairlead0 down");
  run_ip("link set fairlead0 up");
  ASSERT_TRUE(run_until(io_, has_route)) << "the kernel took it away with the link";
  run_ip("link del fairlead0");
  run_ip("link add fairlead0 type veth peer name hp");
  run_ip("link set fairlead0 up");
  ASSERT_TRUE(run_until(io_, has_route)) << "the dataplane was restarted";
}

TEST_F(AgentTest, TheUplinksMtuIsFollowed) {
  ASSERT_TRUE(programmed());
  run_ip("link set u0 mtu 1400");
  ASSERT_TRUE(reaches([](const core::NodeState& s) { return s.settings.pod_mtu == 1350; }));
  EXPECT_EQ(pods_.mtus.back(), 1350);
  run_ip("addr add 192.0.2.77/24 dev u0");
  ASSERT_TRUE(reaches([](const core::NodeState& s) {
    return s.routes.contains(core::Prefix::host(core::IpAddress::parse("192.0.2.77").value()));
  }));
}

TEST_F(AgentTest, AnUplinkThatIsNamedAndMissingEndsTheStart) {
  AgentOptions options = agent_->options();
  options.uplink = "nosuch0";
  options.state_dir = scratch_.path() + "/state2";
  auto other = Agent::create(io_, options);
  ASSERT_TRUE(other.ok());
  const auto started = (*other)->start(pods_);
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().what.find("nosuch0"), std::string::npos) << started.error().text();
}

TEST(AgentOptions, AreStrict) {
  const auto code = [](const std::vector<std::string>& arguments) {
    const auto parsed = parse_agent_options(arguments);
    return parsed ? std::string() : parsed.error().code;
  };
  EXPECT_EQ(code({"--node", "n1", "--manifests", "/m"}), "");
  EXPECT_EQ(code({"--manifest", "/m"}), "FL6001") << "nothing is guessed";
  EXPECT_EQ(code({"--node"}), "FL6001");
  EXPECT_EQ(code({"--log-format", "xml"}), "FL6001");
  EXPECT_EQ(code({"--uplink", "a/b"}), "FL6001");
  EXPECT_EQ(code({"extra"}), "FL6001");
  const auto parsed = parse_agent_options({"--run-dir", "/r", "--node", "n"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->dataplane_socket, "/r/dataplane.sock");
  EXPECT_EQ(parsed->manifests, "/etc/fairlead/manifests");
}

}  // namespace
}  // namespace fairlead::control
