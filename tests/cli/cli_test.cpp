#include "tests/cli/fake_processes.hpp"
#include "tools/cli/command.hpp"
#include "tools/cli/verbs.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <unistd.h>

namespace fairlead::cli {
namespace {

struct Outcome {
  int code = 0;
  std::string out, err;
};

class CliTest : public testing::Test {
 protected:
  void SetUp() override {
    tell_ordinary_node(processes_);
    processes_.start_dataplane();
    processes_.start_agent();
  }

  Outcome run(std::vector<std::string> arguments, bool colour = false) {
    arguments.insert(arguments.end(), {"--run-dir", processes_.run_dir()});
    std::ostringstream out, err;
    Terminal terminal{out, err, colour, colour};
    Outcome outcome;
    outcome.code = run_command(arguments, terminal);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }
  Json json(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-o", "json"});
    const Outcome outcome = run(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    return Json::parse(outcome.out);
  }

  FakeProcesses processes_;
};

TEST_F(CliTest, AServiceIsATargetByNumberOrNameOfItsPort) {
  for (const char* target : {"svc/default/web:80", "svc/web:http", "svc/default/web"}) {
    const Outcome outcome = run({"trace", "--from", "pod/a", "--to", target, "-n", "default"});
    EXPECT_EQ(outcome.code, 0) << target << outcome.err;
    EXPECT_EQ(
        outcome.out.substr(0, outcome.out.find('\n')),
        "from pod default/a (10.244.1.2:40000) to svc default/web (10.96.0.10:80), tcp, 84 bytes, TTL 64");
    EXPECT_EQ(processes_.asked[rpc::Request::kGetState].get_state().service(), "default/web");
  }
  Outcome outcome =
      run({"trace", "--from", "pod/a", "--to", "svc/kube-system/dns", "--family", "6", "-n", "default"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const rpc::TraceRequest& asked = processes_.asked[rpc::Request::kTrace].trace();
  EXPECT_EQ(asked.destination(), "fd00:96::35");
  EXPECT_EQ(asked.protocol(), 17u) << "the Service's protocol";
  EXPECT_EQ(asked.destination_port(), 53u);
  outcome = run({"trace", "--from", "pod/a", "--to", "svc/default/web:81", "-n", "default"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("http/tcp"), std::string::npos) << outcome.err;
  outcome = run({"trace", "--from", "svc/default/web:80", "--to", "pod/a", "-n", "default"});
  EXPECT_EQ(outcome.code, 2);
}

TEST_F(CliTest, ValidateNamesEntriesThatWillBeLeftOut) {
  const std::string file = processes_.run_dir() + "/web.yaml";
  std::ofstream(file)
      << "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.1, ports: "
         "[{name: a, port: 80}, {name: b, port: 0}]}}\n";
  const Outcome outcome = run({"validate", file});
  EXPECT_EQ(outcome.code, kProblems);
  EXPECT_EQ(outcome.err,
            "left out: FL1035 service/default/web spec.ports[1].port: found 0, wanted 1..65535\n");
}

TEST_F(CliTest, ServicesAsJsonHoldWhatIsRefused) {
  const Json services = json({"get", "services"});
  ASSERT_EQ(services["items"].size(), 4u);
  EXPECT_EQ(services["items"][0]["name"], "web");
  EXPECT_EQ(services["items"][0]["refusals"][0]["code"], "FL1037");
  EXPECT_TRUE(services["items"][1]["refusals"].empty());
  EXPECT_EQ(services["items"][3]["name"], "late");
  const Json backends = json({"get", "backends", "default/web"});
  ASSERT_EQ(backends["items"].size(), 3u);
  EXPECT_EQ(backends["items"][2]["in_cluster_list"], false);
  EXPECT_EQ(backends["items"][0]["service"], "default/web:http");
}

struct Golden {
  std::vector<std::string> arguments;
  const char* out;
};

TEST_F(CliTest, PrintsForPeople) {
  const Golden rows[] = {
      {{"get", "endpoints"},
       "NAMESPACE    POD  ID  ADDRESSES\n"
       "default      a     1  10.244.1.2,fd00:10:244:1::2\n"
       "kube-system  dns   2  10.244.1.3\n"},
      {{"get", "endpoints", "-o", "wide", "-n", "default"},
       "NAMESPACE  POD  ID  ADDRESSES                    MAC                INTERFACE  HOST-INTERFACE  "
       "CONTAINER\n"
       "default    a     1  10.244.1.2,fd00:10:244:1::2  02:00:00:00:00:01  eth0       fl1             "
       "0123456789ab\n"},
      {{"get", "endpoint", "kube-system/dns", "-o", "name"}, "endpoint/kube-system/dns\n"},
      {{"get", "routes"},
       "PREFIX         KIND       TARGET     WAY\n"
       "10.244.1.0/24  Blackhole  -          -\n"
       "10.244.1.2/32  Endpoint   default/a  -\n"
       "10.244.2.0/24  Peer       node-2     VXLAN to 192.0.2.2\n"
       "10.244.3.0/24  Peer       node-3     routed by 192.0.2.3\n"},
      {{"get", "neighbours"},
       "ADDRESS    MAC                PORT  STATE\n"
       "192.0.2.2  02:00:00:00:02:02     1  resolved\n"
       "192.0.2.9  -                     1  unresolved\n"},
      {{"get", "services"},
       "NAMESPACE    NAME  PORT         CLUSTER-IP   EXTERNAL     NODE-PORT  BACKENDS  LOCAL\n"
       "default      web   http:80/tcp  10.96.0.10   203.0.113.7      30080       2/3      1\n"
       "kube-system  dns   53/udp       10.96.0.53   -                    -       0/0      0\n"
       "kube-system  dns   53/udp       fd00:96::35  -                    -       0/0      0\n"
       "default      late  -            -            -                    -       0/0      0\n"},
      {{"get", "services", "-n", "default", "-o", "wide"},
       "NAMESPACE  NAME  PORT         CLUSTER-IP  EXTERNAL     NODE-PORT  BACKENDS  LOCAL  POLICY         "
       "AFFINITY   "
       "     REPLY-PATH  ID  REFUSED\n"
       "default    web   http:80/tcp  10.96.0.10  203.0.113.7      30080       2/3      1  Cluster/Local  "
       "ClientIP "
       "10m0s  ThisNode     1  FL1037 endpointslice/default/web-1 endpoints[2].addresses[0]: 127.0.0.1 is "
       "loopback\n"
       "default    late  -            -           -                    -       0/0      0  -              -  "
       "        "
       "     -            -  FL1036 spec.clusterIPs[0]: TCP 10.96.0.10 port 80 is service/default/web's\n"},
      {{"get", "service", "default/web:http", "-o", "name"}, "service/default/web:http\n"},
      {{"get", "backends", "web"},
       "SERVICE           PROTOCOL  BACKEND          STATE        CHOSEN-BY      NODE           OBJECT\n"
       "default/web:http  tcp       10.244.1.2:8080  serving      Cluster,Local  node-1 (here)  "
       "pod/default/a\n"
       "default/web:http  tcp       10.244.2.2:8080  serving      Cluster        node-2         "
       "pod/default/b\n"
       "default/web:http  tcp       10.244.2.3:8080  not serving  -              node-2         -\n"},
      {{"get", "flows"},
       "PROTOCOL  SOURCE                   DESTINATION    STATE        PACKETS  REPLIES    BYTES   IDLE\n"
       "tcp       10.244.1.2:40000         10.244.2.2:80  established    1,000      900  1.0 MiB  1m15s\n"
       "udp       [fd00:10:244:1::2]:5353  [fd00::9]:53   one-way            1        0     80 B     0s\n"},
      {{"get", "ports"},
       "ID  KIND    DEVICE     DRIVER  LINK   MTU         RX  TX\n"
       " 1  Uplink  eth0       af_xdp  up    1500  1,234,567   9\n"
       " 2  Trunk   fltrunk    tap     up    1500          0   0\n"
       " 3  Host    fairlead0  tap     down  1500          0   0\n"},
      {{"drops"},
       "STAGE      REASON          PACKETS  WHAT IT MEANS\n"
       "forwarder  NO_ROUTE              3  no route to the destination\n"
       "pod hook   SPOOFED_SOURCE   12,345  source address is not the endpoint's\n"},
      {{"trace", "--from", "pod/a", "--to", "10.244.2.2:80"},
       "from pod default/a (10.244.1.2:40000) to 10.244.2.2:80, tcp, 84 bytes, TTL 64\n"
       "\n"
       "STEP          DECIDED BY            WHAT\n"
       "parse         -                     IPv4 TCP 10.244.1.2:40000 > 10.244.2.2:80\n"
       "source_check  endpoint default/a    10.244.1.2 is its address\n"
       "route         10.244.2.0/24 node-2  VXLAN to 192.0.2.2, MTU 1450\n"
       "\n"
       "verdict  forward by port eth0\n"
       "\n"
       "header   18 bytes in front of the packet\n"
       "    Ethernet  02:46:00:00:00:01 > 02:46:00:00:00:02  type 0x0800\n"
       "    rest      4 bytes\n"
       "    0000  02 46 00 00 00 02 02 46 00 00 00 01 08 00 45 00\n"
       "    0010  00 01\n"},
      {{"status"},
       "dataplane   ok  0.1.0, engine dpdk, 1 worker, pid 4242, up 1h2m\n"
       "            node node-1, mode Auto, generation 7, 2 flows\n"
       "            note: no huge pages: --no-huge\n"
       "agent       ok  0.1.0, pid 4343, up 1m0s, source manifests:/etc/fairlead\n"
       "            node node-1, mode Auto, 3 nodes, 2 endpoints, generation 7\n"},
      {{"mode"},
       "auto\n"
       "NODE    TRANSPORT  TUNNEL END  NEXT HOP\n"
       "node-2  Overlay    192.0.2.2   -\n"
       "node-3  Routed     192.0.2.3   192.0.2.3\n"},
      {{"mode", "routed", "--wait"}, "mode routed, programmed with generation 8\n"},
      {{"wait", "--for-generation", "8", "--timeout", "30"}, "generation 8 is programmed\n"},
      {{"explain", "no_route"}, "NO_ROUTE (drop reason)\nno route to the destination\n"},
  };
  for (const Golden& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.out, row.out) << row.arguments[0];
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.code, 0);
  }
}

TEST_F(CliTest, JsonParsesAndCountsAreNumbers) {
  const Json ports = json({"get", "ports"});
  EXPECT_EQ(ports["kind"], "List");
  EXPECT_EQ(ports["items"].size(), 3u);
  EXPECT_TRUE(ports["items"][0]["rxBytes"].is_number_unsigned());
  EXPECT_EQ(ports["items"][0]["rxBytes"], 5368709120ull);
  EXPECT_EQ(ports["items"][1]["rxPackets"], 0u);  // zeros are there, too
  EXPECT_EQ(json({"get", "flows"})["items"][0]["packetsOriginal"], 1000u);
  EXPECT_EQ(json({"get", "endpoints", "-n", "default"})["items"].size(), 1u);
  EXPECT_EQ(json({"status"})["agent"]["wantedGeneration"], 7u);
  EXPECT_EQ(json({"drops"})["drops"].size(), 2u);
  EXPECT_EQ(json({"drops", "--all"})["drops"].size(), 3u);
  EXPECT_EQ(json({"trace", "--from", "pod/a", "--to", "10.244.2.2"})["pushedHeader"],
            "AkYAAAACAkYAAAABCABFAAAB");
  EXPECT_EQ(json({"mode", "auto"})["mode"], "Auto");
}

TEST_F(CliTest, YamlQuotesWhatCouldBeSomethingElse) {
  const Outcome outcome = run({"get", "neighbours", "-o", "yaml"});
  EXPECT_EQ(outcome.out,
            "kind: List\n"
            "items:\n"
            "  - address: \"192.0.2.2\"\n"
            "    mac: \"02:00:00:00:02:02\"\n"
            "    port: 1\n"
            "    state: resolved\n"
            "  - address: \"192.0.2.9\"\n"
            "    mac: \"\"\n"
            "    port: 1\n"
            "    state: unresolved\n");
  EXPECT_EQ(to_yaml(Json{{"a", "no"}, {"b", Json::array()}, {"c", nullptr}}), "a: \"no\"\nb: []\nc: null\n");
}

TEST_F(CliTest, AsksForWhatWasGiven) {
  run({"trace", "--from", "pod/a", "--to", "fd00::9", "--ttl", "1"});
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().source(), "fd00:10:244:1::2");
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().protocol(), 58u);
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().ttl(), 1u);
  run({"trace", "--from", "203.0.113.9", "--to", "pod/kube-system/dns:53", "--protocol", "udp"});
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().from_port(), 1u);
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().from_endpoint(), 0u);
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().destination_port(), 53u);
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().protocol(), 17u);
  const Outcome remote = run({"trace", "--from", "pod/a", "--to", "pod/b:80"});
  EXPECT_EQ(processes_.asked[rpc::Request::kFindPod].find_pod().ShortDebugString(),
            "pod_namespace: \"default\" pod_name: \"b\"");
  EXPECT_EQ(processes_.asked[rpc::Request::kTrace].trace().destination(), "10.244.2.2");
  EXPECT_NE(remote.out.find("to pod default/b on node-2 (10.244.2.2:80)"), std::string::npos) << remote.out;
  run({"get", "flows", "--address", "10.244.1.2", "--protocol", "tcp", "--port", "80", "--limit", "5"});
  EXPECT_EQ(processes_.asked[rpc::Request::kGetFlows].get_flows().ShortDebugString(),
            "address: \"10.244.1.2\" port: 80 protocol: 6 limit: 5");
  run({"mode", "ROUTED"});
  EXPECT_EQ(processes_.asked[rpc::Request::kSetMode].set_mode().mode(), "Routed");
}

struct Refused {
  std::vector<std::string> arguments;
  int code;
  const char* text;  // a part of what is said
};

TEST_F(CliTest, RefusesWithACodeAndTheNextStep) {
  processes_.answers.erase(rpc::Request::kFindPod);  // the agent does not know where it is
  const Refused rows[] = {
      {{"stauts"}, kUsage, "did you mean: fairlead status"},
      {{"get"}, kUsage, "usage: fairlead get"},
      {{"get", "endpionts"}, kUsage, "did you mean: fairlead get endpoints"},
      {{"status", "now"}, kUsage, "takes no \"now\""},
      {{"get", "ports", "--outputt", "json"}, kUsage, "did you mean: --output"},
      {{"get", "ports", "-o", "xml"}, kUsage, "not one of table|wide|json|yaml|name"},
      {{"drops", "--interval", "0"}, kUsage, "from 1 to 3600"},
      {{"get", "flows", "--protocol", "tpc"}, kUsage, "is no protocol"},
      {{"get", "flows", "--address", "10.0.0.300"}, kUsage, "no IPv4 or IPv6 address"},
      {{"get", "endpoints", "nobody"}, kFailed, "no endpoint \"nobody\""},
      {{"trace", "--to", "10.0.0.1"}, kUsage, "--from is missing"},
      {{"trace", "--from", "pod/a", "--to", "10.0.0.1:99999"}, kUsage, "neither pod/"},
      {{"trace", "--from", "pod/ghost", "--to", "10.0.0.1"},
       kFailed,
       "no pod default/ghost is attached to this node (node-1)"},
      {{"trace", "--from", "pod/kube-system/dns", "--to", "fd00::1"},
       kFailed,
       "no address of the same family"},
      {{"mode", "routd"}, kUsage, "did you mean: fairlead mode routed"},
      {{"capture"}, kUsage, "-w FILE"},
      {{"completion", "fish"}, kUsage, "no completion for \"fish\""},
      {{"explain", "NO_RUOTE"}, kFailed, "did you mean: fairlead explain NO_ROUTE"},
      {{"validate", "/nonexistent.yaml"}, kInvalid, "/nonexistent.yaml"},
  };
  for (const Refused& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.code, row.code) << row.arguments.back() << ": " << outcome.err;
    EXPECT_NE(outcome.err.find(row.text), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("error[FL"), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(CliTest, ErrorsAreJsonWhenAskedFor) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"get", "endpoints", "nobody", "-o", "json"},
        {"stauts", "-o", "json"},
        {"drops", "--nope", "-o", "json"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_NE(outcome.code, 0);
    const Json json = Json::parse(outcome.out);
    EXPECT_TRUE(json["error"]["code"].get<std::string>().starts_with("FL")) << outcome.out;
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(CliTest, ColourOnlyWhereWanted) {
  EXPECT_EQ(run({"status"}).out.find('\033'), std::string::npos);
  EXPECT_NE(run({"status"}, true).out.find('\033'), std::string::npos);
  EXPECT_EQ(run({"get", "ports", "-o", "json"}, true).out.find('\033'), std::string::npos);
}

TEST_F(CliTest, BrokenConservationIsAProblem) {
  processes_.answers[rpc::Request::kGetCounters].mutable_counters()->set_conserved(false);
  const Outcome outcome = run({"drops"});
  EXPECT_EQ(outcome.code, kProblems);
  EXPECT_NE(outcome.err.find("do not add up"), std::string::npos);
}

TEST_F(CliTest, NamesFromThePodCannotMoveTheCursor) {
  processes_.answers[rpc::Request::kGetState].mutable_state()->mutable_endpoints(0)->set_pod_name(
      "a\033[2J\n");
  EXPECT_EQ(run({"get", "endpoints"}).out.find('\033'), std::string::npos);
}

TEST_F(CliTest, EveryVerbHasHelpAndCompletionKnowsItsOptions) {
  const std::string completion = run({"completion", "bash"}).out;
  for (const Verb& verb : verbs()) {
    const Outcome help = run({std::string(verb.name), "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find(verb.summary), std::string::npos) << verb.name;
    std::set<std::string_view> names;
    for (const std::span<const OptionSpec> table : {verb.options, common_options()}) {
      for (const OptionSpec& option : table) {
        EXPECT_TRUE(names.insert(option.name).second) << verb.name << " has --" << option.name << " twice";
        EXPECT_NE(help.out.find("--" + std::string(option.name)), std::string::npos) << verb.name;
        EXPECT_NE(completion.find("--" + std::string(option.name)), std::string::npos) << option.name;
      }
    }
  }
}

TEST_F(CliTest, ValidateShowsEverythingWrongAndWhere) {
  const std::string good = processes_.run_dir() + "/good.yaml", bad = processes_.run_dir() + "/bad.yaml";
  std::ofstream(good)
      << "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nspec: {podCIDRs: [10.244.1.0/24]}\n"
         "status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}\n";
  std::ofstream(bad) << "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\n"
                        "spec:\n  mode: Overlai\n  overlay: {vni: 99999999}\n";
  EXPECT_EQ(run({"validate", good}).out, "ok  1 object\n");
  const Outcome refused = run({"validate", good, bad});
  EXPECT_EQ(refused.code, kInvalid);
  EXPECT_NE(refused.err.find("bad.yaml:5:9"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("bad.yaml:6:18"), std::string::npos) << refused.err;
  const Outcome as_json = run({"validate", bad, "-o", "json"});
  EXPECT_EQ(as_json.code, kInvalid);
  EXPECT_EQ(Json::parse(as_json.out)["diagnostics"].size(), 2u);
}

TEST(CliAlone, ProcessesThatAreNotThereGiveExitCodeFive) {
  std::ostringstream out, err;
  Terminal terminal{out, err};
  EXPECT_EQ(run_command({"status", "--run-dir", "/nonexistent"}, terminal), kUnreachable);
  EXPECT_NE(err.str().find("/nonexistent/dataplane.sock"), std::string::npos);
  EXPECT_EQ(run_command({"--run-dir", "/nonexistent", "wait"}, terminal), kUnreachable);
  EXPECT_EQ(run_command({"version", "--run-dir", "/nonexistent"}, terminal), kOk);
}

TEST(CliAlone, NoVerbIsWrongUse) {
  std::ostringstream out, err;
  Terminal terminal{out, err};
  EXPECT_EQ(run_command({}, terminal), kUsage);
  EXPECT_EQ(run_command({"--run-dir", "/x"}, terminal), kUsage);
  EXPECT_EQ(out.str(), "");
  EXPECT_EQ(run_command({"--help"}, terminal), kOk);
  EXPECT_NE(out.str().find("usage: fairlead VERB"), std::string::npos);
}

}  // namespace
}  // namespace fairlead::cli
