#include "bench/replay/device.hpp"

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mbuf_ptype.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace fairlead::replay {
namespace {

constexpr uint32_t kBuffersElsewhere = 2048;  // per queue: in the application's bursts and the pool's caches
constexpr unsigned kPoolCache = 256;
constexpr size_t kHugePage = 2u << 20;
constexpr unsigned kDevicesMax = 16;

std::array<Device*, kDevicesMax> devices{};

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

// Behind the headers every frame is zero; nobody writes there afterwards.
void fill_buffer(rte_mempool* pool, void* private_area, void* object, unsigned) {
  const auto& bytes = *static_cast<const std::vector<uint8_t>*>(private_area);
  uint8_t* behind = static_cast<uint8_t*>(object) + sizeof(rte_mbuf);
  std::memset(behind, 0, pool->elt_size - sizeof(rte_mbuf));
  std::copy(bytes.begin(), bytes.end(), behind);
}

uint32_t packet_type(const Profile& profile) {
  const bool ipv6 = !is_tunnel(profile.frames) && is_inner_ipv6(profile.frames);
  return RTE_PTYPE_L2_ETHER | (ipv6 ? RTE_PTYPE_L3_IPV6 : RTE_PTYPE_L3_IPV4) | RTE_PTYPE_L4_UDP;
}

}  // namespace

Device::Device(std::string name, Profile profile) : name_(std::move(name)), profile_(std::move(profile)) {
  const auto free = std::find(devices.begin(), devices.end(), nullptr);
  if (free != devices.end()) *free = this;
  mac_ = {{0x02, 0, 0, 0, 0xf1, static_cast<uint8_t>(free - devices.begin())}};
}

Device::~Device() {
  std::replace(devices.begin(), devices.end(), this, static_cast<Device*>(nullptr));
  if (page_ != nullptr) munmap(page_, sizeof(Page));
}

std::string Device::open() {
  int file = -1;
  if (!profile_.page.empty()) {
    file = ::open(profile_.page.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(Page)) != 0) {
      const std::string why = std::strerror(errno);
      if (file >= 0) close(file);
      return "page " + profile_.page + ": " + why;
    }
  }
  void* memory = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE,
                      file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
  if (file >= 0) close(file);
  if (memory == MAP_FAILED) return std::string("no memory for the counters: ") + std::strerror(errno);
  page_ = new (memory) Page;
  page_->paused.store(profile_.held ? 1 : 0, std::memory_order_relaxed);
  return {};
}

void Device::make_shapes() {
  Mac mac;
  std::copy(std::begin(mac_.addr_bytes), std::end(mac_.addr_bytes), mac.begin());
  if (!profile_.imix) {
    shapes_.push_back(make_shape(profile_, profile_.size, mac));
    return;
  }
  for (const uint16_t size : kImix) shapes_.push_back(make_shape(profile_, size, mac));
}

// The buffers are not EAL's memory. Without huge pages that comes in pages of 4 KiB, of which 16 k buffers
// need more than the TLB knows; and, as no buffer may cross from one to the next, every buffer begins a page:
// all of them share a few sets of each cache. Ours lie one behind the other and ask for transparent huge
// pages, whatever EAL has.
std::string Device::make_buffers(unsigned queues) {
  const unsigned count = (profile_.pool + kBuffersElsewhere) * queues;
  const auto failed = [&] {
    return "no memory for " + std::to_string(count) + " buffers: " + rte_strerror(rte_errno);
  };
  const auto private_bytes = static_cast<unsigned>(private_area_.size());
  const unsigned element_size = sizeof(rte_mbuf) + private_bytes + RTE_MBUF_DEFAULT_BUF_SIZE;
  pool_ =
      rte_mempool_create_empty(("replay_" + name_).c_str(), count, element_size, kPoolCache,
                               sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool_ == nullptr) return failed();
  if (rte_mempool_set_ops_byname(pool_, rte_mbuf_best_mempool_ops(), nullptr) != 0) return failed();
  rte_pktmbuf_pool_private layout{};
  layout.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE;
  layout.mbuf_priv_size = static_cast<uint16_t>(private_bytes);
  rte_pktmbuf_pool_init(pool_, &layout);
  rte_mempool_objsz object;
  const size_t bytes = size_t{count} * rte_mempool_calc_obj_size(element_size, 0, &object) + kHugePage;
  buffers_ = MappedRegion::reserve(bytes + kHugePage);
  pool_base_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(buffers_.data()) + kHugePage - 1) /
                                          kHugePage * kHugePage);
  // An application that has locked its memory for the future (testpmd) got small pages already.
  static_cast<void>(madvise(pool_base_, bytes / kHugePage * kHugePage, MADV_COLLAPSE));
  const int populated = rte_mempool_populate_virt(pool_, reinterpret_cast<char*>(pool_base_), bytes,
                                                  kHugePage, nullptr, nullptr);
  if (populated < static_cast<int>(count)) {
    rte_errno = populated < 0 ? -populated : ENOMEM;
    return failed();
  }
  rte_mempool_obj_iter(pool_, rte_pktmbuf_init, nullptr);
  rte_mempool_obj_iter(pool_, fill_buffer, &private_area_);
  return {};
}

std::string Device::start(uint16_t port, unsigned rx_queues, unsigned tx_queues, bool checksums_verified) {
  expected_length_ = replay::expected_length(profile_);
  for (unsigned i = 0; i < tx_queues; ++i) {
    tx_.at(i) = {.device = this, .home = this, .index = static_cast<uint16_t>(i)};
  }
  if (profile_.frames != Form::kNone && flows_ == nullptr) {
    flows_ = std::make_unique<FlowList>(profile_);
    make_shapes();
    if (std::string wrong = make_buffers(profile_.queues); !wrong.empty()) return wrong;
  }
  for (unsigned i = 0; i < rx_queues; ++i) {
    RxQueue& queue = rx_.at(i);
    queue = {.device = this, .index = static_cast<uint16_t>(i), .ring = {queue.ring.descriptors}};
    if (flows_ == nullptr) continue;
    const std::span<const FlowRecord> records = flows_->of_queue(i, rx_queues);
    queue.frame_offset =
        static_cast<uint32_t>(sizeof(rte_mbuf) + private_area_.size() + RTE_PKTMBUF_HEADROOM);
    queue.records = records.data();
    queue.count = static_cast<uint32_t>(records.size());
    if (profile_.imix) queue.count -= queue.count % kImix.size();
    if (queue.count == 0) return "fewer flows than one round of IMIX";
    queue.left = queue.count;
    if (profile_.burst != 0) queue.burst = profile_.burst;
    const uint64_t rearm =
        RTE_PKTMBUF_HEADROOM | uint64_t{1} << 16 | uint64_t{1} << 32 | uint64_t{port} << 48;
    const uint64_t flags = checksums_verified ? RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0;
    queue.rearm = _mm_set_epi64x(static_cast<int64_t>(flags), static_cast<int64_t>(rearm));
    for (size_t place = 0; place < shapes_.size(); ++place) {
      const auto length = static_cast<int>(shapes_[place].length);
      queue.fields[place] = _mm_set_epi32(0, length, length, static_cast<int>(packet_type(profile_)));
    }
  }
  page_->rx_queues = flows_ == nullptr ? 0 : rx_queues;
  page_->started.store(1, std::memory_order_release);
  return {};
}

void Device::learn_private_area(rte_mempool* pool) {
  if (pool == nullptr || pool_ != nullptr) return;
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
  if (mbuf == nullptr) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(mbuf + 1);
  private_area_.assign(bytes, bytes + rte_pktmbuf_priv_size(pool));
  private_area_.resize((private_area_.size() + 63) / 64 * 64);  // frames begin with a cache line
  rte_pktmbuf_free(mbuf);
}

Lane* Device::make_lane() {
  const unsigned thread = rte_lcore_id();
  if (thread >= lanes_.size() || pool_ == nullptr) return nullptr;
  lanes_[thread] = std::make_unique<Lane>(pool_, pool_base_, profile_.pool, profile_.seed + thread);
  return lanes_[thread].get();
}

Device* Device::of_pool(const rte_mempool* pool) {
  for (Device* device : devices) {
    if (device != nullptr && device->pool() == pool) return device;
  }
  return nullptr;
}

}  // namespace fairlead::replay
