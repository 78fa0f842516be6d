#pragma once

#include "bench/replay/frames.hpp"
#include "bench/replay/lane.hpp"
#include "bench/replay/pace.hpp"
#include "bench/replay/page.hpp"
#include "bench/replay/profile.hpp"

#include <rte_config.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <array>
#include <emmintrin.h>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::replay {

class Device;

// One receive queue: where it is in its flows, and what is written into every mbuf.
struct alignas(64) RxQueue {
  Device* device = nullptr;
  const FlowRecord* records = nullptr;
  uint32_t count = 0;
  uint32_t at = 0;  // the next record
  uint16_t index = 0;
  uint16_t burst = UINT16_MAX;
  PacedRing ring;                     // of a device with `paced`
  uint32_t frame_offset = 0;          // bytes from an mbuf to its frame
  uint32_t turn = 0;                  // of the pace that the ring belongs to
  uint32_t left = 0;                  // frames of a device with `once` that were not handed out yet
  __m128i rearm{};                    // data_off, refcnt, nb_segs, port, ol_flags
  __m128i fields[kImix.size()] = {};  // packet_type, pkt_len, data_len: by place, or the first for all
};

struct alignas(64) TxQueue {
  Device* device = nullptr;
  Device* home = nullptr;  // the device whose buffers came last
  uint16_t index = 0;
  uint32_t until_sample = 0;  // frames to pass by before one is read
};

// One net_replay device: what it hands out, where the buffers are, what came back.
//
// Threads: everything by the control thread, before the queues are used; receive() and transmit() of a queue
// by one thread at a time, which must have a DPDK identity (an EAL or a registered thread).
class Device {
 public:
  Device(std::string name, Profile profile);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Maps the page. Empty: fine.
  [[nodiscard]] std::string open();
  // Makes flows and buffers, once, and the queues ready. Empty: fine.
  [[nodiscard]] std::string start(uint16_t port, unsigned rx_queues, unsigned tx_queues,
                                  bool checksums_verified);

  [[nodiscard]] const Profile& profile() const { return profile_; }
  [[nodiscard]] rte_ether_addr& mac() { return mac_; }
  [[nodiscard]] Page& page() { return *page_; }
  // Buffers get what those of the application's pool have behind the mbuf: applications keep state there
  // (OVS), made when the pool was. Before the first start().
  void learn_private_area(rte_mempool* pool);
  [[nodiscard]] RxQueue* rx_queue(unsigned index) { return &rx_.at(index); }
  [[nodiscard]] TxQueue* tx_queue(unsigned index) { return &tx_.at(index); }
  [[nodiscard]] const FrameShape* shapes() const { return shapes_.data(); }
  [[nodiscard]] unsigned blocks() const { return shapes_.empty() ? 0 : shapes_.front().blocks; }
  [[nodiscard]] rte_mempool* pool() const { return pool_; }
  [[nodiscard]] uint32_t expected_length() const { return expected_length_; }

  // What was counted since the last reset, for the statistics of the device; the page goes on counting.
  [[nodiscard]] Totals counted() const {
    Totals now = totals(*page_);
    return now -= before_;
  }
  void reset_counted() { before_ = totals(*page_); }

  // The buffers that go round in the calling thread; nullptr: there are none, or the thread has no identity.
  [[nodiscard]] Lane* lane() const {
    const unsigned thread = rte_lcore_id();
    return thread < lanes_.size() ? lanes_[thread].get() : nullptr;
  }
  // The same, made when it is not there yet.
  [[nodiscard]] Lane* make_lane();

  [[nodiscard]] static Device* of_pool(const rte_mempool* pool);

 private:
  [[nodiscard]] std::string make_buffers(unsigned queues);
  void make_shapes();

  std::string name_;
  Profile profile_;
  rte_ether_addr mac_{};
  Page* page_ = nullptr;
  std::unique_ptr<FlowList> flows_;
  std::vector<FrameShape> shapes_;  // one, or one per place of IMIX
  rte_mempool* pool_ = nullptr;
  MappedRegion buffers_;  // of the pool
  uint8_t* pool_base_ = nullptr;
  uint32_t expected_length_ = 0;
  std::vector<uint8_t> private_area_;
  Totals before_;
  std::array<std::unique_ptr<Lane>, RTE_MAX_LCORE> lanes_{};
  std::array<RxQueue, Page::kQueues> rx_{};
  std::array<TxQueue, Page::kQueues> tx_{};
};

// The driver's functions for a device that was started.
using BurstFunction = uint16_t (*)(void* queue, rte_mbuf** mbufs, uint16_t count);
[[nodiscard]] BurstFunction receive_function(const Device& device);
uint16_t transmit(void* queue, rte_mbuf** mbufs, uint16_t count);

}  // namespace fairlead::replay
