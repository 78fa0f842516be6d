#include "dataplane/dpdk/ethdev_port.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/device_offload.hpp"
#include "dataplane/dpdk/eal.hpp"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <sys/socket.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

using core::DropReason;

constexpr uint16_t kReceiveRing = 2048;
constexpr uint16_t kTransmitRing = 2048;
constexpr unsigned kSendAttempts =
    8;  // a full ring empties while the driver is kicked; then it is really full

std::string device_name(const std::string& devargs) {
  return devargs.substr(0, devargs.find(','));
}

// Sockets that opening something has added: how a driver's descriptors become known to us.
class NewSockets {
 public:
  NewSockets() : before_(all()) {}
  [[nodiscard]] int newest() const {
    int found = -1;
    for (int fd : all()) {
      if (std::find(before_.begin(), before_.end(), fd) == before_.end()) found = std::max(found, fd);
    }
    return found;
  }

 private:
  static std::vector<int> all() {
    std::vector<int> found = sockets_of_domain(AF_XDP);
    const std::vector<int> packet = sockets_of_domain(AF_PACKET);
    found.insert(found.end(), packet.begin(), packet.end());
    return found;
  }
  std::vector<int> before_;
};

// net_af_xdp of DPDK 22.11 counts its references wrongly on closing and keeps the socket, and with it the
// NIC's queue, until the process ends.
void close_forgotten_sockets(const std::vector<int>& descriptors) {
  const std::vector<int> open = sockets_of_domain(AF_XDP);
  for (int fd : descriptors) {
    if (std::find(open.begin(), open.end(), fd) != open.end()) close(fd);
  }
}

}  // namespace

EthdevPort::EthdevPort(PortSpec spec, const Opening& opening) : Port(std::move(spec)), opening_(opening) {}

EthdevPort::~EthdevPort() {
  if (ethdev_ == UINT16_MAX) return;
  if (is_started_) rte_eth_dev_stop(ethdev_);
  if (was_probed_) {
    rte_eth_dev_info info;
    const bool known = rte_eth_dev_info_get(ethdev_, &info) == 0;
    rte_eth_dev_close(ethdev_);
    if (known) rte_dev_remove(info.device);
    close_forgotten_sockets(poll_fds_);
  }
  // Once frames have been received, other ports' rings may still hold buffers of ours: the pool stays, to be
  // used again by the next port of this id.
  if (!is_started_) rte_mempool_free(pool_);
}

Error EthdevPort::refused(const char* doing, int error) const {
  const std::string said = first_dpdk_error();
  return {
      "FL2013",
      "port " + spec_.device + ": " + doing + ": " + (said.empty() ? rte_strerror(std::abs(error)) : said),
      "check the device string; fairlead explain FL2013 lists what drivers need"};
}

Result<void> EthdevPort::find_or_probe() {
  const std::string name = device_name(opening_.devargs);
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) == 0) return {};
  forget_dpdk_errors();
  const int error = rte_dev_probe(opening_.devargs.c_str());
  if (error != 0) {
    const std::string said = first_dpdk_error();
    return Error{
        "FL2010",
        "no DPDK driver opens \"" + opening_.devargs + "\": " + (said.empty() ? rte_strerror(-error) : said),
        "virtual devices are called net_memif0, net_pcap0, ...; PCI devices need vfio-pci and --pci"};
  }
  was_probed_ = true;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &ethdev_) != 0) {
    rte_dev_iterator iterator;
    uint16_t candidate;
    RTE_ETH_FOREACH_MATCHING_DEV(candidate, opening_.devargs.c_str(), &iterator) ethdev_ = candidate;
  }
  if (ethdev_ == UINT16_MAX) return refused("the driver made no Ethernet port", ENODEV);
  return {};
}

Result<void> EthdevPort::configure(unsigned workers) {
  rte_eth_dev_info info;
  if (int error = rte_eth_dev_info_get(ethdev_, &info); error != 0)
    return refused("ask for its capabilities", error);
  const unsigned pairs =
      std::clamp<unsigned>(opening_.queue_pairs, 1, std::max<unsigned>(1, info.max_rx_queues));
  // AF_XDP has queues in pairs only; elsewhere every worker gets its own transmit queue where there are
  // enough.
  const unsigned wanted_tx = opening_.private_pool ? pairs : std::max(pairs, workers);
  tx_queues_ =
      static_cast<uint16_t>(std::clamp<unsigned>(wanted_tx, 1, std::max<unsigned>(1, info.max_tx_queues)));
  shares_tx_ = tx_queues_ < workers;
  tx_locks_.resize(tx_queues_);
  for (rte_spinlock_t& lock : tx_locks_) rte_spinlock_init(&lock);
  poll_fds_.assign(pairs, -1);

  rte_eth_conf configuration;
  std::memset(&configuration, 0, sizeof configuration);
  configuration.txmode.offloads = info.tx_offload_capa & kUsableTxOffloads;
  configuration.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM;
  if (opening_.sets_mtu) configuration.rxmode.mtu = spec_.mtu;
  tx_offloads_ = configuration.txmode.offloads;
  const int error = rte_eth_dev_configure(ethdev_, static_cast<uint16_t>(pairs), tx_queues_, &configuration);
  if (error != 0) return refused("configure", error);
  if (driver_.empty()) driver_ = opening_.driver.empty() ? info.driver_name : opening_.driver;

  const uint16_t room = std::max(opening_.frame_room, kSmallFrameRoom);
  auto pool = create_pool("fl_port" + std::to_string(spec_.id) + "_" + std::to_string(ethdev_),
                          opening_.buffers * pairs, room,
                          opening_.private_pool ? PoolLayout::kPages : PoolLayout::kPacked);
  if (!pool) return pool.error();
  pool_ = *pool;
  return {};
}

Result<void> EthdevPort::set_up_queues() {
  uint16_t receive_ring = kReceiveRing, transmit_ring = kTransmitRing;
  if (int error = rte_eth_dev_adjust_nb_rx_tx_desc(ethdev_, &receive_ring, &transmit_ring); error != 0) {
    return refused("agree on ring sizes", error);
  }
  for (uint16_t queue = 0; queue < tx_queues_; ++queue) {
    const int error = rte_eth_tx_queue_setup(ethdev_, queue, transmit_ring, SOCKET_ID_ANY, nullptr);
    if (error != 0) return refused("set up a transmit queue", error);
  }
  const auto rx_queues = static_cast<uint16_t>(poll_fds_.size());
  for (uint16_t queue = 0; queue < rx_queues; ++queue) {
    const NewSockets sockets;
    const int error = rte_eth_rx_queue_setup(ethdev_, queue, receive_ring, SOCKET_ID_ANY, nullptr, pool_);
    if (error != 0) return refused("set up a receive queue", error);
    if (const int fd = sockets.newest(); fd >= 0) poll_fds_[queue] = fd;
  }
  if (int error = rte_eth_dev_start(ethdev_); error != 0) return refused("start", error);
  is_started_ = true;
  return {};
}

Result<std::unique_ptr<EthdevPort>> EthdevPort::open(const PortSpec& spec, const Opening& opening,
                                                     unsigned workers) {
  std::unique_ptr<EthdevPort> port(new EthdevPort(spec, opening));
  const NewSockets sockets;
  if (auto found = port->find_or_probe(); !found) return found.error();
  const int probed_socket = sockets.newest();  // net_af_packet opens its socket when probed
  forget_dpdk_errors();
  if (auto configured = port->configure(workers); !configured) return configured.error();
  if (probed_socket >= 0) std::fill(port->poll_fds_.begin(), port->poll_fds_.end(), probed_socket);
  if (auto ready = port->set_up_queues(); !ready) return ready.error();
  for (unsigned i = 0; i < workers; ++i) port->lanes_.push_back(std::make_unique<Lane>(port->pool_));

  rte_ether_addr address;
  if (rte_eth_macaddr_get(port->ethdev_, &address) == 0) {
    std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), port->mac_.bytes.begin());
  }
  if (!opening.kernel_device.empty()) {
    auto facts = read_link(opening.kernel_device);
    if (!facts) return facts.error();
    port->mac_ = facts->mac;
    port->spec_.mtu = facts->mtu;
    auto link = KernelLink::open(opening.kernel_device);
    if (!link) return link.error();
    port->kernel_link_ = std::move(*link);
  }
  port->spec_.queues = static_cast<uint16_t>(port->queues());
  return port;
}

bool EthdevPort::link_up() const {
  if (!opening_.kernel_device.empty()) return kernel_link_.is_up();
  rte_eth_link link;
  return rte_eth_link_get_nowait(ethdev_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

uint64_t EthdevPort::missed() const {
  rte_eth_stats statistics;
  const uint64_t malformed = malformed_.load(std::memory_order_relaxed);
  if (rte_eth_stats_get(ethdev_, &statistics) != 0) return malformed;
  return malformed + statistics.imissed + statistics.ierrors + statistics.rx_nombuf;
}

unsigned EthdevPort::receive(unsigned queue, std::span<core::Packet> room) {
  rte_mbuf* mbufs[core::kBurst];
  const auto wanted = static_cast<uint16_t>(std::min<size_t>(room.size(), core::kBurst));
  const uint16_t got = rte_eth_rx_burst(ethdev_, static_cast<uint16_t>(queue), mbufs, wanted);
  unsigned count = 0;
  for (uint16_t i = 0; i < got; ++i) {
    rte_mbuf* mbuf = mbufs[i];
    if (unlikely(mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf) != 0)) {
      rte_pktmbuf_free(mbuf);
      malformed_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    core::Packet& packet = room[count++];
    packet = core::Packet{};
    view_mbuf(packet, mbuf);
    packet.rx_port = spec_.id;
    packet.offload.checksum_verified =
        (mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    mbuf->ol_flags = 0;  // what it says is about the frame that came, not about the one that leaves
  }
  return count;
}

rte_mbuf* EthdevPort::whole_frame(const core::Packet& packet, bool& is_own) const {
  rte_mbuf* mbuf = mbuf_of(packet);
  // Super-buffers are few: a small frame in one must not sit in a device's ring.
  const bool copies = opening_.private_pool ? mbuf->pool != pool_
                                            : mbuf->buf_len == kBigBufferBytes &&
                                                  packet.length <= kSmallFrameRoom - RTE_PKTMBUF_HEADROOM;
  is_own = !copies;
  return copies ? copy_to_pool(packet, pool_) : sync_mbuf(packet);
}

void EthdevPort::push(unsigned lane_index, rte_mbuf* frame, uint16_t owner, bool is_own,
                      std::span<DropReason> outcome) {
  Lane& lane = *lanes_[lane_index];
  lane.frames[lane.count] = frame;
  lane.owner[lane.count] = owner;
  lane.is_packets_own[lane.count] = is_own;
  if (++lane.count == kFrames) flush(lane_index, outcome);
}

void EthdevPort::flush(unsigned lane_index, std::span<DropReason> outcome) {
  Lane& lane = *lanes_[lane_index];
  if (lane.count == 0) return;
  const auto queue = static_cast<uint16_t>(lane_index % tx_queues_);
  if (shares_tx_) rte_spinlock_lock(&tx_locks_[queue]);
  unsigned sent = 0;
  for (unsigned attempt = 0; attempt < kSendAttempts && sent < lane.count; ++attempt) {
    sent += rte_eth_tx_burst(ethdev_, queue, lane.frames + sent, static_cast<uint16_t>(lane.count - sent));
  }
  if (shares_tx_) rte_spinlock_unlock(&tx_locks_[queue]);
  for (unsigned i = sent; i < lane.count; ++i) {
    outcome[lane.owner[i]] = DropReason::TX_FULL;
    if (!lane.is_packets_own[i]) rte_pktmbuf_free(lane.frames[i]);
  }
  lane.count = 0;
}

// Queues what the packet becomes. `keeps_buffer`: its frames are copies, its own buffer is still to be freed.
DropReason EthdevPort::send(unsigned lane_index, core::Packet& packet, uint16_t index, bool& keeps_buffer,
                            std::span<DropReason> outcome) {
  keeps_buffer = true;
  const bool is_ready = !packet.offload.checksum_partial && !SoftwareOffload::must_cut(packet);
  if (!is_ready) [[unlikely]] {
    if (device_can_finish(packet, tx_offloads_) && !opening_.private_pool) {
      rte_mbuf* mbuf = sync_mbuf(packet);
      leave_to_device(packet, mbuf);
      if (rte_eth_tx_prepare(ethdev_, static_cast<uint16_t>(lane_index % tx_queues_), &mbuf, 1) != 1) {
        return DropReason::MALFORMED_L4;
      }
      keeps_buffer = false;
      push(lane_index, mbuf, index, true, outcome);
      return DropReason::NONE;
    }
    if (SoftwareOffload::must_cut(packet)) {
      return lanes_[lane_index]->software.cut(packet, [&](rte_mbuf* frame) {
        push(lane_index, frame, index, false, outcome);
        return outcome[index] == DropReason::NONE;
      });
    }
    if (!core::finish_checksum(packet)) return DropReason::MALFORMED_L4;
  }
  bool is_own;
  rte_mbuf* frame = whole_frame(packet, is_own);
  if (frame == nullptr) return DropReason::NO_BUFFER;
  keeps_buffer = !is_own;
  push(lane_index, frame, index, is_own, outcome);
  return DropReason::NONE;
}

// Sends the burst as it stands, when no packet has anything left to do and each is in a buffer of this port's
// kind: the usual case. False: nothing has been sent.
bool EthdevPort::transmit_ready(unsigned lane_index, std::span<core::Packet* const> packets,
                                std::span<DropReason> outcome) {
  if (opening_.private_pool || shares_tx_) return false;
  rte_mbuf* frames[core::kBurst];
  for (size_t i = 0; i < packets.size(); ++i) {
    const core::Packet& packet = *packets[i];
    const rte_mbuf* mbuf = mbuf_of(packet);
    if (packet.offload.checksum_partial || SoftwareOffload::must_cut(packet) ||
        mbuf->buf_len == kBigBufferBytes) {
      return false;
    }
    frames[i] = sync_mbuf(packet);
  }
  const auto queue = static_cast<uint16_t>(lane_index % tx_queues_);
  const auto count = static_cast<unsigned>(packets.size());
  unsigned sent = rte_eth_tx_burst(ethdev_, queue, frames, static_cast<uint16_t>(count));
  for (unsigned attempt = 1; attempt < kSendAttempts && sent < count; ++attempt) {
    sent += rte_eth_tx_burst(ethdev_, queue, frames + sent, static_cast<uint16_t>(count - sent));
  }
  std::fill_n(outcome.begin(), sent, DropReason::NONE);
  std::fill(outcome.begin() + sent, outcome.begin() + count, DropReason::TX_FULL);
  return true;
}

void EthdevPort::transmit(unsigned lane_index, std::span<core::Packet* const> packets,
                          std::span<DropReason> outcome) {
  if (transmit_ready(lane_index, packets, outcome)) return;
  uint64_t copied = 0;  // bit i: packets[i] still has its buffer
  static_assert(core::kBurst <= 64);
  const auto count = static_cast<uint16_t>(packets.size());  // at most core::kBurst
  for (uint16_t i = 0; i < count; ++i) {
    outcome[i] = DropReason::NONE;
    bool keeps_buffer;
    const DropReason reason = send(lane_index, *packets[i], i, keeps_buffer, outcome);
    if (outcome[i] == DropReason::NONE) outcome[i] = reason;
    if (keeps_buffer) copied |= uint64_t{1} << i;
  }
  flush(lane_index, outcome);
  for (uint16_t i = 0; i < count; ++i) {
    if ((copied >> i & 1) != 0 && outcome[i] == DropReason::NONE) free_packet(*packets[i]);
  }
}

}  // namespace fairlead::dpdk
