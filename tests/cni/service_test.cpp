#include "controlplane/agent/cni_service.hpp"
#include "controlplane/cni/del_queue.hpp"
#include "controlplane/host/pod_link.hpp"
#include "dataplane/rpc/server.hpp"
#include "tests/cni/fake_core.hpp"
#include "tests/cni/plugin_process.hpp"
#include "tests/host/netns_fixture.hpp"

#include <gtest/gtest.h>

#include <future>
#include <iostream>
#include <random>

namespace fairlead::control {
namespace {

using nlohmann::json;

class Service : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    if (!IsSkipped()) start();
  }

  // The agent, or the agent after a kill: nothing of it in memory, all of it on disk.
  void start() {
    stop();
    io_ = std::make_unique<boost::asio::io_context>();
    core_ = std::make_unique<FakeCore>(*io_);
    CniServiceOptions options;
    options.state_dir = directory_ / "state";
    options.quarantine = std::chrono::seconds(30);
    Result<std::unique_ptr<CniService>> service = CniService::open(*io_, *core_, options);
    ASSERT_TRUE(service.ok()) << service.error().text();
    service_ = std::move(*service);
  }
  void stop() {
    service_.reset();
    core_.reset();
    io_.reset();
  }
  std::vector<core::Endpoint> restored() {
    Result<std::vector<core::Endpoint>> endpoints = service_->restore();
    EXPECT_TRUE(endpoints.ok()) << endpoints.error().text();
    return endpoints ? *endpoints : std::vector<core::Endpoint>();
  }

  // Runs the control thread until the callback came.
  template <typename Begin>
  void until_done(const Begin& begin) {
    bool is_done = false;
    begin([&is_done] { is_done = true; });
    io_->restart();
    while (!is_done && io_->run_one_for(std::chrono::seconds(20)) != 0) {
    }
    ASSERT_TRUE(is_done) << "no answer";
  }

  static rpc::CniAddRequest add_request(const std::string& name, const TestNetns& pod) {
    rpc::CniAddRequest request;
    request.set_container_id("container-" + name);
    request.set_interface("eth0");
    request.set_netns(pod.path());
    request.set_pod_namespace("shop");
    request.set_pod_name(name);
    request.set_cni_version("1.0.0");
    return request;
  }
  static AttachmentKey key(const std::string& name) { return {"container-" + name, "eth0"}; }

  Result<rpc::CniAddReply> add(const rpc::CniAddRequest& request) {
    Result<rpc::CniAddReply> answer(Error{"none", "no answer"});
    until_done([&](const std::function<void()>& done) {
      service_->add(request, [&, done](Result<rpc::CniAddReply> result) {
        answer = std::move(result);
        done();
      });
    });
    return answer;
  }
  Result<rpc::CniAddReply> add(const std::string& name, const TestNetns& pod) {
    return add(add_request(name, pod));
  }
  Result<void> del(const std::string& name) {
    Result<void> answer(Error{"none", "no answer"});
    rpc::CniDelRequest request;
    request.set_container_id("container-" + name);
    request.set_interface("eth0");
    until_done([&](const std::function<void()>& done) {
      service_->del(request, [&, done](Result<void> result) {
        answer = std::move(result);
        done();
      });
    });
    return answer;
  }
  Result<void> check(const std::string& name, const TestNetns& pod,
                     const std::vector<std::string>& addresses) {
    Result<void> answer(Error{"none", "no answer"});
    rpc::CniCheckRequest request;
    request.set_container_id("container-" + name);
    request.set_interface("eth0");
    request.set_netns(pod.path());
    for (const std::string& address : addresses) request.add_addresses(address);
    until_done([&](const std::function<void()>& done) {
      service_->check(request, [&, done](Result<void> result) {
        answer = std::move(result);
        done();
      });
    });
    return answer;
  }
  size_t free_ipv4() const { return service_->free_ipv4(); }
  // Host ends only; iproute2 also prints that a dump was disturbed, which is no link.
  static size_t veths() {
    const std::string links = ip("-o link show type veth");
    size_t count = 0;
    for (size_t at = links.find(": fl"); at != std::string::npos; at = links.find(": fl", at + 1)) ++count;
    return count;
  }

  TestDirectory directory_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<FakeCore> core_;
  std::unique_ptr<CniService> service_;
};

TEST_F(Service, AddAttachesAndSaysWhatThePodGot) {
  TestNetns pod;
  const Result<rpc::CniAddReply> reply = add("a", pod);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(reply->addresses(0), "10.244.1.2/32");
  EXPECT_EQ(reply->addresses(1), "fd00:1::2/128");
  EXPECT_EQ(reply->gateways(0), "169.254.1.1");
  EXPECT_EQ(reply->gateways(1), "fe80::1");
  EXPECT_EQ(reply->mtu(), 1450u);
  expect_has(ip("link"), reply->host_interface());
  expect_has(ip("link"), reply->host_mac());
  expect_has(pod.ip("link show eth0"), reply->mac());
  expect_has(pod.ip("link show eth0"), "mtu 1500");
  expect_has(pod.ip("route"), "mtu 1450");

  ASSERT_EQ(core_->intent().endpoints.size(), 1u);
  const core::Endpoint& endpoint = core_->intent().endpoints.begin()->second;
  EXPECT_EQ(endpoint.id, reply->endpoint());
  EXPECT_EQ(endpoint.pod_namespace + "/" + endpoint.pod_name, "shop/a");
  EXPECT_EQ(endpoint.host_interface, reply->host_interface());
  EXPECT_EQ(endpoint.mac.text(), reply->mac());
  expect_has(ip("link"), std::to_string(endpoint.host_ifindex) + ": " + endpoint.host_interface);
  EXPECT_EQ(free_ipv4(), 252u);
}

TEST_F(Service, DelTakesEverythingBackAndIsRepeatable) {
  TestNetns pod;
  ASSERT_TRUE(add("a", pod).ok());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(del("a").ok());
  EXPECT_EQ(veths(), 0u);
  expect_lacks(pod.ip("link"), "eth0");
  EXPECT_TRUE(core_->intent().endpoints.empty());
  EXPECT_EQ(free_ipv4(), 252u) << "the address rests";
  EXPECT_TRUE(del("never-seen").ok());
}

TEST_F(Service, DelWorksWhenTheNamespaceIsGone) {
  {
    TestNetns pod;
    ASSERT_TRUE(add("a", pod).ok());
  }
  EXPECT_TRUE(del("a").ok());
  EXPECT_TRUE(core_->intent().endpoints.empty());
}

TEST_F(Service, TheSameAddTwiceGivesTheSameAnswer) {
  TestNetns pod;
  const Result<rpc::CniAddReply> first = add("a", pod);
  const Result<rpc::CniAddReply> second = add("a", pod);
  ASSERT_TRUE(first.ok() && second.ok()) << second.error().text();
  EXPECT_EQ(first->SerializeAsString(), second->SerializeAsString());
  EXPECT_EQ(veths(), 1u);
  core_->refuse_attach = Error{"FL5002", "dataplane away"};
  EXPECT_FALSE(add("a", pod).ok());
  core_->refuse_attach.reset();
  EXPECT_TRUE(check("a", pod, {"10.244.1.2/32", "fd00:1::2/128"}).ok())
      << "a repeated ADD that fails harms nothing";
}

TEST_F(Service, TheSameContainerElsewhereIsRefused) {
  TestNetns pod, other;
  ASSERT_TRUE(add("a", pod).ok());
  const Result<rpc::CniAddReply> refused = add("a", other);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4103");
  EXPECT_TRUE(check("a", pod, {"10.244.1.2/32", "fd00:1::2/128"}).ok());
}

TEST_F(Service, EveryFailureLeavesNothingBehind) {
  TestNetns pod;
  rpc::CniAddRequest request = add_request("a", pod);
  const auto expect_clean = [&](const Result<rpc::CniAddReply>& reply, const std::string& code) {
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, code) << reply.error().text();
    EXPECT_EQ(veths(), 0u);
    expect_lacks(pod.ip("link"), "eth0");
    EXPECT_TRUE(core_->intent().endpoints.empty());
  };
  request.set_netns("/run/netns/fl-cni-nowhere");
  expect_clean(add(request), "FL4008");
  request.set_netns("relative");
  expect_clean(add(request), "FL4008");
  request = add_request("a/b", pod);
  expect_clean(add(request), "FL4004");
  core_->refuse_attach = Error{"FL5002", "dataplane away"};
  expect_clean(add("a", pod), "FL5002");
  core_->refuse_attach.reset();
  const std::vector<core::Prefix> cidrs = core_->cidrs;
  core_->cidrs.clear();
  expect_clean(add("a", pod), "FL4011");
  core_->cidrs = {*core::Prefix::parse("10.9.0.0/32")};
  expect_clean(add("a", pod), "FL4007");
  core_->cidrs = cidrs;
  EXPECT_TRUE(add("a", pod).ok());
}

TEST_F(Service, WhenThePoolIsEmptyItSaysSo) {
  core_->cidrs = {*core::Prefix::parse("10.9.0.0/30")};
  TestNetns first, second;
  ASSERT_TRUE(add("a", first).ok());
  const Result<rpc::CniAddReply> refused = add("b", second);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4011");
  expect_has(refused.error().what, "shop/a 10.9.0.2");
  EXPECT_EQ(core_->attached, 1u);
}

TEST_F(Service, SixtyFourAtOnce) {
  constexpr size_t kPods = 64;
  std::vector<std::unique_ptr<TestNetns>> pods;
  std::vector<std::optional<Result<rpc::CniAddReply>>> replies(kPods);
  for (size_t i = 0; i < kPods; ++i) pods.push_back(std::make_unique<TestNetns>());
  until_done([&](const std::function<void()>& done) {
    auto left = std::make_shared<size_t>(kPods);
    for (size_t i = 0; i < kPods; ++i) {
      service_->add(add_request("p" + std::to_string(i), *pods[i]),
                    [&, i, left, done](Result<rpc::CniAddReply> reply) {
                      replies[i] = std::move(reply);
                      if (--*left == 0) done();
                    });
    }
  });
  std::set<std::string> addresses, links;
  for (const auto& reply : replies) {
    ASSERT_TRUE(reply && reply->ok()) << (*reply).error().text();
    addresses.insert((*reply)->addresses(0));
    links.insert((*reply)->host_interface());
  }
  EXPECT_EQ(addresses.size(), kPods);
  EXPECT_EQ(links.size(), kPods);
  EXPECT_EQ(veths(), kPods);
  until_done([&](const std::function<void()>& done) {
    auto left = std::make_shared<size_t>(kPods);
    for (size_t i = 0; i < kPods; ++i) {
      rpc::CniDelRequest request;
      request.set_container_id("container-p" + std::to_string(i));
      request.set_interface("eth0");
      service_->del(request, [left, done](const Result<void>& result) {
        EXPECT_TRUE(result.ok());
        if (--*left == 0) done();
      });
    }
  });
  EXPECT_EQ(veths(), 0u);
}

TEST_F(Service, AddAndDelOfOnePodFollowEachOther) {
  TestNetns pod;
  std::string order;
  until_done([&](const std::function<void()>& done) {
    rpc::CniDelRequest request;
    request.set_container_id("container-a");
    request.set_interface("eth0");
    service_->add(add_request("a", pod),
                  [&](const Result<rpc::CniAddReply>& reply) { order += reply.ok() ? "A" : "a"; });
    service_->del(request, [&](const Result<void>& result) { order += result.ok() ? "D" : "d"; });
    service_->add(add_request("a", pod),
                  [&](const Result<rpc::CniAddReply>& reply) { order += reply.ok() ? "A" : "a"; });
    service_->del(request, [&, done](const Result<void>& result) {
      order += result.ok() ? "D" : "d";
      done();
    });
  });
  EXPECT_EQ(order, "ADAD");
  EXPECT_EQ(veths(), 0u);
}

TEST_F(Service, AModeSwitchDuringAnAddIsNotMissed) {
  TestNetns pod;
  core_->during_attach = [this] { core_->mtu = 1500; };
  const Result<rpc::CniAddReply> reply = add("a", pod);
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(reply->mtu(), 1500u);
  expect_has(pod.ip("route show default"), "mtu 1500");
  core_->during_attach = nullptr;
  const Result<void> changed = service_->set_pod_mtu(1400);
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  expect_has(pod.ip("route show default"), "mtu 1400");
  expect_has(pod.ip("-6 route show default"), "mtu 1400");
}

TEST_F(Service, MtuOfAPodThatIsGoneIsSkipped) {
  TestNetns pod;
  {
    TestNetns gone;
    ASSERT_TRUE(add("gone", gone).ok());
  }
  ASSERT_TRUE(add("a", pod).ok());
  EXPECT_TRUE(service_->set_pod_mtu(1400).ok());
  expect_has(pod.ip("route show default"), "mtu 1400");
}

// ---- after a kill ----

TEST_F(Service, ARestartFindsThePodsAgain) {
  TestNetns pod;
  const Result<rpc::CniAddReply> reply = add("a", pod);
  ASSERT_TRUE(reply.ok());
  const core::Endpoint before = core_->intent().endpoints.begin()->second;
  start();
  const std::vector<core::Endpoint> endpoints = restored();
  ASSERT_EQ(endpoints.size(), 1u);
  EXPECT_EQ(endpoints.front(), before);
  const Result<rpc::CniAddReply> again = add("a", pod);
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->SerializeAsString(), reply->SerializeAsString());
}

TEST_F(Service, ARestartDropsPodsThatVanishedAndKeepsTheRest) {
  TestNetns pod;
  {
    TestNetns gone;
    ASSERT_TRUE(add("gone", gone).ok());
    ASSERT_TRUE(add("a", pod).ok());
  }
  stop();
  // A namespace dies some time after its last holder.
  for (int i = 0; i < 200 && veths() != 1; ++i) ::usleep(10'000);
  start();
  const std::vector<core::Endpoint> endpoints = restored();
  ASSERT_EQ(endpoints.size(), 1u);
  EXPECT_EQ(endpoints.front().pod_name, "a");
}

// Every state the disk can have during an ADD: cut after the reservation, with and without the link made.
TEST_F(Service, AnAddThatWasCutOffIsTakenBack) {
  TestNetns pod;
  const std::string journal = directory_ / "state/ipam/addresses.journal";
  const std::string before = TestDirectory::read(journal);
  ASSERT_TRUE(add("a", pod).ok());
  const std::string after = TestDirectory::read(journal);
  const size_t reserved = after.find('\n', before.size()) + 1;
  ASSERT_LT(reserved, after.size()) << "reserve and commit are two records";
  for (const bool has_link : {true, false}) {
    stop();
    TestDirectory::write(journal, after.substr(0, reserved));
    start();
    if (!has_link) (void)ip("link del " + host_interface_name(key("a")));
    EXPECT_TRUE(restored().empty());
    EXPECT_EQ(veths(), 0u);
    EXPECT_TRUE(add("a", pod).ok()) << "and the pod can be attached anew";
    EXPECT_TRUE(check("a", pod, {"10.244.1.3/32", "fd00:1::3/128"}).ok())
        << "with an address that did not rest";
    EXPECT_TRUE(del("a").ok());
  }
}

TEST_F(Service, WhatWasDeletedWhileTheAgentWasAwayDoesNotComeBack) {
  TestNetns pod, kept;
  ASSERT_TRUE(add("a", pod).ok());
  ASSERT_TRUE(add("kept", kept).ok());
  stop();
  const DelQueue queue(directory_ / "state");
  ASSERT_TRUE(queue.put(key("a")).ok());
  ASSERT_TRUE(queue.put(key("never-seen")).ok());
  TestDirectory::write(queue.directory() + "/broken.del", "no note");
  start();
  const std::vector<core::Endpoint> endpoints = restored();
  ASSERT_EQ(endpoints.size(), 1u);
  EXPECT_EQ(endpoints.front().pod_name, "kept");
  EXPECT_EQ(veths(), 1u);
  std::vector<std::string> problems;
  EXPECT_TRUE(queue.list(problems).empty());
  EXPECT_TRUE(std::filesystem::exists(queue.directory() + "/broken.del.bad"));
}

TEST_F(Service, ANoteThatAppearsIsWorkedOff) {
  TestNetns pod;
  ASSERT_TRUE(add("a", pod).ok());
  const DelQueue queue(directory_ / "state");
  ASSERT_TRUE(queue.put(key("a")).ok());
  for (int i = 0; i < 100 && queue.contains(key("a")); ++i) {
    io_->restart();
    io_->run_one_for(std::chrono::milliseconds(200));
  }
  EXPECT_FALSE(queue.contains(key("a")));
  EXPECT_EQ(veths(), 0u);
  EXPECT_TRUE(core_->intent().endpoints.empty());
}

TEST_F(Service, ANoteOfAnEarlierLifeDoesNotHitTheNextOne) {
  TestNetns pod;
  ASSERT_TRUE(add("a", pod).ok());
  const DelQueue queue(directory_ / "state");
  ASSERT_TRUE(queue.put(key("a")).ok());
  const Result<rpc::CniAddReply> reply = add("a", pod);  // the note is read only when the control thread runs
  ASSERT_TRUE(reply.ok()) << reply.error().text();
  EXPECT_EQ(reply->addresses(0), "10.244.1.3/32") << "deleted first, then attached";
  io_->restart();
  io_->run_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(queue.contains(key("a")));
  EXPECT_TRUE(check("a", pod, {"10.244.1.3/32", "fd00:1::3/128"}).ok());
}

// ---- CHECK, GC ----

TEST_F(Service, CheckComparesReservationDataplaneAndKernel) {
  TestNetns pod;
  ASSERT_TRUE(add("a", pod).ok());
  const std::vector<std::string> both = {"10.244.1.2/32", "fd00:1::2/128"};
  EXPECT_TRUE(check("a", pod, both).ok());
  EXPECT_TRUE(check("a", pod, {both[0], both[1], "192.0.2.9/24"}).ok()) << "others may add";
  EXPECT_EQ(check("a", pod, {both[0]}).error().code, "FL4102");
  EXPECT_EQ(check("b", pod, both).error().code, "FL4003");
  (void)pod.ip("route del default");
  EXPECT_EQ(check("a", pod, both).error().code, "FL4102");
  ASSERT_TRUE(add("a", pod).ok());
  core_->detach(core_->intent().endpoints.begin()->first, [](const Result<void>&) {});
  const Result<void> unknown = check("a", pod, both);
  ASSERT_FALSE(unknown.ok());
  expect_has(unknown.error().what, "dataplane");
}

TEST_F(Service, GcRemovesExactlyWhatIsNotValid) {
  TestNetns a, b, c;
  ASSERT_TRUE(add("a", a).ok());
  ASSERT_TRUE(add("b", b).ok());
  ASSERT_TRUE(add("c", c).ok());
  rpc::CniGcRequest request;
  rpc::CniAttachment& valid = *request.add_valid();
  valid.set_container_id("container-b");
  valid.set_interface("eth0");
  until_done([&](const std::function<void()>& done) {
    service_->collect_garbage(request, [done](const Result<void>& result) {
      EXPECT_TRUE(result.ok()) << result.error().text();
      done();
    });
  });
  EXPECT_EQ(veths(), 1u);
  EXPECT_TRUE(check("b", b, {"10.244.1.3/32", "fd00:1::3/128"}).ok());
}

// ---- the whole way: process, socket, service ----

TEST_F(Service, ThroughThePluginAndTheSocket) {
  const std::string run_dir = directory_ / "run";
  std::filesystem::create_directories(run_dir);
  ipc::ServerOptions options;
  options.socket = run_dir + "/agent.sock";
  options.process = "fairlead-agent";
  Result<ipc::Server> server = ipc::Server::open(*io_, options);
  ASSERT_TRUE(server.ok()) << server.error().text();
  const Result<void> serving = server->serve([this](const rpc::Request& request, const ipc::Reply& reply) {
    if (!service_->handle(request, reply)) reply.fail({"FL5007", "not served here"});
  });
  ASSERT_TRUE(serving.ok()) << serving.error().text();

  const json conf = {{"cniVersion", "1.1.0"},
                     {"name", "fairlead"},
                     {"type", "fairlead-cni"},
                     {"runDir", run_dir},
                     {"stateDir", directory_ / "state"}};
  const auto call = [&](const std::string& command, const std::string& name, const std::string& netns,
                        const json& with) {
    std::future<PluginRun> run = std::async(std::launch::async, [&] {
      return run_plugin_process({{"CNI_COMMAND", command},
                                 {"CNI_CONTAINERID", "container-" + name},
                                 {"CNI_NETNS", netns},
                                 {"CNI_IFNAME", "eth0"},
                                 {"CNI_PATH", "/opt/cni/bin"}},
                                with.dump());
    });
    while (run.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      io_->restart();
      io_->run_one_for(std::chrono::milliseconds(1));
    }
    return run.get();
  };
  TestNetns pod;
  const PluginRun added = call("ADD", "a", pod.path(), conf);
  ASSERT_EQ(added.status, 0) << added.output << added.log;
  EXPECT_EQ(added.json()["ips"][0]["address"], "10.244.1.2/32");
  json with_result = conf;
  with_result["prevResult"] = added.json();
  const PluginRun checked = call("CHECK", "a", pod.path(), with_result);
  EXPECT_EQ(checked.status, 0) << checked.output;
  (void)pod.ip("addr flush dev eth0");
  EXPECT_EQ(call("CHECK", "a", pod.path(), with_result).code(), 102);
  TestNetns taken;
  (void)taken.ip("link add eth0 type veth peer name other");
  EXPECT_EQ(call("ADD", "b", taken.path(), conf).code(), 101);
  json gc = conf;
  gc["cni.dev/valid-attachments"] = json::array();
  EXPECT_EQ(call("GC", "a", "", gc).status, 0);
  EXPECT_EQ(veths(), 0u);
  EXPECT_EQ(call("DEL", "a", pod.path(), conf).status, 0);

  std::vector<double> times;
  std::vector<std::unique_ptr<TestNetns>> pods;
  for (int i = 0; i < 40; ++i) pods.push_back(std::make_unique<TestNetns>());
  for (int i = 0; i < 40; ++i) {
    const auto started = std::chrono::steady_clock::now();
    ASSERT_EQ(call("ADD", "t" + std::to_string(i), pods[static_cast<size_t>(i)]->path(), conf).status, 0);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count());
  }
  std::sort(times.begin(), times.end());
  std::cout << "ADD through plugin, socket, journal and kernel: p50 " << times[20] << " ms, p97 " << times[38]
            << " ms\n";
}

// Random ADDs and DELs with the agent killed in between: in the end nothing is left of what was deleted, and
// everything of what was not.
TEST_F(Service, RandomLivesLeakNothing) {
  std::mt19937 random(7);
  std::map<int, std::unique_ptr<TestNetns>> alive;
  for (int step = 0; step < 120; ++step) {
    const int who = static_cast<int>(random() % 12);
    const std::string name = "p" + std::to_string(who);
    const unsigned what = random() % 10;
    if (what < 5) {
      if (alive.contains(who)) continue;
      auto pod = std::make_unique<TestNetns>();
      if (what == 0) {
        // Killed while it ran: nobody gets an answer, and the runtime deletes before it tries again.
        service_->add(add_request(name, *pod), [](const Result<rpc::CniAddReply>&) {});
        io_->restart();
        for (unsigned events = random() % 3; events > 0; --events)
          io_->run_one_for(std::chrono::milliseconds(1));
        start();
        (void)restored();
        EXPECT_TRUE(del(name).ok());
        continue;
      }
      const Result<rpc::CniAddReply> reply = add(name, *pod);
      ASSERT_TRUE(reply.ok()) << reply.error().text();
      alive[who] = std::move(pod);
    } else if (what < 8) {
      EXPECT_TRUE(del(name).ok());
      alive.erase(who);
    } else {
      start();
      EXPECT_EQ(restored().size(), alive.size()) << "step " << step;
    }
  }
  EXPECT_EQ(veths(), alive.size());
  EXPECT_EQ(core_->intent().endpoints.size() <= alive.size(), true);
  for (const auto& [who, pod] : alive) EXPECT_TRUE(del("p" + std::to_string(who)).ok());
  EXPECT_EQ(veths(), 0u);
}

}  // namespace
}  // namespace fairlead::control
