#include "bench/replay/device.hpp"

#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <tmmintrin.h>
#include <x86intrin.h>

// The packet path of the port. What it costs stands in every figure, so it is as little as can be: per frame
// received two stores to the mbuf and one per 16 bytes of header, per frame sent a look at its mbuf and four
// bytes into the lane.

namespace fairlead::replay {
namespace {

// Distance of 64-byte lines from an mbuf to those that will be written; the second of the mbuf stays
// untouched.
inline void prefetch_buffer(const rte_mbuf* mbuf, uint32_t frame_offset, bool second_line) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(mbuf);
  __builtin_prefetch(bytes);
  __builtin_prefetch(bytes + frame_offset);
  if (second_line) __builtin_prefetch(bytes + frame_offset + 64);
}

template <unsigned kBlocks>
inline void write_frame(uint8_t* frame, const FrameShape& shape, __m128i record) {
  const auto* header = reinterpret_cast<const __m128i*>(shape.header.data());
  const auto* select = reinterpret_cast<const __m128i*>(shape.select.data());
  auto* to = reinterpret_cast<__m128i*>(frame);
  for (unsigned i = 0; i < kBlocks; ++i) {
    const __m128i patch = _mm_shuffle_epi8(record, _mm_load_si128(select + i));
    _mm_store_si128(to + i, _mm_or_si128(_mm_load_si128(header + i), patch));
  }
}

uint16_t receive_nothing(void*, rte_mbuf**, uint16_t) {
  return 0;
}

template <unsigned kBlocks, bool kIsImix>
uint16_t receive(void* queue, rte_mbuf** mbufs, uint16_t wanted) {
  RxQueue& q = *static_cast<RxQueue*>(queue);
  Page& page = q.device->page();
  if (page.paused.load(std::memory_order_relaxed) != 0) {
    ++page.queues[q.index].refused;
    return 0;
  }
  Lane* lane = q.device->lane();
  if (lane == nullptr) [[unlikely]] {
    lane = q.device->make_lane();
    if (lane == nullptr) return 0;
  }
  QueueCounters& counters = page.queues[q.index];
  const uint32_t count = lane->available(std::min(wanted, q.burst));
  if (count == 0) [[unlikely]] {
    if (wanted != 0) ++counters.starved;
    return 0;
  }

  const FrameShape* const shapes = q.device->shapes();
  const uint32_t frame_offset = q.frame_offset;
  uint32_t at = q.at;
  uint32_t place = kIsImix ? at % kImix.size() : 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    prefetch_buffer(lane->at(i + Lane::kAhead), frame_offset, kBlocks > 4);
    rte_mbuf* const mbuf = lane->at(i);
    const __m128i record = _mm_load_si128(reinterpret_cast<const __m128i*>(q.records + at));
    if (++at == q.count) at = 0;
    write_frame<kBlocks>(reinterpret_cast<uint8_t*>(mbuf) + frame_offset, shapes[place], record);
    _mm_store_si128(reinterpret_cast<__m128i*>(&mbuf->rearm_data), q.rearm);
    _mm_store_si128(reinterpret_cast<__m128i*>(&mbuf->rx_descriptor_fields1), q.fields[place]);
    if constexpr (kIsImix) {
      bytes += shapes[place].length;
      if (++place == kImix.size()) place = 0;
    }
    mbufs[i] = mbuf;
  }
  lane->take(count);
  q.at = at;
  counters.rx_packets += count;
  counters.rx_bytes += kIsImix ? bytes : uint64_t{count} * shapes[0].length;
  return static_cast<uint16_t>(count);
}

BurstFunction unpaced_function(const Device& device);

// What has fallen due and was not missed; without a pace, and in a pause, as every device does it.
uint16_t receive_paced(void* queue, rte_mbuf** mbufs, uint16_t wanted) {
  RxQueue& q = *static_cast<RxQueue*>(queue);
  Page& page = q.device->page();
  const BurstFunction receive_some = unpaced_function(*q.device);
  const uint32_t turn = page.turn.load(std::memory_order_acquire);
  if (turn == 0) return receive_some(queue, mbufs, wanted);
  if (turn != q.turn) {
    q.turn = turn;
    q.ring.gone = 0;
  }
  const uint32_t waiting = q.ring.waiting(page.pace, __rdtsc(), page.queues[q.index].missed);
  const auto least = static_cast<uint16_t>(std::min<uint32_t>(wanted, waiting));
  const uint16_t got = receive_some(queue, mbufs, least);
  q.ring.take(got);
  return got;
}

uint16_t receive_once(void* queue, rte_mbuf** mbufs, uint16_t wanted) {
  RxQueue& q = *static_cast<RxQueue*>(queue);
  const auto least = static_cast<uint16_t>(std::min<uint32_t>(wanted, q.left));
  const uint16_t got = unpaced_function(*q.device)(queue, mbufs, least);
  q.left -= got;
  return got;
}

template <bool kIsImix>
BurstFunction receive_of_blocks(unsigned blocks) {
  switch (blocks) {
    case 3:
      return receive<3, kIsImix>;
    case 4:
      return receive<4, kIsImix>;
    case 6:
      return receive<6, kIsImix>;
    default:
      return receive<7, kIsImix>;
  }
}

BurstFunction unpaced_function(const Device& device) {
  return device.profile().imix ? receive_of_blocks<true>(device.blocks())
                               : receive_of_blocks<false>(device.blocks());
}

// refcnt 1 and nb_segs 1, in rearm_data.
constexpr uint64_t kWholeMask = 0x0000ffffffff0000;
constexpr uint64_t kWhole = 0x0000000100010000;

inline uint64_t rearm_data(const rte_mbuf* mbuf) {
  uint64_t data;
  std::memcpy(&data, reinterpret_cast<const uint8_t*>(mbuf) + offsetof(rte_mbuf, rearm_data), sizeof data);
  return data;
}

[[gnu::noinline]] void note_wrong(TxQueue& q, const rte_mbuf* mbuf, Wrong wrong) {
  Page& page = q.device->page();
  ++page.queues[q.index].wrong[static_cast<size_t>(wrong)];
  if (page.first_wrong != 0) return;
  page.sample_length = mbuf->data_len;
  std::memcpy(page.sample.data(), rte_pktmbuf_mtod(mbuf, const uint8_t*),
              std::min<size_t>(page.sample.size(), mbuf->data_len));
  page.first_wrong = static_cast<uint32_t>(wrong);
}

// Reads every so many-th frame.
[[gnu::noinline]] void read_samples(TxQueue& q, rte_mbuf* const* mbufs, uint32_t count) {
  const Profile& profile = q.device->profile();
  uint32_t at = q.until_sample;
  for (; at < count; at += profile.verify) {
    const rte_mbuf* mbuf = mbufs[at];
    ++q.device->page().queues[q.index].verified;
    const Wrong wrong = check_frame(rte_pktmbuf_mtod(mbuf, const uint8_t*), mbuf->data_len, profile);
    // Of every frame the length is compared: counted there.
    const bool is_counted = wrong == Wrong::kLength && q.device->expected_length() != 0;
    if (wrong != Wrong::kNothing && !is_counted) note_wrong(q, mbuf, wrong);
  }
  q.until_sample = at;
}

// A burst in which something is not as usual: looks at every mbuf alone.
[[gnu::noinline]] void take_back(TxQueue& q, rte_mbuf* const* mbufs, uint32_t count) {
  const uint32_t expected = q.device->expected_length();
  for (uint32_t i = 0; i < count; ++i) {
    rte_mbuf* mbuf = mbufs[i];
    if (expected != 0 && mbuf->pkt_len != expected) note_wrong(q, mbuf, Wrong::kLength);
    Device* owner = mbuf->pool == q.home->pool() ? q.home : Device::of_pool(mbuf->pool);
    if (owner == nullptr) {
      ++q.device->page().queues[q.index].foreign;
      rte_pktmbuf_free(mbuf);
      continue;
    }
    q.home = owner;
    if ((rearm_data(mbuf) & kWholeMask) != kWhole) {
      note_wrong(q, mbuf, Wrong::kBuffer);
      rte_pktmbuf_free(mbuf);
      continue;
    }
    Lane* lane = owner->lane();
    if (lane == nullptr || !lane->put(&mbuf, 1)) rte_mbuf_raw_free(mbuf);
  }
}

}  // namespace

BurstFunction receive_function(const Device& device) {
  if (device.profile().frames == Form::kNone) return receive_nothing;
  if (device.profile().once) return receive_once;
  return device.profile().paced ? receive_paced : unpaced_function(device);
}

uint16_t transmit(void* queue, rte_mbuf** mbufs, uint16_t count) {
  TxQueue& q = *static_cast<TxQueue*>(queue);
  const rte_mempool* const pool = q.home->pool();
  const uint32_t expected = q.device->expected_length();
  const uint32_t length_mask = expected != 0 ? UINT32_MAX : 0;
  uint64_t bytes = 0, unusual = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const rte_mbuf* mbuf = mbufs[i];
    bytes += mbuf->pkt_len;
    unusual |= ((rearm_data(mbuf) & kWholeMask) ^ kWhole) | ((mbuf->pkt_len ^ expected) & length_mask) |
               (reinterpret_cast<uintptr_t>(mbuf->pool) ^ reinterpret_cast<uintptr_t>(pool));
  }
  QueueCounters& counters = q.device->page().queues[q.index];
  counters.tx_packets += count;
  counters.tx_bytes += bytes;
  if (q.device->profile().verify != 0) {
    if (q.until_sample < count) read_samples(q, mbufs, count);
    q.until_sample -= count;
  }
  Lane* lane = q.home->lane();
  if (unusual != 0 || lane == nullptr || !lane->put(mbufs, count)) [[unlikely]] {
    take_back(q, mbufs, count);
  }
  return count;
}

}  // namespace fairlead::replay
