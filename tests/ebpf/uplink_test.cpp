#include "tests/ebpf/pod_lab.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <linux/if_link.h>
#include <sys/mman.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

namespace fairlead::test {
namespace {

constexpr const char* kObject = "/tmp/fl-bpf-uplink_xdp.bpf.o";

// A node's uplink and the fabric behind it:
//
//   node: up0 (192.0.2.1/24) -- fl-bpf-fabric: f0 (192.0.2.2/24, routes 10.1.0.0/24 via 192.0.2.1)
class Uplink : public PodLab {
 protected:
  void SetUp() override {
    PodLab::SetUp();
    if (IsSkipped()) return;
    NetworkLab::add_namespace("fl-bpf-fabric");
    for (const char* command :
         {"ip link add up0 type veth peer name f0 netns fl-bpf-fabric", "ip link set up0 up",
          "ip addr add 192.0.2.1/24 dev up0", "ip -n fl-bpf-fabric link set f0 up",
          "ip -n fl-bpf-fabric addr add 192.0.2.2/24 dev f0",
          "ip -n fl-bpf-fabric route add 10.1.0.0/24 via 192.0.2.1"}) {
      NetworkLab::sh(command);
    }
    ifindex_ = if_nametoindex("up0");
    hooks_ = open_hooks();
    ASSERT_NE(hooks_, nullptr);
    auto written = ebpf::Hooks::write_uplink_program(kObject);
    ASSERT_TRUE(written.ok()) << written.error().text();
  }
  void TearDown() override {
    PodLab::TearDown();
    unlink(kObject);
    if (object_ != nullptr) bpf_object__close(object_);
  }

  // As DPDK's AF_XDP driver does with xdp_prog=: open, load, attach the first program.
  void attach_as_the_driver() {
    object_ = bpf_object__open_file(kObject, nullptr);
    ASSERT_NE(object_, nullptr);
    ASSERT_EQ(bpf_object__load(object_), 0);
    const bpf_program* program = bpf_object__next_program(object_, nullptr);
    EXPECT_NE(bpf_object__find_map_by_name(object_, "xsks_map"), nullptr);
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(ifindex_), bpf_program__fd(program),
                             XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr),
              0);
  }

  Result<void> set_filter() {
    ebpf::UplinkFilter filter;
    filter.vteps = {core::IpAddress::parse("192.0.2.1").value(),
                    core::IpAddress::parse("2001:db8::1").value()};
    filter.local_pods = {core::Prefix::parse("10.1.0.0/24").value(),
                         core::Prefix::parse("fd01::/64").value()};
    return hooks_->set_uplink_filter(ifindex_, filter);
  }

  // Entries of a map of the attached program.
  size_t entries(const char* name, size_t key_bytes) {
    const int map = bpf_map__fd(bpf_object__find_map_by_name(object_, name));
    std::vector<uint8_t> key(key_bytes);
    size_t count = 0;
    for (void* previous = nullptr; bpf_map_get_next_key(map, previous, key.data()) == 0;
         previous = key.data())
      ++count;
    return count;
  }

  uint32_t ifindex_ = 0;
  bpf_object* object_ = nullptr;
};

TEST_F(Uplink, WithoutAProgramThereIsAnError) {
  auto refused = set_filter();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3109");
  EXPECT_NE(refused.error().what.find("up0"), std::string::npos);
  EXPECT_TRUE(hooks_->release_uplink(ifindex_).ok());
}

TEST_F(Uplink, TheDriversProgramIsFoundAndFilled) {
  attach_as_the_driver();
  auto done = set_filter();
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(entries("uplink_ipv4", 8), 2u);
  EXPECT_EQ(entries("uplink_ipv6", 20), 2u);

  // The node stays reachable, and without a socket the kernel gets the pods' packets too.
  NetworkLab::in("fl-bpf-fabric", [] { EXPECT_EQ(ping_here("192.0.2.1", 2, "", true), 2u); });
  const auto reading = counters_of(*hooks_, "uplink_xdp");
  EXPECT_GE(reading.passed, 2u);
  EXPECT_EQ(reading.out, 0u);
  EXPECT_EQ(reading.in, reading.passed);
}

// An AF_XDP socket of queue 0, as the driver opens one.
class XdpSocket {
 public:
  static constexpr uint32_t kFrames = 64;
  static constexpr uint32_t kFrameBytes = 4096;

  XdpSocket(const char* interface, int sockets_map) {
    memory_ =
        mmap(nullptr, kFrames * kFrameBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_EQ(xsk_umem__create(&umem_, memory_, kFrames * kFrameBytes, &fill_, &completion_, nullptr), 0);
    xsk_socket_config config{};
    config.rx_size = config.tx_size = kFrames;
    config.libbpf_flags = XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD;
    config.bind_flags = XDP_COPY;
    EXPECT_EQ(xsk_socket__create(&socket_, interface, 0, umem_, &rx_, &tx_, &config), 0);
    uint32_t at = 0;
    EXPECT_EQ(xsk_ring_prod__reserve(&fill_, kFrames, &at), kFrames);
    for (uint32_t i = 0; i < kFrames; ++i) *xsk_ring_prod__fill_addr(&fill_, at + i) = i * kFrameBytes;
    xsk_ring_prod__submit(&fill_, kFrames);
    const uint32_t queue = 0;
    const int fd = xsk_socket__fd(socket_);
    EXPECT_EQ(bpf_map_update_elem(sockets_map, &queue, &fd, BPF_ANY), 0);
  }
  ~XdpSocket() {
    xsk_socket__delete(socket_);
    xsk_umem__delete(umem_);
    munmap(memory_, kFrames * kFrameBytes);
  }

  // The next frame; empty when none comes.
  std::vector<uint8_t> receive() {
    pollfd ready{xsk_socket__fd(socket_), POLLIN, 0};
    uint32_t at = 0;
    if (poll(&ready, 1, 5000) != 1 || xsk_ring_cons__peek(&rx_, 1, &at) != 1) return {};
    const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&rx_, at);
    const auto* bytes = static_cast<const uint8_t*>(xsk_umem__get_data(memory_, descriptor->addr));
    std::vector<uint8_t> frame(bytes, bytes + descriptor->len);
    xsk_ring_cons__release(&rx_, 1);
    return frame;
  }

 private:
  void* memory_ = nullptr;
  xsk_umem* umem_ = nullptr;
  xsk_socket* socket_ = nullptr;
  xsk_ring_prod fill_{}, tx_{};
  xsk_ring_cons completion_{}, rx_{};
};

TEST_F(Uplink, TheSocketGetsOursAndTheKernelTheRest) {
  attach_as_the_driver();
  ASSERT_TRUE(set_filter().ok());
  XdpSocket socket("up0", bpf_map__fd(bpf_object__find_map_by_name(object_, "xsks_map")));
  const auto send_from_fabric = [](const char* address, uint16_t port) {
    NetworkLab::in("fl-bpf-fabric", [&] {
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      inet_pton(AF_INET, address, &to.sin_addr);
      EXPECT_EQ(sendto(fd, "fairlead", 8, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 8)
          << strerror(errno);
      close(fd);
    });
  };
  const auto destination_of = [](const std::vector<uint8_t>& frame) {
    return frame.size() < 34 ? std::string("nothing")
                             : std::to_string(frame[30]) + "." + std::to_string(frame[31]) + "." +
                                   std::to_string(frame[32]) + "." + std::to_string(frame[33]);
  };
  send_from_fabric("10.1.0.5", 9);
  EXPECT_EQ(destination_of(socket.receive()), "10.1.0.5");
  NetworkLab::in("fl-bpf-fabric", [] { EXPECT_EQ(ping_here("192.0.2.1", 3, "", true), 3u); });
  send_from_fabric("192.0.2.1", 4790);
  send_from_fabric("192.0.2.1", 4789);
  const auto tunnel = socket.receive();
  EXPECT_EQ(destination_of(tunnel), "192.0.2.1");
  ASSERT_GE(tunnel.size(), 38u);
  EXPECT_EQ(tunnel[36] << 8 | tunnel[37], 4789);
  const auto reading = counters_of(*hooks_, "uplink_xdp");
  EXPECT_EQ(reading.out, 2u);
  EXPECT_GE(reading.passed, 4u);
  EXPECT_EQ(reading.in, reading.out + reading.passed);
}

TEST_F(Uplink, ANewFilterReplacesTheOld) {
  attach_as_the_driver();
  ASSERT_TRUE(set_filter().ok());
  ebpf::UplinkFilter filter;
  filter.vteps = {core::IpAddress::parse("192.0.2.9").value()};
  filter.tunnel_port = 6081;
  ASSERT_TRUE(hooks_->set_uplink_filter(ifindex_, filter).ok());
  EXPECT_EQ(entries("uplink_ipv4", 8), 1u);
  EXPECT_EQ(entries("uplink_ipv6", 20), 0u);
  filter.local_pods = {core::Prefix::parse("0.0.0.0/0").value()};
  auto refused = hooks_->set_uplink_filter(ifindex_, filter);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3107");
  EXPECT_EQ(entries("uplink_ipv4", 8), 1u) << "a refused filter changes nothing";
}

TEST_F(Uplink, WhatServicesNeedIsOneEntryPerAddress) {
  attach_as_the_driver();
  ebpf::UplinkFilter filter;
  const auto node = core::IpAddress::parse("192.0.2.1").value();
  filter.vteps = filter.node_port_addresses = filter.snat_addresses = {node};
  filter.snat_port_first = 61000, filter.snat_port_last = 65535;
  filter.services.addresses = {core::IpAddress::parse("203.0.113.7").value(),
                               core::IpAddress::parse("2001:db8:f::7").value()};
  filter.services.node_ports = {{false, 6, 30080}, {true, 6, 30080}, {false, 17, 30053}};
  ASSERT_TRUE(hooks_->set_uplink_filter(ifindex_, filter).ok());
  EXPECT_EQ(entries("uplink_ipv4", 8), 2u);
  EXPECT_EQ(entries("uplink_ipv6", 20), 1u);
  EXPECT_EQ(entries("uplink_ports", 4), 3u);
  filter.services = {};
  ASSERT_TRUE(hooks_->set_uplink_filter(ifindex_, filter).ok());
  EXPECT_EQ(entries("uplink_ipv4", 8), 1u);
  EXPECT_EQ(entries("uplink_ports", 4), 0u);
}

TEST_F(Uplink, SomebodyElsesProgramIsRefusedAndLeft) {
  const bpf_insn pass[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS},
                           {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "xsk_def_prog", "GPL", pass, 2, nullptr);
  ASSERT_GE(program, 0);
  ASSERT_EQ(bpf_xdp_attach(static_cast<int>(ifindex_), program, 0, nullptr), 0);
  auto refused = set_filter();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3109");
  EXPECT_NE(refused.error().what.find("xsk_def_prog"), std::string::npos) << refused.error().what;
  EXPECT_FALSE(hooks_->release_uplink(ifindex_).ok());
  __u32 id = 0;
  ASSERT_EQ(bpf_xdp_query_id(static_cast<int>(ifindex_), 0, &id), 0);
  EXPECT_NE(id, 0u);
  close(program);
}

// A killed forwarder leaves its program attached; the driver of the next would find the place taken.
TEST_F(Uplink, ALeftoverIsReleased) {
  attach_as_the_driver();
  bpf_object__close(object_);
  object_ = nullptr;
  auto done = hooks_->release_uplink(ifindex_);
  ASSERT_TRUE(done.ok()) << done.error().text();
  attach_as_the_driver();
  EXPECT_TRUE(set_filter().ok());
  NetworkLab::sh("ip link set dev up0 xdp off");
}

TEST_F(Uplink, BehindTheDispatcherItIsFoundToo) {
  xdp_program* program = xdp_program__open_file(kObject, "xdp", nullptr);
  ASSERT_EQ(libxdp_get_error(program), 0);
  const int error = xdp_program__attach(program, static_cast<int>(ifindex_), XDP_MODE_NATIVE, 0);
  ASSERT_EQ(error, 0) << strerror(-error);
  __u32 id = 0;
  ASSERT_EQ(bpf_xdp_query_id(static_cast<int>(ifindex_), 0, &id), 0);
  if (id == xdp_program__id(program)) {
    xdp_program__detach(program, static_cast<int>(ifindex_), XDP_MODE_NATIVE, 0);
    xdp_program__close(program);
    GTEST_SKIP() << "libxdp's dispatcher does not load on this kernel; it attached the program alone";
  }
  auto done = set_filter();
  EXPECT_TRUE(done.ok()) << done.error().text();
  EXPECT_FALSE(hooks_->release_uplink(ifindex_).ok()) << "others may be behind the dispatcher";
  xdp_program__detach(program, static_cast<int>(ifindex_), XDP_MODE_NATIVE, 0);
  xdp_program__close(program);
}

}  // namespace
}  // namespace fairlead::test
