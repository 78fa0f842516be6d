#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace fairlead::core {

// Quiescent-state reclamation (QSBR): a writer learns when every reader has let go of what it replaced.
//
// A reader says quiescent() once a loop, when it holds no pointer into shared structures; around sleeping it
// is offline() and is not waited for. A writer first makes the old thing unreachable, then takes `token =
// advance()`; once grace_passed(token) the old thing may be freed or reused. Readers start offline.
//
// Threads: quiescent(worker), offline(worker), online(worker) from that worker's thread only; everything else
// from any thread. Cost: a reader's quiescent() is one load of a shared line and one store to its own; no
// read-modify-write.
class Epoch {
 public:
  using Token = uint64_t;

  explicit Epoch(unsigned workers) : workers_(workers), readers_(std::make_unique<Reader[]>(workers)) {}
  Epoch(const Epoch&) = delete;
  Epoch& operator=(const Epoch&) = delete;

  [[nodiscard]] unsigned workers() const { return workers_; }

  // This worker holds no reference obtained before now. On an offline worker: no effect needed, none taken.
  void quiescent(unsigned worker) {
    std::atomic<uint64_t>& seen = readers_[worker].seen;
    if (seen.load(std::memory_order_relaxed) == kOffline) return;
    // acquire: having seen the writer's advance, we see what it published before; release: our earlier reads
    // are over.
    seen.store(current_.load(std::memory_order_acquire), std::memory_order_release);
  }

  // This worker holds no reference and will take none until online().
  void offline(unsigned worker) { readers_[worker].seen.store(kOffline, std::memory_order_release); }

  void online(unsigned worker) {
    readers_[worker].seen.store(current_.load(std::memory_order_acquire), std::memory_order_relaxed);
    // A read-modify-write of the line that advance() also modifies puts the two in one order: either the
    // writer sees this reader online, or the reader sees what the writer had published. (A fence would do
    // too; ThreadSanitizer knows none.)
    current_.fetch_add(0, std::memory_order_acq_rel);
  }

  // Starts a grace period; call it after making the old thing unreachable.
  [[nodiscard]] Token advance() { return current_.fetch_add(1, std::memory_order_acq_rel) + 1; }

  // Has every worker been quiescent or offline since advance() returned `token`?
  [[nodiscard]] bool grace_passed(Token token) const {
    for (unsigned worker = 0; worker < workers_; ++worker) {
      if (readers_[worker].seen.load(std::memory_order_acquire) < token) return false;
    }
    return true;
  }

  // Waits for a full grace period. Not from a worker that is online: it would wait for itself.
  void synchronize() {
    const Token token = advance();
    for (unsigned round = 0; !grace_passed(token); ++round) {
      if (round >= kSpins) std::this_thread::yield();
    }
  }

 private:
  static constexpr uint64_t kOffline = ~uint64_t{0};
  static constexpr unsigned kSpins = 100;

  struct alignas(128) Reader {  // 128: adjacent-line prefetch pulls pairs
    std::atomic<uint64_t> seen{kOffline};
  };

  alignas(128) std::atomic<uint64_t> current_{1};
  unsigned workers_;
  std::unique_ptr<Reader[]> readers_;
};

}  // namespace fairlead::core
