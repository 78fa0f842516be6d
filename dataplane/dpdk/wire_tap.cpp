#include "dataplane/dpdk/wire_tap.hpp"

#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/tap_device.hpp"
#include "dataplane/dpdk/vnet_header.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>
#include <iterator>
#include <linux/bpf.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

constexpr const char* kNamePattern = "flwire%d";

Error refused(const std::string& device, const char* doing, int error) {
  return {"FL2046", "the way for super-packets, " + device + ": " + doing + ": " + std::strerror(error),
          "the forwarder works without it; TCP between nodes is slower"};
}

// return bpf_redirect(ifindex, 0), in the kernel's instructions; there is nothing to configure.
int load_redirect(unsigned ifindex) {
  const bpf_insn code[] = {
      {BPF_ALU | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, static_cast<__s32>(ifindex)},
      {BPF_ALU | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "flwire", "Dual BSD/GPL", code, std::size(code), nullptr);
}

}  // namespace

Result<void> WireTap::create() {
  TapOffloads offloads;
  auto opened = open_tap_queue(kNamePattern, false, TapHeader::kTunnel, offloads);
  if (!opened) return opened.error();
  queues_.push_back({opened->fd, nullptr});
  device_ = opened->device;
  header_bytes_ = offloads.header_bytes;
  cuts_tunnels_ = offloads.tunnels;
  return {};
}

Result<void> WireTap::redirect_to(unsigned uplink_ifindex) {
  auto facts = read_link(device_);
  if (!facts) return facts.error();
  libbpf_print_fn_t previous = libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(facts->ifindex), .attach_point = BPF_TC_INGRESS);
  int error = bpf_tc_hook_create(&hook);
  const char* doing = "add the clsact qdisc";
  if (error == 0) {
    doing = "load the redirecting program";
    const int program = load_redirect(uplink_ifindex);
    error = program < 0 ? program : 0;
    if (program >= 0) {
      doing = "attach the redirecting program";
      LIBBPF_OPTS(bpf_tc_opts, place, .prog_fd = program, .handle = 1, .priority = 1);
      error = bpf_tc_attach(&hook, &place);
      close(program);
    }
  }
  libbpf_set_print(previous);
  if (error != 0) return refused(device_, doing, -error);
  return {};
}

Result<std::unique_ptr<WireTap>> WireTap::open(const PortSpec& uplink, rte_mempool* big_pool,
                                               rte_mempool* small_pool, unsigned workers) {
  auto facts = read_link(uplink.device);
  if (!facts) return facts.error();
  std::unique_ptr<WireTap> port(new WireTap(uplink, big_pool, small_pool, workers));
  if (auto created = port->create(); !created) return created.error();
  // Redirect first: what is up without it would be the kernel's to receive.
  if (auto redirected = port->redirect_to(facts->ifindex); !redirected) return redirected.error();
  LinkWishes wishes;
  wishes.mtu = facts->mtu;
  wishes.no_ipv6 = true;
  wishes.no_link_local = true;
  wishes.no_arp = true;
  wishes.up = true;
  if (auto configured = configure_link(port->device_, wishes); !configured) return configured.error();
  return port;
}

}  // namespace fairlead::dpdk
