#include "dataplane/core/flow_table.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <new>
#include <random>
#include <string>
#include <utility>

// How a flow table comes into being: empty, or adopted from the file that a process before this one left
// behind.

namespace fairlead::core {

namespace {

constexpr std::array<char, 8> kMagic = {'F', 'L', 'F', 'L', 'O', 'W', 'S', '\0'};
constexpr uint32_t kLayoutVersion = 2;
constexpr size_t kHeaderBytes = 4096;
constexpr uint32_t kLargestCapacity = 1u << 29;  // ids have 30 bits in a state word

// FNV-1a: tells a torn or foreign header from ours; it defends against accidents only.
uint64_t checksum_of(const void* data, size_t bytes) {
  uint64_t sum = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i) sum = (sum ^ static_cast<const uint8_t*>(data)[i]) * 0x100000001b3;
  return sum;
}

// Time-stamps count from boot, so a table of another boot means nothing.
std::array<char, 40> boot_id() {
  std::array<char, 40> id{};
  std::ifstream("/proc/sys/kernel/random/boot_id").read(id.data(), 36);
  return id;
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

size_t in_pages(size_t bytes) {
  return (bytes + 4095) & ~size_t{4095};
}

}  // namespace

// At the start of the file. Written once, when the table is made.
template <typename Entry>
struct FlowTable<Entry>::Header {
  std::array<char, 8> magic = kMagic;
  uint32_t layout_version = kLayoutVersion;
  uint32_t entry_bytes = sizeof(Entry);
  uint32_t capacity = 0;
  uint32_t slots = 0;
  uint32_t buckets = 0;
  uint32_t pad = 0;
  std::array<char, 40> boot = {};
  uint64_t seed = 0;
  uint64_t checksum = 0;  // of everything above

  [[nodiscard]] uint64_t sum() const { return checksum_of(this, offsetof(Header, checksum)); }

  // Why this table cannot be taken over by one that wants `wanted`; empty: it can.
  [[nodiscard]] std::string unfit(const Header& wanted) const {
    if (magic != kMagic) return "it is not a flow table";
    if (layout_version != kLayoutVersion) {
      return "it has layout version " + std::to_string(layout_version) + ", this build reads " +
             std::to_string(kLayoutVersion);
    }
    if (checksum != sum()) return "its header's checksum is wrong";
    if (boot != wanted.boot) return "it is from before the last boot";
    if (entry_bytes != wanted.entry_bytes || capacity != wanted.capacity || slots != wanted.slots ||
        buckets != wanted.buckets) {
      return "it holds " + std::to_string(capacity) + " connections of " + std::to_string(entry_bytes) +
             " bytes, configured are " + std::to_string(wanted.capacity) + " of " +
             std::to_string(wanted.entry_bytes);
    }
    return {};
  }
};

// Where things are in the region, and what the header says about it.
template <typename Entry>
struct FlowTable<Entry>::Layout {
  Header header;
  size_t buckets_at = kHeaderBytes;
  size_t entries_at = 0;
  size_t spill_at = 0;
  size_t bytes = 0;

  explicit Layout(const FlowTableConfig& config) {
    header.capacity = config.capacity;
    // The reserve lets new connections come while erased entries wait for their readers.
    header.slots = 1 + config.capacity + config.capacity / 32 + 256;
    // At most 80 % full: below what the index takes without refusing.
    const uint64_t tuples = uint64_t{config.capacity} * (config.reply_tuples ? 2 : 1);
    header.buckets =
        static_cast<uint32_t>(std::bit_ceil(std::max<uint64_t>(2, tuples * 5 / 4 / FlowBucket::kSlots + 1)));
    header.boot = boot_id();
    header.seed = config.seed != 0 ? config.seed : random_seed();
    header.checksum = header.sum();
    entries_at = in_pages(buckets_at + size_t{header.buckets} * sizeof(FlowBucket));
    spill_at = in_pages(entries_at + size_t{header.slots} * sizeof(Entry));
    bytes = in_pages(spill_at + size_t{header.slots} * 2 * sizeof(uint64_t));
  }
};

template <typename Entry>
FlowTable<Entry>::FlowTable(const FlowTableConfig& config, const Layout& layout, Epoch& epoch,
                            FlowQuota& quota, MappedRegion region)
    : quota_(quota),
      timeouts_(config.timeouts),
      region_(std::move(region)),
      capacity_(layout.header.capacity),
      slots_(layout.header.slots),
      index_(reinterpret_cast<FlowBucket*>(static_cast<std::byte*>(region_.data()) + layout.buckets_at),
             layout.header.buckets),
      entries_(reinterpret_cast<Entry*>(static_cast<std::byte*>(region_.data()) + layout.entries_at)),
      spill_(reinterpret_cast<std::atomic<uint64_t>*>(static_cast<std::byte*>(region_.data()) +
                                                      layout.spill_at)),
      recycler_(epoch, &entries_[0].body.state, sizeof(Entry), layout.header.slots) {}

template <typename Entry>
Result<std::unique_ptr<FlowTable<Entry>>> FlowTable<Entry>::open(const FlowTableConfig& config, Epoch& epoch,
                                                                 FlowQuota& quota) {
  if (config.capacity == 0 || config.capacity > kLargestCapacity) {
    return Error{"FL2206",
                 "flow table capacity " + std::to_string(config.capacity) + " is not in 1.." +
                     std::to_string(kLargestCapacity),
                 "set a capacity of about the connections you expect at once, e.g. 262144"};
  }
  const Layout layout(config);
  MappedRegion region;
  bool existed = false;
  if (config.path.empty()) {
    try {
      region = MappedRegion::reserve(layout.bytes);
    } catch (const std::bad_alloc&) {
      return Error{"FL2205", "flow table: no memory for " + std::to_string(layout.bytes) + " bytes",
                   "configure fewer connections"};
    }
  } else {
    Result<MappedRegion> mapped = MappedRegion::file(config.path, layout.bytes, existed);
    if (!mapped) return mapped.error();
    region = std::move(*mapped);
  }
  std::unique_ptr<FlowTable> table(new FlowTable(config, layout, epoch, quota, std::move(region)));
  Header found;
  std::memcpy(&found, table->region_.data(), sizeof(Header));
  const std::string unfit = existed ? found.unfit(layout.header) : std::string{};
  if (existed && unfit.empty()) {
    table->seed_ = found.seed;
    flow_secret_init(&table->secret_, found.seed);
    table->adopt();
  } else {
    if (!config.path.empty())
      table->note_ = existed ? config.path + ": started empty: " + unfit : config.path + ": new";
    table->start_empty(layout.header, existed);
  }
  return table;
}

template <typename Entry>
void FlowTable<Entry>::start_empty(const Header& header, bool dirty) {
  if (dirty) std::memset(region_.data(), 0, region_.size());
  std::memcpy(region_.data(), &header, sizeof(Header));
  seed_ = header.seed;
  flow_secret_init(&secret_, header.seed);
}

// Rebuilds everything but the connections themselves: whoever had the table may have died between any two
// stores. Every connection will ask the slow path again, because template ids are another process's.
template <typename Entry>
void FlowTable<Entry>::adopt() {
  std::byte* const base = static_cast<std::byte*>(region_.data());
  std::memset(base + kHeaderBytes, 0,
              static_cast<size_t>(reinterpret_cast<std::byte*>(entries_) - base) - kHeaderBytes);
  recycler_.all_touched();
  uint32_t adopted = 0;
  for (FlowId id = slots_ - 1; id > 0; --id) {
    const FlowWord word = FlowWord::unpack(entries_[id].body.state.load(std::memory_order_relaxed));
    if (word.life == FlowWord::kLive && adopted < capacity_ && adopt_entry(id, word)) {
      ++adopted;
    } else {
      recycler_.give_back(id);
    }
  }
  live_.store(adopted, std::memory_order_relaxed);
  note_ = "adopted " + std::to_string(adopted) + " connections";
}

template <typename Entry>
bool FlowTable<Entry>::adopt_entry(FlowId id, FlowWord word) {
  FlowBody& flow = body(id);
  if (word.protocol_state >= FlowState::kCount) return false;
  const auto link = [&](const Key& key, FlowSlot slot) {
    const FlowIndex::Place place = index_.place(hash(key));
    const Words words = words_of(key);
    const FlowIndex::Guard guard(index_, place);
    return index_.find(place, [&](FlowSlot at) { return is_tuple(at, words); }).raw == 0 &&
           index_.link(place, slot);
  };
  // Both tuples or none: a translated connection must not go on untranslated.
  if (word.has_reply_tuple && !link(reply_key_of(id), {id | FlowSlot::kReplyTuple})) return false;
  if (!link(key_of(id), {id})) {
    if (word.has_reply_tuple)
      index_.unlink(index_.place(hash(reply_key_of(id))), {id | FlowSlot::kReplyTuple});
    return false;
  }
  for (std::atomic<uint64_t>& way : flow.way) {
    way.store(way.load(std::memory_order_relaxed) & ~((uint64_t{1} << 48) - 1), std::memory_order_relaxed);
  }
  if (word.owner == FlowOwner::kOriginalIngress || word.owner == FlowOwner::kReplyIngress) {
    const size_t way = word.owner == FlowOwner::kOriginalIngress ? 0 : 1;
    quota_.take_unchecked(FlowIngress{flow.ingress[way].load(std::memory_order_relaxed)}.id());
  }
  return true;
}

template Result<std::unique_ptr<FlowTable4>> FlowTable4::open(const FlowTableConfig&, Epoch&, FlowQuota&);
template Result<std::unique_ptr<FlowTable6>> FlowTable6::open(const FlowTableConfig&, Epoch&, FlowQuota&);

}  // namespace fairlead::core
