#include "controlplane/cni/wire.hpp"

#include "dataplane/rpc/fairlead.pb.h"

#include <gtest/gtest.h>

#include <random>

namespace fairlead::control::wire {
namespace {

const AttachmentKey kKey{"743dc091cf12", "eth0"};

rpc::Request parsed(const std::string& bytes) {
  rpc::Request request;
  EXPECT_TRUE(request.ParseFromString(bytes));
  EXPECT_EQ(request.SerializeAsString(), bytes) << "the library writes the same bytes";
  return request;
}

TEST(Wire, RequestsAreWhatTheRealLibraryWrites) {
  const rpc::Request add =
      parsed(add_request(kKey, "/var/run/netns/a", "default", "web-0", "uid-1", "1.0.0"));
  ASSERT_TRUE(add.has_cni_add());
  EXPECT_EQ(add.cni_add().container_id(), "743dc091cf12");
  EXPECT_EQ(add.cni_add().interface(), "eth0");
  EXPECT_EQ(add.cni_add().netns(), "/var/run/netns/a");
  EXPECT_EQ(add.cni_add().pod_namespace(), "default");
  EXPECT_EQ(add.cni_add().pod_name(), "web-0");
  EXPECT_EQ(add.cni_add().pod_uid(), "uid-1");
  EXPECT_EQ(add.cni_add().cni_version(), "1.0.0");

  const rpc::Request del = parsed(del_request(kKey));
  ASSERT_TRUE(del.has_cni_del());
  EXPECT_EQ(del.cni_del().container_id(), "743dc091cf12");
  EXPECT_EQ(del.cni_del().interface(), "eth0");

  const rpc::Request check = parsed(check_request(kKey, "/n", {"10.0.0.1/32", "fd00::1/128"}));
  ASSERT_TRUE(check.has_cni_check());
  EXPECT_EQ(check.cni_check().netns(), "/n");
  ASSERT_EQ(check.cni_check().addresses_size(), 2);
  EXPECT_EQ(check.cni_check().addresses(1), "fd00::1/128");

  const rpc::Request gc = parsed(gc_request({kKey, {"other", "net1"}}));
  ASSERT_TRUE(gc.has_cni_gc());
  ASSERT_EQ(gc.cni_gc().valid_size(), 2);
  EXPECT_EQ(gc.cni_gc().valid(1).container_id(), "other");
  EXPECT_TRUE(parsed(gc_request({})).has_cni_gc());
  EXPECT_TRUE(parsed(status_request()).has_agent_status());
}

TEST(Wire, LongAndEmptyTextsKeepTheirLength) {
  for (const size_t length : {0u, 1u, 127u, 128u, 16383u, 16384u, 70000u}) {
    const rpc::Request add = parsed(add_request({std::string(length, 'c'), "e"}, "", "", "", "", ""));
    EXPECT_EQ(add.cni_add().container_id().size(), length);
  }
}

rpc::Response add_response() {
  rpc::Response response;
  rpc::CniAddReply& add = *response.mutable_cni_add();
  add.set_host_interface("fl0123456789a");
  add.set_host_mac("02:00:00:00:00:01");
  add.set_mac("0a:58:0a:f4:01:02");
  add.set_mtu(1450);
  add.add_addresses("10.244.1.2/32");
  add.add_addresses("fd00::2/128");
  add.add_gateways("169.254.1.1");
  add.add_gateways("fe80::1");
  add.set_endpoint(7);
  return response;
}

TEST(Wire, ReadsWhatTheRealLibraryWrites) {
  const Result<Response> add = parse_response(add_response().SerializeAsString());
  ASSERT_TRUE(add.ok());
  ASSERT_EQ(add->kind, Response::Kind::kAdd);
  EXPECT_EQ(add->add.host_interface, "fl0123456789a");
  EXPECT_EQ(add->add.host_mac, "02:00:00:00:00:01");
  EXPECT_EQ(add->add.mac, "0a:58:0a:f4:01:02");
  EXPECT_EQ(add->add.mtu, 1450u);
  EXPECT_EQ(add->add.addresses, (std::vector<std::string>{"10.244.1.2/32", "fd00::2/128"}));
  EXPECT_EQ(add->add.gateways, (std::vector<std::string>{"169.254.1.1", "fe80::1"}));

  rpc::Response refused;
  refused.mutable_error()->set_code("FL4011");
  refused.mutable_error()->set_what("none free");
  refused.mutable_error()->set_fix("wait");
  const Result<Response> error = parse_response(refused.SerializeAsString());
  ASSERT_TRUE(error.ok());
  ASSERT_EQ(error->kind, Response::Kind::kError);
  EXPECT_EQ(error->error.code + error->error.what + error->error.fix, "FL4011none freewait");

  rpc::Response status;
  status.mutable_agent_status()->set_dataplane_connected(true);
  status.mutable_agent_status()->set_last_error("e");
  status.mutable_agent_status()->set_uptime_seconds(1ull << 60);
  status.mutable_agent_status()->add_pod_cidrs("10.0.0.0/24");
  status.mutable_agent_status()->add_pod_cidrs("fd00::/64");
  const Result<Response> told = parse_response(status.SerializeAsString());
  ASSERT_TRUE(told.ok());
  ASSERT_EQ(told->kind, Response::Kind::kStatus);
  EXPECT_TRUE(told->status.is_dataplane_connected);
  EXPECT_EQ(told->status.last_error, "e");
  EXPECT_EQ(told->status.pod_cidrs, 2u);

  rpc::Response done;
  done.mutable_done();
  EXPECT_EQ(parse_response(done.SerializeAsString())->kind, Response::Kind::kDone);
  EXPECT_EQ(parse_response("")->kind, Response::Kind::kNone);
}

TEST(Wire, UnknownFieldsOfEveryWireTypeAreSkipped) {
  std::string bytes;
  bytes += std::string("\xf8\x07\x05", 3);                    // field 127, varint
  bytes += std::string("\xf9\x07", 2) + std::string(8, 'x');  // fixed64
  bytes += std::string("\xfa\x07\x02", 3) + "ab";             // bytes
  bytes += std::string("\xfd\x07", 2) + std::string(4, 'x');  // fixed32
  rpc::Response done;
  done.mutable_done();
  const Result<Response> response = parse_response(bytes + done.SerializeAsString());
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->kind, Response::Kind::kDone);
}

TEST(Wire, AnyBytesAreRefusedOrReadButNeverFollowedBeyondTheirEnd) {
  const std::string whole = add_response().SerializeAsString();
  for (size_t length = 1; length < whole.size(); ++length) {
    // A heap copy of exactly this length: the sanitizer sees a read beyond it.
    const std::vector<char> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(parse_response({part.data(), part.size()}).ok()) << length;
  }
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<char> bytes(whole.begin(), whole.end());
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    (void)parse_response({bytes.data(), bytes.size()}).ok();
  }
}

}  // namespace
}  // namespace fairlead::control::wire
