#include "controlplane/cni/del_queue.hpp"
#include "controlplane/cni/error.hpp"
#include "controlplane/cni/names.hpp"
#include "controlplane/host/pod_link.hpp"
#include "tests/cni/fake_agent.hpp"
#include "tests/cni/plugin_process.hpp"
#include "tests/host/netns_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>

namespace fairlead::control {
namespace {

using nlohmann::json;

// A kubelet's call through containerd: variables and configuration as recorded, values of our own.
class Plugin : public NodeTest {
 protected:
  Variables variables(const std::string& command) const {
    return {{"CNI_COMMAND", command},
            {"CNI_CONTAINERID", "5f1c7a9be3d24c0f8e6b1a2d3c4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60"},
            {"CNI_NETNS", pod_.path()},
            {"CNI_IFNAME", "eth0"},
            {"CNI_PATH", "/opt/cni/bin"},
            {"CNI_ARGS",
             "K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=5f1c7a9b;K8S_POD_UID=0d5e6f70-1111-4222-8333-"
             "944445555666;"
             "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop"}};
  }
  json config(const std::string& version = "1.0.0") const {
    return {{"cniVersion", version},
            {"name", "fairlead"},
            {"type", "fairlead-cni"},
            {"socket", directory_ / "agent.sock"},
            {"stateDir", directory_ / "state"}};
  }
  AttachmentKey key() const { return {variables("ADD").at("CNI_CONTAINERID"), "eth0"}; }
  std::string note_directory() const { return directory_ / "state/cni-del"; }
  size_t notes() const {
    std::vector<std::string> problems;
    return DelQueue(directory_ / "state").list(problems).size();
  }
  PluginRun run(const std::string& command, const json& conf) const {
    return run_plugin_process(variables(command), conf.dump());
  }
  // Refused with this code, in the form of the specification, and the text names `named`.
  static void expect_refused(const PluginRun& run, int code, const std::string& named) {
    EXPECT_NE(run.status, 0) << run.output;
    const json error = run.json();
    ASSERT_TRUE(error.is_object()) << run.output;
    EXPECT_EQ(error.value("code", 0), code) << run.output;
    EXPECT_TRUE(error.contains("cniVersion") && error["cniVersion"].is_string()) << run.output;
    EXPECT_FALSE(error.value("msg", "").empty()) << run.output;
    EXPECT_NE(error.value("details", "").find(named), std::string::npos)
        << "no \"" << named << "\" in " << run.output;
  }

  FakeAgent::Answer attached() const {
    rpc::Response response;
    rpc::CniAddReply& add = *response.mutable_cni_add();
    add.set_host_interface("fl0123456789a");
    add.set_host_mac("02:00:00:00:00:01");
    add.set_mac("0a:58:0a:f4:01:02");
    add.set_mtu(1450);
    add.add_addresses("10.244.1.2/32");
    add.add_addresses("fd00:1::2/128");
    add.add_gateways("169.254.1.1");
    add.add_gateways("fe80::1");
    return FakeAgent::always(response);
  }
  static FakeAgent::Answer done() {
    rpc::Response response;
    response.mutable_done();
    return FakeAgent::always(response);
  }
  std::string socket() const { return directory_ / "agent.sock"; }

  TestDirectory directory_;
  TestNetns pod_;
};

// ---- step 1: environment ----

TEST_F(Plugin, WithoutCommandItSaysWhatItIs) {
  const PluginRun run = run_plugin_process({}, "");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output, "");
  expect_has(run.log, "1.1.0");
}

TEST_F(Plugin, AllMissingVariablesAreListed) {
  const PluginRun add = run_plugin_process({{"CNI_COMMAND", "ADD"}}, config().dump());
  for (const char* name : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"})
    expect_refused(add, 4, name);
  const PluginRun del = run_plugin_process({{"CNI_COMMAND", "DEL"}, {"CNI_IFNAME", "eth0"}}, config().dump());
  expect_refused(del, 4, "CNI_CONTAINERID, CNI_PATH");
  expect_lacks(del.output, "CNI_NETNS");
  expect_refused(run_plugin_process({{"CNI_COMMAND", "GC"}}, config("1.1.0").dump()), 4, "CNI_PATH");
  expect_refused(run_plugin_process({{"CNI_COMMAND", "CHECK"}, {"CNI_PATH", "/x"}}, config().dump()), 4,
                 "CNI_NETNS");
}

TEST_F(Plugin, NamesThatAreNoneAreRefused) {
  for (const char* bad : {"-abc", "a b", "a/b", "\xc3\xa4", "."}) {
    Variables all = variables("ADD");
    all["CNI_CONTAINERID"] = bad;
    expect_refused(run_plugin_process(all, config().dump()), 4, "CNI_CONTAINERID");
  }
  for (const char* bad : {"abcdefghijklmnop", ".", "..", "a/b", "a:b", "a b", "a\tb"}) {
    Variables all = variables("ADD");
    all["CNI_IFNAME"] = bad;
    expect_refused(run_plugin_process(all, config().dump()), 4, "CNI_IFNAME");
  }
  Variables all = variables("ADD");
  all["CNI_ARGS"] = "K8S_POD_NAME";
  expect_refused(run_plugin_process(all, config().dump()), 4, "CNI_ARGS");
}

TEST_F(Plugin, EnvironmentIsJudgedBeforeConfiguration) {
  expect_refused(run_plugin_process({{"CNI_COMMAND", "ADD"}}, "no json"), 4, "CNI_NETNS");
}

// ---- step 2 and 3: configuration, version, verb ----

TEST_F(Plugin, ConfigurationThatCannotBeReadOrDecoded) {
  expect_refused(run_plugin_process(variables("ADD"), "<closed>"), 5, "standard input");
  expect_refused(run_plugin_process(variables("ADD"), ""), 6, "not JSON");
  expect_refused(run_plugin_process(variables("ADD"), "{\"name\": "), 6, "not JSON");
  expect_refused(run_plugin_process(variables("ADD"), "[]"), 6, "array");
  expect_refused(run_plugin_process(variables("ADD"), R"({"cniVersion":1.0,"name":"x"})"), 6, "cniVersion");
  expect_refused(run_plugin_process(variables("ADD"), R"({"cniVersion":"1.0.0","name":7})"), 6, "name");
  json conf = config();
  conf["prevResult"] = "text";
  expect_refused(run("ADD", conf), 6, "prevResult");
}

TEST_F(Plugin, NameIsRequiredAndChecked) {
  json conf = config();
  conf.erase("name");
  expect_refused(run("ADD", conf), 7, "no name");
  conf["name"] = "-x";
  expect_refused(run("ADD", conf), 7, "-x");
  conf["name"] = "a/b";
  expect_refused(run("DEL", conf), 7, "a/b");
}

TEST_F(Plugin, VersionsWeDoNotSpeakNameBothSides) {
  json conf = config("2.0.0");
  expect_refused(run("ADD", conf), 1, "2.0.0");
  expect_refused(run("ADD", conf), 1, "1.1.0");
  EXPECT_EQ(run("ADD", conf).json().at("cniVersion"), "2.0.0");
  conf.erase("cniVersion");
  expect_refused(run("ADD", conf), 1, "0.1.0");
  expect_refused(run("CHECK", config("0.3.1")), 1, "0.4.0");
  expect_refused(run("GC", config("1.0.0")), 1, "1.1.0");
  expect_refused(run("STATUS", config("1.0.0")), 1, "1.1.0");
}

TEST_F(Plugin, AnUnknownCommandIsJudgedAfterTheConfiguration) {
  expect_refused(run("UPDATE", config()), 4, "UPDATE");
  expect_refused(run_plugin_process(variables("UPDATE"), "x"), 6, "not JSON");
}

TEST_F(Plugin, VersionNeedsNothing) {
  const PluginRun bare = run_plugin_process({{"CNI_COMMAND", "VERSION"}}, "");
  EXPECT_EQ(bare.status, 0);
  EXPECT_EQ(bare.json().at("cniVersion"), "1.1.0");
  EXPECT_EQ(bare.json().at("supportedVersions"), json({"0.3.1", "0.4.0", "1.0.0", "1.1.0"}));
  EXPECT_EQ(run_plugin_process({{"CNI_COMMAND", "VERSION"}}, "<closed>").status, 0);
  EXPECT_EQ(
      run_plugin_process({{"CNI_COMMAND", "VERSION"}}, R"({"cniVersion":"0.4.0"})").json().at("cniVersion"),
      "0.4.0");
}

// ---- step 4: fields and values ----

TEST_F(Plugin, FieldsWeDoNotServeAreNamedWithTheirValue) {
  json conf = config();
  conf["ipam"] = {{"type", "host-local"}};
  expect_refused(run("ADD", conf), 2, "ipam.type = \"host-local\"");
  conf["ipam"] = {{"type", "fairlead"}};
  expect_refused(run("ADD", conf), 11, "agent.sock");
  conf = config();
  conf["runtimeConfig"] = {
      {"portMappings", {{{"hostPort", 18080}, {"containerPort", 80}, {"protocol", "tcp"}}}}};
  expect_refused(run("ADD", conf), 2, "18080");
  EXPECT_EQ(run("DEL", conf).status, 0) << "a DEL is best effort";
  conf["runtimeConfig"] = {{"portMappings", json::array()}};
  expect_refused(run("ADD", conf), 11, "agent.sock");
}

TEST_F(Plugin, PathsMustBeAbsoluteAndFit) {
  json conf = config();
  conf["socket"] = "agent.sock";
  expect_refused(run("ADD", conf), 7, "socket");
  conf["socket"] = "/" + std::string(120, 'x');
  expect_refused(run("ADD", conf), 7, "socket");
  conf = config();
  conf["stateDir"] = "state";
  expect_refused(run("DEL", conf), 7, "stateDir");
  conf["stateDir"] = 5;
  expect_refused(run("DEL", conf), 6, "stateDir");
}

TEST_F(Plugin, NamespacesThatAreNoneOrOurOwn) {
  Variables all = variables("ADD");
  all["CNI_NETNS"] = "/run/netns/fl-cni-nowhere";
  expect_refused(run_plugin_process(all, config().dump()), 8, "fl-cni-nowhere");
  all["CNI_NETNS"] = "/etc/hostname";
  expect_refused(run_plugin_process(all, config().dump()), 8, "/etc/hostname");
  all["CNI_NETNS"] = "/proc/self/ns/net";
  expect_refused(run_plugin_process(all, config().dump()), 8, "own");
}

// ---- step 5: the agent ----

TEST_F(Plugin, AddTellsTheAgentAndShapesItsAnswerPerVersion) {
  const FakeAgent agent(socket(), attached());
  for (const std::string& version :
       {std::string("0.3.1"), std::string("0.4.0"), std::string("1.0.0"), std::string("1.1.0")}) {
    json conf = config(version);
    conf["dns"] = {{"nameservers", {"10.96.0.10"}}};
    conf["keyOfTomorrow"] = {{"a", 1}};
    const PluginRun run = this->run("ADD", conf);
    ASSERT_EQ(run.status, 0) << run.output;
    json wanted = {
        {"cniVersion", version},
        {"interfaces",
         {{{"name", "fl0123456789a"}, {"mac", "02:00:00:00:00:01"}},
          {{"name", "eth0"}, {"mac", "0a:58:0a:f4:01:02"}, {"sandbox", pod_.path()}}}},
        {"ips",
         {{{"address", "10.244.1.2/32"}, {"gateway", "169.254.1.1"}, {"interface", 1}},
          {{"address", "fd00:1::2/128"}, {"gateway", "fe80::1"}, {"interface", 1}}}},
        {"routes", {{{"dst", "0.0.0.0/0"}, {"gw", "169.254.1.1"}}, {{"dst", "::/0"}, {"gw", "fe80::1"}}}},
        {"dns", {{"nameservers", {"10.96.0.10"}}}}};
    if (version < "1.0.0") {
      wanted["ips"][0]["version"] = "4";
      wanted["ips"][1]["version"] = "6";
    }
    if (version == "1.1.0") {
      wanted["interfaces"][1]["mtu"] = 1450;
      wanted["routes"][0]["mtu"] = 1450;
      wanted["routes"][1]["mtu"] = 1450;
    }
    EXPECT_EQ(run.json(), wanted) << run.output;
  }
  const rpc::CniAddRequest told = agent.requests().front().cni_add();
  EXPECT_EQ(told.container_id(), key().container_id);
  EXPECT_EQ(told.interface(), "eth0");
  EXPECT_EQ(told.netns(), pod_.path());
  EXPECT_EQ(told.pod_namespace() + "/" + told.pod_name(), "shop/web-0");
  EXPECT_EQ(told.pod_uid(), "0d5e6f70-1111-4222-8333-944445555666");
}

TEST_F(Plugin, InAChainPrevResultIsKeptAndOursAdded) {
  const FakeAgent agent(socket(), attached());
  json conf = config("1.0.0");
  conf["prevResult"] = {{"cniVersion", "1.0.0"},
                        {"interfaces", {{{"name", "dummy0"}, {"sandbox", "/x"}}}},
                        {"ips", {{{"address", "192.0.2.7/24"}, {"interface", 0}}}},
                        {"routes", {{{"dst", "198.51.100.0/24"}}}},
                        {"dns", {{"domain", "example.org"}}}};
  const json result = run("ADD", conf).json();
  ASSERT_EQ(result.at("interfaces").size(), 3u);
  EXPECT_EQ(result["interfaces"][0]["name"], "dummy0");
  EXPECT_EQ(result["ips"][0], conf["prevResult"]["ips"][0]);
  EXPECT_EQ(result["ips"][1]["interface"], 2);
  EXPECT_EQ(result["routes"][0]["dst"], "198.51.100.0/24");
  EXPECT_EQ(result["dns"]["domain"], "example.org");
  conf["prevResult"]["ips"] = "none";
  expect_refused(run("ADD", conf), 6, "prevResult.ips");
}

TEST_F(Plugin, RunDirIsEnoughToFindTheSocket) {
  const FakeAgent agent(socket(), attached());
  json conf = config();
  conf.erase("socket");
  conf["runDir"] = directory_.text();
  EXPECT_EQ(run("ADD", conf).status, 0);
}

TEST_F(Plugin, AddWithoutAgentAsksToTryAgainAndSaysHow) {
  expect_refused(run("ADD", config()), 11, "systemctl start fairlead-agent");
  const FakeAgent agent(socket(), [](const rpc::Request&) { return "<hang up>"; });
  expect_refused(run("ADD", config()), 11, "closed the connection");
  EXPECT_EQ(notes(), 0u);
}

TEST_F(Plugin, ErrorsOfTheAgentKeepTheirMeaning) {
  const std::vector<std::pair<std::string, int>> table = {{"FL4003", 3},   {"FL4011", 11},  {"FL4008", 8},
                                                          {"FL4101", 101}, {"FL4203", 203}, {"FL5003", 11},
                                                          {"FL2001", 100}, {"FL3003", 100}};
  for (const auto& [code, wanted] : table) {
    const TestDirectory directory;
    const FakeAgent agent(directory / "agent.sock", FakeAgent::error(code, "the reason"));
    json conf = config();
    conf["socket"] = directory / "agent.sock";
    const PluginRun run = this->run("ADD", conf);
    expect_refused(run, wanted, "the reason (" + code + "); fix: do this");
    EXPECT_EQ(run.json().at("cniVersion"), "1.0.0");
  }
}

TEST_F(Plugin, AnAnswerThatIsNoneIsAnError) {
  const FakeAgent agent(socket(), [](const rpc::Request&) { return std::string("\xff\xff\xff\xff", 4); });
  expect_refused(run("ADD", config()), 11, "no message of ours");
}

// ---- DEL ----

TEST_F(Plugin, DelTellsTheAgentAndIsSilent) {
  const FakeAgent agent(socket(), done());
  Variables all = variables("DEL");
  for (const std::string& netns : {pod_.path(), std::string(), std::string("/run/netns/gone")}) {
    all["CNI_NETNS"] = netns;
    const PluginRun run = run_plugin_process(all, config().dump());
    EXPECT_EQ(run.status, 0) << run.output;
    EXPECT_EQ(run.output, "");
  }
  EXPECT_EQ(agent.requests().size(), 3u);
  EXPECT_EQ(agent.requests().front().cni_del().container_id(), key().container_id);
  EXPECT_EQ(notes(), 0u);
}

TEST_F(Plugin, DelWithoutAgentIsQueuedAndTakesTheLinkAway) {
  PodLinkSpec spec;
  spec.netns = pod_.path();
  spec.interface = "eth0";
  spec.host_interface = host_interface_name(key(), 1);  // the first name was taken
  spec.alias = link_alias(key());
  spec.mac = *core::MacAddress::parse("0a:58:0a:f4:01:02");
  spec.addresses = {*core::IpAddress::parse("10.244.1.2")};
  ASSERT_TRUE(make_pod_link(spec).ok());
  (void)ip("link add " + host_interface_name(key(), 0) + " type veth peer name other");
  for (int i = 0; i < 2; ++i) {
    const PluginRun run = this->run("DEL", config());
    EXPECT_EQ(run.status, 0) << run.output;
    EXPECT_EQ(run.output, "");
    EXPECT_EQ(notes(), 1u) << "the same DEL twice is one note";
  }
  const std::string links = ip("link");
  expect_lacks(links, spec.host_interface);
  expect_has(links, host_interface_name(key(), 0));
  std::vector<std::string> problems;
  EXPECT_EQ(DelQueue(directory_ / "state").list(problems).front().key, key());
}

TEST_F(Plugin, DelOfAnAgentThatCannotServeNowIsQueuedToo) {
  const FakeAgent agent(socket(), FakeAgent::error("FL5006", "starting"));
  EXPECT_EQ(run("DEL", config()).status, 0);
  EXPECT_EQ(notes(), 1u);
}

TEST_F(Plugin, DelThatTheAgentRefusesIsRepeatedByTheRuntime) {
  const FakeAgent agent(socket(), FakeAgent::error("FL4205", "disk full"));
  expect_refused(run("DEL", config()), 205, "disk full");
  EXPECT_EQ(notes(), 0u);
}

TEST_F(Plugin, DelThatCannotBeQueuedIsNotLostSilently) {
  TestDirectory::write(directory_ / "state", "a file where the directory should be");
  expect_refused(run("DEL", config()), 104, "cni-del");
}

TEST_F(Plugin, DelOfAPodWeNeverSawWithABareConfiguration) {
  json conf = {{"cniVersion", "1.0.0"},
               {"name", "n"},
               {"type", "fairlead-cni"},
               {"stateDir", directory_ / "state"},
               {"socket", socket()}};
  EXPECT_EQ(run("DEL", conf).status, 0);
}

// ---- CHECK, GC, STATUS ----

TEST_F(Plugin, CheckNeedsPrevResultAndSendsItsAddresses) {
  expect_refused(run("CHECK", config()), 7, "prevResult");
  const FakeAgent agent(socket(), done());
  json conf = config();
  conf["prevResult"] = {
      {"interfaces", {{{"name", "fl1"}}, {{"name", "eth0"}, {"sandbox", pod_.path()}}, {{"name", "net1"}}}},
      {"ips",
       {{{"address", "10.244.1.2/32"}, {"interface", 1}}, {{"address", "192.0.2.9/24"}, {"interface", 2}}}}};
  const PluginRun run = this->run("CHECK", conf);
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_EQ(run.output, "");
  const rpc::CniCheckRequest told = agent.requests().front().cni_check();
  ASSERT_EQ(told.addresses_size(), 1);
  EXPECT_EQ(told.addresses(0), "10.244.1.2/32");
  conf["prevResult"]["ips"][0]["interface"] = 9;
  expect_refused(this->run("CHECK", conf), 7, "interface 9");
}

TEST_F(Plugin, GcPassesOnWhatIsValidAndAbsentMeansNothing) {
  EXPECT_EQ(run("GC", config("1.1.0")).status, 0) << "no key: nothing to do, not even an agent is needed";
  const FakeAgent agent(socket(), done());
  json conf = config("1.1.0");
  conf["cni.dev/attachments"] = {{{"containerID", "old"}, {"ifname", "eth0"}}};
  conf["cni.dev/valid-attachments"] = {{{"containerID", "a"}, {"ifname", "eth0"}},
                                       {{"containerID", "b"}, {"ifname", "net1"}}};
  EXPECT_EQ(run("GC", conf).status, 0);
  const rpc::CniGcRequest told = agent.requests().front().cni_gc();
  ASSERT_EQ(told.valid_size(), 2);
  EXPECT_EQ(told.valid(1).container_id() + told.valid(1).interface(), "bnet1");
  conf.erase("cni.dev/valid-attachments");
  EXPECT_EQ(run("GC", conf).status, 0);
  EXPECT_EQ(agent.requests().back().cni_gc().valid(0).container_id(), "old");
  conf["cni.dev/valid-attachments"] = {{{"containerID", "a"}}};
  expect_refused(run("GC", conf), 7, "ifname");
  EXPECT_EQ(agent.requests().size(), 2u);
}

TEST_F(Plugin, StatusTellsWhetherAddWouldWork) {
  expect_refused(run("STATUS", config("1.1.0")), 50, "systemctl start fairlead-agent");
  rpc::Response status;
  status.mutable_agent_status()->set_last_error("no socket");
  {
    const FakeAgent agent(socket(), FakeAgent::always(status));
    expect_refused(run("STATUS", config("1.1.0")), 51, "no socket");
  }
  std::filesystem::remove(socket());
  status.mutable_agent_status()->set_dataplane_connected(true);
  {
    const FakeAgent agent(socket(), FakeAgent::always(status));
    expect_refused(run("STATUS", config("1.1.0")), 50, "pod CIDR");
  }
  std::filesystem::remove(socket());
  status.mutable_agent_status()->add_pod_cidrs("10.244.1.0/24");
  const FakeAgent agent(socket(), FakeAgent::always(status));
  const PluginRun run = run_plugin_process({{"CNI_COMMAND", "STATUS"}}, config("1.1.0").dump());
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_EQ(run.output, "");
}

TEST_F(Plugin, HowLongItTakesIsPrintedNotJudged) {
  std::vector<double> times;
  for (int i = 0; i < 50; ++i) {
    const auto started = std::chrono::steady_clock::now();
    ASSERT_EQ(run_plugin_process({{"CNI_COMMAND", "VERSION"}}, "").status, 0);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count());
  }
  std::sort(times.begin(), times.end());
  std::cout << "VERSION, start to exit: p50 " << times[25] << " ms, p98 " << times[48] << " ms\n";
}

TEST(CniNames, AsTheSpecificationSays) {
  EXPECT_TRUE(is_valid_cni_name("a"));
  EXPECT_TRUE(is_valid_cni_name("0a_.-Z"));
  for (const char* bad : {"", "_a", ".a", "-a", "a b", "a/b", "a\n"})
    EXPECT_FALSE(is_valid_cni_name(bad)) << bad;
  EXPECT_FALSE(is_valid_cni_name(std::string(256, 'a')));
  EXPECT_TRUE(is_valid_interface_name("abcdefghijklmno"));
  EXPECT_FALSE(is_valid_interface_name("abcdefghijklmnop"));
}

}  // namespace
}  // namespace fairlead::control
