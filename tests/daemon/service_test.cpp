#include "dataplane/daemon/service.hpp"

#include "dataplane/rpc/client.hpp"
#include "dataplane/rpc/convert.hpp"
#include "tests/daemon/fakes.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <thread>

namespace fairlead::daemon {
namespace {

using namespace std::chrono_literals;
using Answer = rpc::Response::AnswerCase;

// The service behind its real socket, with an engine and a kernel of paper.
class ServiceTest : public testing::Test {
 protected:
  ServiceTest()
      : directory_(make_temporary_directory()), file_(directory_), dataplane_(engine_, &kernel_, file_) {
    ipc::ServerOptions options;
    options.socket = directory_ + "/dataplane.sock";
    Result<ipc::Server> server = ipc::Server::open(io_, options);
    EXPECT_TRUE(server.ok());
    server_.emplace(std::move(*server));
    EXPECT_TRUE(server_
                    ->serve([this](const rpc::Request& request, const ipc::Reply& reply) {
                      service_.handle(request, reply);
                    })
                    .ok());
    thread_ = std::thread([this] { io_.run(); });
  }
  ~ServiceTest() override {
    on_loop([this] { server_.reset(); });
    work_.reset();
    thread_.join();
    file_.flush();  // writes behind the reply; the directory goes only when it is done
    std::filesystem::remove_all(directory_);
  }

  void on_loop(const std::function<void()>& action) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }
  ipc::ClientOptions client_options() const {
    ipc::ClientOptions options;
    options.run_dir = directory_;
    return options;
  }
  Result<rpc::Response> ask(const rpc::Request& request, Answer expected) const {
    return ipc::ask(client_options(), request, expected);
  }
  Result<rpc::Response> publish(const core::NodeState& from, const core::NodeState& to) const {
    rpc::Request request;
    *request.mutable_publish()->mutable_delta() = ipc::to_message(core::diff(from, to));
    return ask(request, Answer::kPublish);
  }

  std::string directory_;
  Script script_;
  FakeEngine engine_{script_};
  FakeKernel kernel_{script_};
  StateFile file_;
  Dataplane dataplane_;
  CaptureHub capture_{engine_};
  core::Underlay underlay_;
  Service service_{engine_, dataplane_, &kernel_, capture_,
                   [this]() -> const core::Underlay& { return underlay_; }};
  boost::asio::io_context io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_{
      io_.get_executor()};
  std::optional<ipc::Server> server_;
  std::thread thread_;
};

TEST_F(ServiceTest, PublishesAndShowsTheState) {
  const core::NodeState state = make_state(4, {1, 2});
  const Result<rpc::Response> published = publish({}, state);
  ASSERT_TRUE(published.ok()) << published.error().text();
  EXPECT_EQ(published->publish().generation(), 4u);
  rpc::Request request;
  request.mutable_get_state();
  const Result<rpc::Response> shown = ask(request, Answer::kState);
  ASSERT_TRUE(shown.ok());
  EXPECT_TRUE(*ipc::from_message(shown->state()) == state);
}

TEST_F(ServiceTest, AMessageWithABadFieldChangesNothing) {
  rpc::Request request;
  rpc::NodeStateDelta& delta = *request.mutable_publish()->mutable_delta();
  delta = ipc::to_message(core::diff({}, make_state(4, {1})));
  delta.mutable_upsert_endpoints(0)->set_mac("nonsense");
  const Result<rpc::Response> refused = ask(request, Answer::kPublish);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL5060");
  EXPECT_NE(refused.error().what.find("delta.upsert_endpoints[0].mac"), std::string::npos);
  on_loop([this] { EXPECT_TRUE(script_.calls.empty()); });
}

TEST_F(ServiceTest, RequestsOfTheAgentAreSentOn) {
  rpc::Request request;
  request.mutable_cni_add();
  const Result<rpc::Response> refused = ask(request, Answer::kCniAdd);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL5061");
}

TEST_F(ServiceTest, FlowsAreBoundedAndSaySo) {
  on_loop([this] {
    engine_.flows.resize(30);
    for (FlowRecord& flow : engine_.flows)
      flow.source = flow.destination = *core::IpAddress::parse("10.0.0.1");
  });
  rpc::Request request;
  request.mutable_get_flows()->set_limit(10);
  Result<rpc::Response> flows = ask(request, Answer::kFlows);
  ASSERT_TRUE(flows.ok());
  EXPECT_EQ(flows->flows().flows_size(), 10);
  EXPECT_TRUE(flows->flows().truncated());
  request.mutable_get_flows()->set_limit(30);
  flows = ask(request, Answer::kFlows);
  EXPECT_FALSE(flows->flows().truncated());
}

TEST_F(ServiceTest, HookDropsStandBesideTheForwarders) {
  on_loop([this] {
    ebpf::HookCounters hook;
    hook.hook = "pod_tc";
    hook.in = 7;
    hook.drops[static_cast<size_t>(core::DropReason::SPOOFED_MAC)] = 5;
    kernel_.hooks = {hook};
  });
  rpc::Request request;
  request.mutable_get_counters();
  const Result<rpc::Response> counters = ask(request, Answer::kCounters);
  ASSERT_TRUE(counters.ok());
  uint64_t hook_drops = 0, forwarder_drops = 0;
  for (const rpc::NamedCount& row : counters->counters().drops()) {
    if (row.name() != "SPOOFED_MAC") continue;
    (row.stage() == "pod hook" ? hook_drops : forwarder_drops) += row.count();
  }
  EXPECT_EQ(hook_drops, 5u);
  EXPECT_EQ(forwarder_drops, 0u);
}

// A frame that `tcp` matches and one that it does not.
const std::vector<uint8_t> kTcp = [] {
  std::vector<uint8_t> frame(60, 0);
  frame[12] = 0x08, frame[14] = 0x45, frame[23] = 6;
  return frame;
}();
const std::vector<uint8_t> kUdp = [] {
  std::vector<uint8_t> frame = kTcp;
  frame[23] = 17;
  return frame;
}();

CapturedFrame frame_of(const std::vector<uint8_t>& bytes, CaptureStage stage) {
  CapturedFrame frame;
  frame.stage = stage;
  frame.reason = stage == CaptureStage::kDrop ? core::DropReason::NO_ROUTE : core::DropReason::NONE;
  frame.original_length = static_cast<uint32_t>(bytes.size());
  frame.bytes = bytes;
  return frame;
}

TEST_F(ServiceTest, CapturesWhatWasAskedForAndStopsCopying) {
  Result<ipc::Client> client = ipc::Client::connect(client_options());
  ASSERT_TRUE(client.ok());
  rpc::Request request;
  request.mutable_capture()->set_filter("tcp");
  request.mutable_capture()->set_stage("drop");
  request.mutable_capture()->set_max_packets(2);
  request.mutable_capture()->set_snap_length(40);
  ASSERT_TRUE(client->send(request).ok());
  Result<rpc::Response> item = client->receive(5s);
  ASSERT_TRUE(item.ok()) << item.error().text();
  EXPECT_TRUE(item->captured().frame().empty());  // copying has begun
  on_loop([this] {
    EXPECT_EQ(script_.take(), (std::vector<std::string>{"capture 4 40"}));
    engine_.lost = 3;
    engine_.frames = {frame_of(kTcp, CaptureStage::kRx), frame_of(kUdp, CaptureStage::kDrop),
                      frame_of(kTcp, CaptureStage::kDrop), frame_of(kTcp, CaptureStage::kDrop),
                      frame_of(kTcp, CaptureStage::kDrop)};
    capture_.pump();
    EXPECT_FALSE(capture_.active());
    EXPECT_EQ(script_.take(), (std::vector<std::string>{"capture 0 0"}));
  });
  for (int i = 0; i < 2; ++i) {
    item = client->receive(5s);
    ASSERT_TRUE(item.ok() && item->has_captured());
    EXPECT_EQ(item->captured().stage(), "drop");
    EXPECT_EQ(item->captured().drop_reason(), "NO_ROUTE");
    EXPECT_EQ(item->captured().frame().size(), 40u);
    EXPECT_EQ(item->captured().original_length(), 60u);
    EXPECT_EQ(item->captured().lost(), 3u);
  }
  item = client->receive(5s);
  EXPECT_TRUE(item.ok() && item->has_done());
}

TEST_F(ServiceTest, ACaptureEndsWhenItsClientGoes) {
  {
    Result<ipc::Client> client = ipc::Client::connect(client_options());
    rpc::Request request;
    request.mutable_capture();
    ASSERT_TRUE(client->send(request).ok());
    ASSERT_TRUE(client->receive(5s).ok());
  }
  bool active = true;
  while (active) {
    on_loop([&] {
      capture_.pump();
      active = capture_.active();
    });
  }
  on_loop([this] { EXPECT_EQ(script_.calls.back(), "capture 0 0"); });
}

TEST_F(ServiceTest, BadCaptureRequestsAreNamed) {
  rpc::Request request;
  request.mutable_capture()->set_filter("ipp and");
  Result<rpc::Response> refused = ask(request, Answer::kDone);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL2120");
  request.mutable_capture()->clear_filter();
  request.mutable_capture()->set_stage("tail");
  refused = ask(request, Answer::kDone);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL2121");
  on_loop([this] {
    EXPECT_FALSE(capture_.active());
    EXPECT_TRUE(script_.calls.empty());
  });
}

}  // namespace
}  // namespace fairlead::daemon
