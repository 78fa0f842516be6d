#include "tests/ebpf/pod_lab.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace fairlead::test {
namespace {

using core::DropReason;

class Traffic : public PodLab {
 protected:
  void SetUp() override {
    PodLab::SetUp();
    if (IsSkipped()) return;
    open_and_start();
    one_ = make_pod(1);
    two_ = make_pod(2);
    attach(one_);
    attach(two_);
  }

  // A socket in pod `n`.
  static int socket_in(unsigned n, int family, int type, int protocol = 0) {
    int fd = -1;
    NetworkLab::in(netns(n), [&] { fd = socket(family, type | SOCK_CLOEXEC, protocol); });
    EXPECT_GE(fd, 0) << strerror(errno);
    const timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
  }
  static sockaddr_in at(unsigned n, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, ipv4(n).c_str(), &address.sin_addr);
    return address;
  }

  // Sends raw bytes out of pod `n`'s eth0.
  static void send_raw(unsigned n, const std::vector<uint8_t>& frame) {
    const int fd = socket_in(n, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    NetworkLab::in(netns(n), [&] { to.sll_ifindex = static_cast<int>(if_nametoindex("eth0")); });
    EXPECT_EQ(sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(frame.size()))
        << strerror(errno);
    close(fd);
  }

  std::vector<uint8_t> frame_of(const core::Endpoint& from, unsigned ethertype,
                                std::vector<uint8_t> payload) const {
    std::vector<uint8_t> frame(core::kGatewayMac.bytes.begin(), core::kGatewayMac.bytes.end());
    frame.insert(frame.end(), from.mac.bytes.begin(), from.mac.bytes.end());
    frame.push_back(static_cast<uint8_t>(ethertype >> 8));
    frame.push_back(static_cast<uint8_t>(ethertype));
    frame.insert(frame.end(), payload.begin(), payload.end());
    return frame;
  }

  core::Endpoint one_, two_;
};

TEST_F(Traffic, PodsPingEachOtherInBothFamilies) {
  EXPECT_EQ(ping(1, ipv4(2), 3), 3u);
  EXPECT_EQ(ping(2, ipv6(1), 3), 3u);
  const auto sources = relay_->sources();
  EXPECT_TRUE(sources.contains(core::endpoint_mac(one_.id)));
  EXPECT_TRUE(sources.contains(core::endpoint_mac(two_.id)));
  EXPECT_EQ(sources.size(), 2u) << "nothing crosses the trunk unnamed";
  const auto pod = counters_of(*hooks_, "pod_tc");
  const auto trunk = counters_of(*hooks_, "trunk_tc");
  EXPECT_EQ(pod.out, relay_->frames());
  EXPECT_EQ(trunk.out, relay_->frames());
  EXPECT_EQ(trunk.in, trunk.out);
  EXPECT_GE(pod.out, 12u);
}

// TCP super-packets cross whole, with their checksum still to be filled in, and arrive intact.
TEST_F(Traffic, TcpKeepsItsSuperPackets) {
  const int listener = socket_in(2, AF_INET, SOCK_STREAM);
  const auto address = at(2, 7000);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << strerror(errno);
  ASSERT_EQ(listen(listener, 1), 0);
  constexpr size_t kBytes = 16 << 20;
  uint64_t received_sum = 0;
  size_t received = 0;
  std::thread receiver([&] {
    const int connection = accept(listener, nullptr, nullptr);
    std::vector<uint8_t> buffer(1 << 18);
    for (ssize_t length; (length = read(connection, buffer.data(), buffer.size())) > 0;) {
      for (ssize_t i = 0; i < length; ++i) received_sum = received_sum * 31 + buffer[static_cast<size_t>(i)];
      received += static_cast<size_t>(length);
    }
    close(connection);
  });
  const int sender = socket_in(1, AF_INET, SOCK_STREAM);
  ASSERT_EQ(connect(sender, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
      << strerror(errno);
  uint64_t sent_sum = 0;
  std::vector<uint8_t> chunk(1 << 18);
  for (size_t sent = 0; sent < kBytes; sent += chunk.size()) {
    for (size_t i = 0; i < chunk.size(); ++i) {
      chunk[i] = static_cast<uint8_t>((sent + i) * 2654435761u >> 13);
      sent_sum = sent_sum * 31 + chunk[i];
    }
    for (size_t done = 0; done < chunk.size();) {
      const ssize_t length = write(sender, chunk.data() + done, chunk.size() - done);
      ASSERT_GT(length, 0) << strerror(errno);
      done += static_cast<size_t>(length);
    }
  }
  close(sender);
  receiver.join();
  close(listener);
  EXPECT_EQ(received, kBytes);
  EXPECT_EQ(received_sum, sent_sum);
  EXPECT_GT(relay_->largest_frame(), 20000u);
  EXPECT_GT(relay_->partial_checksums(), 0u);
}

TEST_F(Traffic, SpoofedAddressesStayOnTheNode) {
  in_pod(1, "ip addr add 10.1.0.99/32 dev eth0");
  const auto before = relay_->frames();
  EXPECT_EQ(ping_in_vain(1, ipv4(2), 2, "10.1.0.99"), 0u);
  EXPECT_EQ(dropped(DropReason::SPOOFED_SOURCE), 2u);
  in_pod(1, "ip -6 addr add fd01::99/128 dev eth0 nodad");
  EXPECT_EQ(ping_in_vain(1, ipv6(2), 2, "fd01::99"), 0u);
  EXPECT_EQ(dropped(DropReason::SPOOFED_SOURCE), 4u);
  EXPECT_EQ(relay_->frames(), before);
  in_pod(1, "ip link set eth0 address 02:00:00:00:00:55");
  EXPECT_EQ(ping_in_vain(1, ipv4(2), 1), 0u);
  EXPECT_GE(dropped(DropReason::SPOOFED_MAC), 1u);
}

// The kernel takes a tag off into the packet's metadata before our hook: the frame itself looks untagged.
TEST_F(Traffic, VlanTagsBesideTheFrameAreSeen) {
  std::vector<uint8_t> tagged{0x00, 0x05, 0x08, 0x00, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0};
  tagged.insert(tagged.end(), one_.addresses[0].bytes.begin(), one_.addresses[0].bytes.begin() + 4);
  tagged.insert(tagged.end(), {10, 1, 0, 2});
  const auto frames_before = relay_->frames();
  send_raw(1, frame_of(one_, 0x8100, tagged));
  EXPECT_EQ(dropped(DropReason::VLAN_FROM_POD), 1u);
  // Two tags: the inner one stays in the frame.
  std::vector<uint8_t> twice{0x00, 0x06, 0x81, 0x00};
  twice.insert(twice.end(), tagged.begin(), tagged.end());
  send_raw(1, frame_of(one_, 0x88a8, twice));
  EXPECT_EQ(dropped(DropReason::VLAN_FROM_POD), 2u);
  EXPECT_EQ(relay_->frames(), frames_before);
}

TEST_F(Traffic, TruncatedFramesAreRefusedByName) {
  const auto source4 = one_.addresses[0];
  const auto source6 = one_.addresses[1];
  std::vector<uint8_t> four{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0};
  four.insert(four.end(), source4.bytes.begin(), source4.bytes.begin() + 4);
  four.insert(four.end(), {10, 1, 0, 2});
  std::vector<uint8_t> six{0x60, 0, 0, 0, 0, 0, 17, 64};
  six.insert(six.end(), source6.bytes.begin(), source6.bytes.end());
  six.insert(six.end(), two_.addresses[1].bytes.begin(), two_.addresses[1].bytes.end());
  const auto frames_before = relay_->frames();
  const auto dropped4 = dropped(DropReason::MALFORMED_IPV4);
  const auto dropped6 = dropped(DropReason::MALFORMED_IPV6);
  for (size_t length = 0; length < four.size(); ++length) {
    send_raw(1, frame_of(one_, 0x0800, {four.begin(), four.begin() + static_cast<long>(length)}));
  }
  EXPECT_EQ(dropped(DropReason::MALFORMED_IPV4), dropped4 + four.size());
  for (size_t length = 0; length < six.size(); ++length) {
    send_raw(1, frame_of(one_, 0x86dd, {six.begin(), six.begin() + static_cast<long>(length)}));
  }
  EXPECT_EQ(dropped(DropReason::MALFORMED_IPV6), dropped6 + six.size());
  EXPECT_EQ(relay_->frames(), frames_before);
}

TEST_F(Traffic, AStaleForwarderGetsNothingAndAFreshOneAgainAll) {
  EXPECT_EQ(ping(1, ipv4(2), 1), 1u);
  relay_->set_beating(false);
  hooks_->beat(monotonic_ns() - 2'000'000'000);
  relay_->stop();
  hooks_->beat(monotonic_ns() - 2'000'000'000);
  EXPECT_EQ(ping_in_vain(1, ipv4(2), 2), 0u);
  EXPECT_GE(dropped(DropReason::FORWARDER_STALE), 2u);
  relay_->set_beating(true);
  relay_->start(*hooks_);
  EXPECT_EQ(ping(1, ipv4(2), 1), 1u);
}

TEST_F(Traffic, FramesToNobodyAreCountedAtTheTrunk) {
  const auto before = dropped(DropReason::UNKNOWN_ENDPOINT, "trunk_tc");
  const auto nobody = core::endpoint_mac(0x123456);
  std::vector<uint8_t> frame(nobody.bytes.begin(), nobody.bytes.end());
  frame.insert(frame.end(), core::kGatewayMac.bytes.begin(), core::kGatewayMac.bytes.end());
  frame.resize(60, 0);
  frame[12] = 0x08;
  relay_->inject(frame);
  EXPECT_EQ(dropped(DropReason::UNKNOWN_ENDPOINT, "trunk_tc"), before + 1);
  // A forgotten endpoint is nobody, and its pod's packets are refused at once.
  ASSERT_TRUE(hooks_->detach_endpoint(two_.id).ok());
  EXPECT_EQ(ping_in_vain(1, ipv4(2), 2), 0u);
  EXPECT_EQ(dropped(DropReason::UNKNOWN_ENDPOINT, "trunk_tc"), before + 3);
}

// A forwarder that restarts: the hooks' state is closed and opened again under a stream of pings, none is
// lost.
TEST_F(Traffic, AReopenedProcessTakesOverWithoutLoss) {
  constexpr unsigned kPings = 20000;
  unsigned answered = 0;
  std::thread stream([&] { answered = ping(1, ipv4(2), kPings); });
  uint64_t pod_packets = 0;
  for (int round = 0; round < 5; ++round) {
    auto next = open_hooks();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(next->attached_endpoints(), (std::vector<core::EndpointId>{one_.id, two_.id}));
    ASSERT_TRUE(next->set_trunk(if_nametoindex("fltrunk")).ok());
    EXPECT_TRUE(next->reconcile({{one_.id, one_}, {two_.id, two_}}).empty());
    relay_->stop();  // it beats through the old object
    std::swap(hooks_, next);
    next.reset();
    relay_->start(*hooks_);
    const auto now = counters_of(*hooks_, "pod_tc").in;
    EXPECT_GE(now, pod_packets) << "counters survive";
    pod_packets = now;
  }
  stream.join();
  EXPECT_EQ(answered, kPings);
}

}  // namespace
}  // namespace fairlead::test
