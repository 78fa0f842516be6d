#include "dataplane/dpdk/vnet_port.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/vnet_header.hpp"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

using core::DropReason;

DropReason reason_of_errno(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return DropReason::TX_FULL;
    case EMSGSIZE:
      return DropReason::TOO_BIG;
    case EINVAL:
      return DropReason::MALFORMED_L4;  // the kernel found lengths or offsets it will not take
    default:
      return DropReason::NO_UPLINK;  // EIO: down; EBADFD, ENXIO, ENODEV: gone
  }
}

// The header of a frame with nothing left to do.
constexpr TunnelVnetHeader kFinished{};

DropReason write_pieces(int fd, const iovec* iov, unsigned count) {
  for (;;) {
    if (writev(fd, iov, static_cast<int>(count)) >= 0) return DropReason::NONE;
    if (errno != EINTR) return reason_of_errno(errno);
  }
}

}  // namespace

VnetPort::VnetPort(PortSpec spec, rte_mempool* big_pool, rte_mempool* small_pool, unsigned lanes)
    : Port(std::move(spec)), big_pool_(big_pool) {
  for (unsigned i = 0; i < lanes; ++i) lanes_.push_back(std::make_unique<Lane>(small_pool));
}

VnetPort::~VnetPort() {
  for (Queue& queue : queues_) {
    if (queue.fd >= 0) close(queue.fd);
    rte_pktmbuf_free(queue.spare);
  }
}

// Reads one frame into the queue's spare buffer: the virtio header goes where headroom ends, the frame begins
// where a frame always begins. nullptr: nothing there (again == false), or something that is no frame (again
// == true).
rte_mbuf* VnetPort::fill_buffer(Queue& queue, core::Offload& offload, bool& again) {
  again = false;
  if (queue.spare == nullptr) queue.spare = rte_pktmbuf_alloc(big_pool_);
  if (queue.spare == nullptr) return nullptr;  // frames wait in the kernel; they are not lost yet
  rte_mbuf* mbuf = queue.spare;
  uint8_t* frame = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const ssize_t got = read(queue.fd, frame - header_bytes_, header_bytes_ + rte_pktmbuf_tailroom(mbuf));
  if (got < static_cast<ssize_t>(header_bytes_)) {
    again = got < 0 && errno == EINTR;
    return nullptr;
  }
  const auto length = static_cast<uint32_t>(got - header_bytes_);
  VnetHeader header;
  std::memcpy(&header, frame - header_bytes_, sizeof header);
  if (!offload_from_vnet(header, length, offload)) {
    missed_.store(missed_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    again = true;
    return nullptr;
  }
  mbuf->data_len = static_cast<uint16_t>(length);
  mbuf->pkt_len = length;
  queue.spare = nullptr;
  return mbuf;
}

unsigned VnetPort::receive(unsigned queue_index, std::span<core::Packet> room) {
  Queue& queue = queues_[queue_index];
  unsigned count = 0;
  uint32_t bytes = 0;
  while (count < room.size() && bytes < kBurstBytes) {
    core::Offload offload;
    bool again;
    rte_mbuf* mbuf = fill_buffer(queue, offload, again);
    if (mbuf == nullptr) {
      if (again) continue;
      break;
    }
    core::Packet& packet = room[count++];
    packet = core::Packet{};
    view_mbuf(packet, mbuf);
    packet.offload = offload;
    packet.rx_port = spec_.id;
    bytes += packet.length;
  }
  return count;
}

// Writes what the train carries and frees its buffers, or says for every car why not.
void VnetPort::depart(TcpTrain& train, int fd, std::span<DropReason> outcome) {
  if (train.empty()) return;
  TunnelVnetHeader header{};
  std::array<iovec, TcpTrain::kSegmentsMax + 1> iov;
  const unsigned pieces = train.close(header.plain, iov);
  iov[0] = {&header, header_bytes_};
  const DropReason result = write_pieces(fd, iov.data(), pieces);
  for (unsigned i = 0; i < train.size(); ++i) {
    const TcpTrain::Car& car = train.car(i);
    outcome[car.index] = result;
    if (result == DropReason::NONE) free_packet(*car.packet);
  }
  train.clear();
}

void VnetPort::send_alone(int fd, core::Packet& packet, DropReason& outcome) {
  TunnelVnetHeader header{};
  if (packet.encap_length == 0 || packet.offload.segment_size == 0) {
    header.plain = vnet_from_offload(packet);
  } else if (!tunnel_vnet_from_offload(packet, header)) {
    outcome = DropReason::MALFORMED_L4;
    return;
  }
  const iovec iov[2] = {{&header, header_bytes_}, {packet.data, packet.length}};
  outcome = write_pieces(fd, iov, 2);
  if (outcome == DropReason::NONE) free_packet(packet);
}

// What a virtio header cannot say: IPv4 fragments, and what is left to do inside a tunnel unless it is TCP to
// be cut by a kernel that can.
bool VnetPort::send_cut(Lane& lane, int fd, core::Packet& packet, DropReason& outcome) {
  const bool in_tunnel = packet.encap_length != 0;
  const bool is_super = packet.offload.segment_size != 0;
  const bool kernel_cuts = cuts_tunnels_ && packet.offload.segment_kind != core::kSegmentUdp;
  if (!SoftwareOffload::must_fragment(packet) && !(in_tunnel && is_super && !kernel_cuts)) {
    if (!in_tunnel || is_super || !packet.offload.checksum_partial) return false;
    if (core::finish_checksum(packet)) return false;
    outcome = DropReason::MALFORMED_L4;
    return true;
  }
  DropReason written = DropReason::NONE;
  const DropReason cut = lane.software.cut(packet, [&](rte_mbuf* frame) {
    const iovec iov[2] = {{const_cast<TunnelVnetHeader*>(&kFinished), header_bytes_},
                          {rte_pktmbuf_mtod(frame, void*), frame->data_len}};
    written = write_pieces(fd, iov, 2);
    rte_pktmbuf_free(frame);
    return written == DropReason::NONE;
  });
  outcome = written != DropReason::NONE ? written : cut;
  if (outcome == DropReason::NONE) free_packet(packet);
  return true;
}

TcpTrain* VnetPort::train_of(Lane& lane, const core::Packet& packet, const TcpTrain::Segment& segment) {
  for (TcpTrain& train : lane.trains) {
    if (!train.empty() && train.same_flow(packet, segment)) return &train;
  }
  return nullptr;
}

TcpTrain& VnetPort::free_train(Lane& lane, int fd, std::span<DropReason> outcome) {
  for (TcpTrain& train : lane.trains) {
    if (train.empty()) return train;
  }
  TcpTrain& train = lane.trains[lane.next_victim++ % kTrains];
  depart(train, fd, outcome);
  return train;
}

void VnetPort::transmit(unsigned lane_index, std::span<core::Packet* const> packets,
                        std::span<DropReason> outcome) {
  Lane& lane = *lanes_[lane_index];
  const int fd = queues_[lane_index % queues_.size()].fd;
  const auto count = static_cast<uint16_t>(packets.size());  // at most core::kBurst
  for (uint16_t i = 0; i < count; ++i) {
    core::Packet& packet = *packets[i];
    outcome[i] = DropReason::NONE;
    if (send_cut(lane, fd, packet, outcome[i])) continue;
    TcpTrain::Segment segment;
    const TcpTrain::Kind kind = TcpTrain::examine(packet, segment);
    if (kind == TcpTrain::Kind::kNotTcp) {
      send_alone(fd, packet, outcome[i]);
      continue;
    }
    TcpTrain* train = train_of(lane, packet, segment);
    if (kind == TcpTrain::Kind::kSegment && train != nullptr && train->append({&packet, i}, segment))
      continue;
    if (train != nullptr) depart(*train, fd, outcome);
    if (kind == TcpTrain::Kind::kAlone) {
      send_alone(fd, packet, outcome[i]);
      continue;
    }
    if (train == nullptr) train = &free_train(lane, fd, outcome);
    train->start({&packet, i}, segment);
  }
  for (TcpTrain& train : lane.trains) depart(train, fd, outcome);
}

}  // namespace fairlead::dpdk
