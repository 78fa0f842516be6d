#include "dataplane/dpdk/af_xdp.hpp"

#include "dataplane/base/netlink.hpp"
#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/kernel_link.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>
#include <linux/magic.h>
#include <linux/sock_diag.h>
#include <linux/xdp_diag.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vector>

namespace fairlead::dpdk {
namespace {

constexpr const char* kBpffs = "/sys/fs/bpf";
constexpr uint16_t kXdpHeadroom = 256;  // the kernel keeps it in front of every received frame
constexpr uint16_t kFrameSlack = 14 + 8 + 4;
// A buffer, its mbuf and headroom must fit into one page of the shared memory.
constexpr uint16_t kFrameRoomMax = 4096 - RTE_PKTMBUF_HEADROOM - 256;
// The driver fills 2,048 for the kernel and keeps as many in its receive and transmit rings.
constexpr unsigned kBuffersPerQueue = 6144 + 1023;
constexpr unsigned kQueuesMax = 16;
constexpr unsigned kAttempts = 5;
constexpr unsigned kAttemptGapUs = 50'000;

// The name the kernel will know our program by: the first one of the object, cut to 15 characters.
Result<std::string> program_name(const std::string& path) {
  if (path.empty()) {
    return Error{"FL2042", "no XDP program was given", "start the dataplane with --xdp-object <path>"};
  }
  libbpf_print_fn_t previous = libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
  libbpf_set_print(previous);
  if (object == nullptr) {
    return Error{"FL2042", path + " is not a BPF object: " + std::strerror(errno),
                 "is Fairlead installed whole?"};
  }
  const bpf_program* program = bpf_object__next_program(object, nullptr);
  std::string name = program == nullptr ? "" : bpf_program__name(program);
  bpf_object__close(object);
  if (name.empty()) return Error{"FL2042", path + " holds no program", "is Fairlead installed whole?"};
  return name.substr(0, BPF_OBJ_NAME_LEN - 1);
}

struct AttachedProgram {
  uint32_t id = 0;  // 0: none
  std::string name;
  uint32_t attach_mode = 0;
};

AttachedProgram attached_program(unsigned ifindex) {
  AttachedProgram attached;
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return attached;
  attached.id = query.prog_id != 0       ? query.prog_id
                : query.drv_prog_id != 0 ? query.drv_prog_id
                                         : query.skb_prog_id;
  attached.attach_mode = query.attach_mode;
  if (attached.id == 0) return attached;
  const int fd = bpf_prog_get_fd_by_id(attached.id);
  if (fd < 0) return attached;
  bpf_prog_info info;
  std::memset(&info, 0, sizeof info);
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) attached.name = info.name;
  close(fd);
  return attached;
}

// Does a live process receive from the NIC by AF_XDP? A kernel without socket diagnosis says no; then the
// driver's bind does.
bool has_sockets(unsigned ifindex) {
  auto socket = NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!socket) return false;
  NetlinkRequest request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  auto& ask = request.header<xdp_diag_req>();
  ask.sdiag_family = AF_XDP;
  ask.xdiag_show = XDP_SHOW_INFO;
  bool found = false;
  const auto dumped = socket->dump(request, [&](const nlmsghdr& message) {
    const nlattr* table[XDP_DIAG_MAX + 1] = {};
    collect_attributes(message, sizeof(xdp_diag_msg), table);
    found = found || attribute_value<xdp_diag_info>(table[XDP_DIAG_INFO]).ifindex == ifindex;
  });
  return dumped.ok() && found;
}

Result<void> check_bpffs() {
  struct statfs mounted;
  if (statfs(kBpffs, &mounted) == 0 && static_cast<uint64_t>(mounted.f_type) == BPF_FS_MAGIC) return {};
  return Error{"FL2041",
               std::string("no bpf file system is mounted at ") + kBpffs + ": AF_XDP would take every packet",
               std::string("mount -t bpf bpf ") + kBpffs + " (inside `ip netns exec`, mount it again)"};
}

// A dataplane that was killed leaves its program behind, harmless without a socket. Anybody else's stays
// untouched.
Result<void> clear_the_way(const std::string& device, unsigned ifindex, const std::string& our_name) {
  const AttachedProgram attached = attached_program(ifindex);
  if (attached.id == 0) return {};
  if (attached.name != our_name) {
    return Error{"FL2043",
                 "another XDP program (\"" + attached.name + "\", id " + std::to_string(attached.id) +
                     ") is attached to " + device,
                 "stop what uses it, or detach it: ip link set dev " + device + " xdp off"};
  }
  if (has_sockets(ifindex)) {
    return Error{"FL2043", "another dataplane receives from " + device,
                 "stop it first, or use another uplink"};
  }
  if (const int error = bpf_xdp_detach(static_cast<int>(ifindex), 0, nullptr); error != 0) {
    return Error{"FL2043",
                 "our former XDP program cannot be detached from " + device + ": " + std::strerror(-error),
                 "ip link set dev " + device + " xdp off"};
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<EthdevPort>> open_af_xdp(const PortSpec& spec, const std::string& xdp_object,
                                                unsigned workers) {
  auto facts = read_link(spec.device);
  if (!facts) return facts.error();
  if (auto mounted = check_bpffs(); !mounted) return mounted.error();
  auto name = program_name(xdp_object);
  if (!name) return name.error();
  const uint16_t frame_room = std::max<uint16_t>(
      kSmallFrameRoom,
      static_cast<uint16_t>(std::min<unsigned>(UINT16_MAX, kXdpHeadroom + facts->mtu + kFrameSlack)));
  if (frame_room > kFrameRoomMax) {
    return Error{"FL2044",
                 "the MTU of " + spec.device + " is " + std::to_string(facts->mtu) +
                     "; AF_XDP takes at most " + std::to_string(kFrameRoomMax - kXdpHeadroom - kFrameSlack),
                 "lower the MTU, or use the af_packet driver or an exclusive uplink"};
  }
  if (auto clear = clear_the_way(spec.device, facts->ifindex, *name); !clear) return clear.error();

  const unsigned queues = std::min(receive_channels(spec.device), kQueuesMax);
  EthdevPort::Opening opening;
  opening.devargs = "net_af_xdp_" + std::to_string(spec.id) + ",iface=" + spec.device +
                    ",start_queue=0,queue_count=" + std::to_string(queues) +
                    ",busy_budget=0,xdp_prog=" + xdp_object;
  opening.driver = "af_xdp";
  opening.kernel_device = spec.device;
  opening.queue_pairs = queues;  // every queue of the NIC: what has no socket here would be the kernel's
  opening.frame_room = frame_room;
  opening.private_pool = true;
  opening.buffers = kBuffersPerQueue;
  auto port = EthdevPort::open(spec, opening, workers);
  // The kernel lets go of a closed socket's queue a moment later, in a work item of its own.
  for (unsigned attempt = 1; !port.ok() && port.error().code == "FL2013" && attempt < kAttempts; ++attempt) {
    if (attached_program(facts->ifindex).id != 0)
      bpf_xdp_detach(static_cast<int>(facts->ifindex), 0, nullptr);
    usleep(kAttemptGapUs);
    port = EthdevPort::open(spec, opening, workers);
  }

  const AttachedProgram attached = attached_program(facts->ifindex);
  if (port.ok() && attached.name == *name) return port;
  Error error =
      port.ok()
          ? Error{"FL2045",
                  "the driver attached \"" + attached.name + "\" to " + spec.device +
                      " instead of our program \"" + *name + "\"; it was taken off again",
                  "check that " + xdp_object + " loads: bpftool prog load " + xdp_object + " /sys/fs/bpf/try"}
          : port.error();
  if (port.ok()) port = Error{error};  // closes the port, which detaches what it knows of
  if (attached_program(facts->ifindex).id != 0) bpf_xdp_detach(static_cast<int>(facts->ifindex), 0, nullptr);
  return error;
}

}  // namespace fairlead::dpdk
