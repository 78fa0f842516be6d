#include "dataplane/daemon/underlay_feed.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <spdlog/spdlog.h>

#include <utility>

namespace fairlead::daemon {
namespace {

using boost::asio::posix::stream_descriptor;

// The kernel probes a neighbour for about three seconds; asking more often than this tells it nothing new.
constexpr uint64_t kAskAgainNs = 500'000'000;

// Longest prefix match, by one look-up a length.
const core::UnderlayRoute* find_route(const core::Underlay& underlay, const core::IpAddress& address) {
  for (unsigned length = address.bits() + 1; length-- > 0;) {
    const auto route = underlay.routes.find(core::Prefix::enclosing(address, static_cast<uint8_t>(length)));
    if (route != underlay.routes.end()) return &route->second;
  }
  return nullptr;
}

}  // namespace

struct UnderlayFeed::Events {
  explicit Events(boost::asio::io_context& io) : descriptor(io) {}
  // The descriptor is the mirror's: let go of it without closing.
  ~Events() {
    if (descriptor.is_open()) descriptor.release();
  }
  stream_descriptor descriptor;
};

UnderlayFeed::UnderlayFeed(boost::asio::io_context& io, std::unique_ptr<UnderlayMirror> mirror,
                           Engine& engine)
    : mirror_(std::move(mirror)), engine_(engine), events_(std::make_unique<Events>(io)) {}

UnderlayFeed::~UnderlayFeed() = default;

Result<void> UnderlayFeed::start() {
  if (Result<void> set = engine_.set_underlay(mirror_->current()); !set) return set;
  boost::system::error_code error;
  events_->descriptor.assign(mirror_->poll_fd(), error);
  if (error) return Error{"FL2103", "cannot follow the kernel's network events: " + error.message(), ""};
  follow();
  return {};
}

void UnderlayFeed::follow() {
  events_->descriptor.async_wait(
      stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (error) return;  // released: we are being destroyed
        const Result<bool> changed = mirror_->process_events();
        if (!changed)
          spdlog::error("following the kernel's network: {}", changed.error().text());
        else if (*changed) {
          if (const Result<void> set = engine_.set_underlay(mirror_->current()); !set) {
            spdlog::error("the engine does not take the kernel's network: {}", set.error().text());
          }
        }
        follow();
      });
}

void UnderlayFeed::prepare(const std::map<core::PeerId, core::Peer>& peers) {
  missing_.clear();
  for (const auto& [id, peer] : peers) {
    for (const core::IpAddress& address : {peer.vtep, peer.next_hop4, peer.next_hop6}) {
      if (address) missing_.insert(address);
    }
  }
  prepare_missing();
}

void UnderlayFeed::prepare_missing() {
  std::erase_if(missing_, [this](const core::IpAddress& address) { return is_prepared(address); });
}

// Asks for every neighbour on the way to `address` that the kernel does not know.
bool UnderlayFeed::is_prepared(const core::IpAddress& address) {
  const core::UnderlayRoute* route = find_route(mirror_->current(), address);
  if (route == nullptr || route->kind != core::UnderlayRouteKind::kUnicast) return false;
  bool all_known = true;
  for (const core::UnderlayNextHop& hop : route->next_hops) {
    const std::pair neighbour(hop.port, hop.gateway ? hop.gateway : address);
    if (hop.port == 0 || mirror_->current().neighbours.contains(neighbour)) continue;
    all_known = false;
    if (const Result<void> asked = mirror_->resolve(neighbour.first, neighbour.second); !asked) {
      spdlog::debug("{}", asked.error().text());
    }
  }
  return all_known;
}

void UnderlayFeed::resolve_waiting(uint64_t now_ns) {
  const auto waiting = engine_.unresolved_next_hops();
  if (waiting.empty()) {
    asked_.clear();
    return;
  }
  for (const auto& next_hop : waiting) {
    const auto [row, is_new] = asked_.emplace(next_hop, now_ns);
    if (!is_new && now_ns - row->second < kAskAgainNs) continue;
    row->second = now_ns;
    if (const Result<void> asked = mirror_->resolve(next_hop.first, next_hop.second); !asked && is_new) {
      spdlog::warn("{}", asked.error().text());
    }
  }
}

void UnderlayFeed::refresh(uint64_t now_ns) {
  prepare_missing();
  std::erase_if(asked_, [now_ns](const auto& row) { return now_ns - row.second > 10 * kAskAgainNs; });
  if (const Result<void> done = mirror_->refresh(now_ns); !done) spdlog::warn("{}", done.error().text());
}

}  // namespace fairlead::daemon
