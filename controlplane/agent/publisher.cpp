#include "controlplane/agent/publisher.hpp"

#include "dataplane/rpc/convert.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::control {
namespace {

namespace asio = boost::asio;

// After a refusal, or an MTU that could not be set: long enough not to spin, short enough to heal unnoticed.
constexpr std::chrono::milliseconds kRetry{1000};

bool same_content(const core::NodeState& a, const core::NodeState& b) {
  return a.settings == b.settings && a.endpoints == b.endpoints && a.peers == b.peers && a.routes == b.routes;
}

}  // namespace

struct Publisher::Waiter {
  explicit Waiter(asio::io_context& io) : timer(io) {}
  uint64_t generation = 0, version = 0;
  Done done;
  asio::steady_timer timer;
};

struct Publisher::Timers {
  explicit Timers(asio::io_context& io) : retry(io) {}
  asio::steady_timer retry;
};

Result<std::unique_ptr<Publisher>> Publisher::create(asio::io_context& io, const std::string& socket,
                                                     const std::string& generation_path, Hooks hooks) {
  std::unique_ptr<Publisher> publisher(new Publisher(io, generation_path, std::move(hooks)));
  Result<std::unique_ptr<DataplaneLink>> link =
      DataplaneLink::create(io, socket,
                            {[raw = publisher.get()] { raw->on_up(); },
                             [raw = publisher.get()](const Error& why) { raw->on_down(why); }});
  if (!link) return link.error();
  publisher->link_ = std::move(*link);
  return publisher;
}

Publisher::Publisher(asio::io_context& io, const std::string& generation_path, Hooks hooks)
    : io_(io),
      hooks_(std::move(hooks)),
      generations_(generation_path),
      timers_(std::make_unique<Timers>(io)) {}

Publisher::~Publisher() = default;

void Publisher::start() {
  link_->start();
}

void Publisher::want(core::NodeState state) {
  state.generation = 0;
  if (version_ != 0 && same_content(wanted_, state)) return;
  // The first state may be what the dataplane has already: on_state() and pump() decide about its number.
  const bool is_numbered = wanted_.generation != 0;
  wanted_ = std::move(state);
  ++version_;
  if (is_numbered) number_wanted();
  pump();
}

void Publisher::number_wanted() {
  Result<void> written;
  wanted_.generation = generations_.next(written);
  if (!written) spdlog::warn("{}", written.error().text());
}

uint16_t Publisher::pod_mtu() const {
  return mtu_in_pods_ ? std::min(*mtu_in_pods_, wanted_.settings.pod_mtu) : wanted_.settings.pod_mtu;
}

// ---- the connection -------------------------------------------------------------------------------------

void Publisher::on_up() {
  rpc::Request request;
  request.mutable_get_state();
  link_->call(request, [this](const Result<rpc::Response>& response) { on_state(response); });
}

void Publisher::on_down(const Error& why) {
  const bool was_known = std::exchange(knows_remote_, false);
  is_publishing_ = false;
  timers_->retry.cancel();
  if (was_known) spdlog::warn("{}", why.text());
  hinder(why);
}

void Publisher::on_state(const Result<rpc::Response>& response) {
  if (!response) {
    if (link_->is_up()) refused(response.error());  // otherwise on_down() follows
    return;
  }
  Result<core::NodeState> state = ipc::from_message(response->state());
  if (!state) return refused(state.error());
  remote_ = std::move(*state);
  generations_.at_least(remote_.generation);
  spdlog::info("connected to the dataplane: generation {}, {} endpoints, {} peers", remote_.generation,
               remote_.endpoints.size(), remote_.peers.size());
  if (remote_.generation != 0) hooks_.dataplane_has(remote_);
  if (version_ != 0 && wanted_.generation <= remote_.generation) {
    if (same_content(wanted_, remote_)) {
      wanted_.generation = remote_.generation;
    } else {
      number_wanted();
    }
  }
  knows_remote_ = true;  // from here on pump() publishes
  hinder(std::nullopt);
  pump();
}

// ---- publishing -----------------------------------------------------------------------------------------

void Publisher::pump() {
  if (version_ == 0 || !knows_remote_ || is_publishing_) return;
  if (wanted_.generation == 0 && same_content(wanted_, remote_)) wanted_.generation = remote_.generation;
  if (wanted_.generation == 0) number_wanted();
  if (remote_.generation == wanted_.generation) return settle();
  publish();
}

void Publisher::publish() {
  lower_pod_mtu();
  in_flight_ = wanted_;
  in_flight_version_ = version_;
  is_publishing_ = true;
  sent_at_ = std::chrono::steady_clock::now();
  rpc::Request request;
  *request.mutable_publish()->mutable_delta() = ipc::to_message(core::diff(remote_, in_flight_));
  link_->call(request, [this](const Result<rpc::Response>& response) { on_published(response); });
}

void Publisher::on_published(const Result<rpc::Response>& response) {
  is_publishing_ = false;
  if (!response) {
    if (link_->is_up()) {
      refused(Error{"FL5021",
                    "the dataplane refused generation " + std::to_string(in_flight_.generation) + ": " +
                        response.error().what,
                    response.error().fix});
    }
    return;
  }
  const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - sent_at_);
  spdlog::info(
      "generation {} programmed in {:.1f} ms: {} endpoints, {} peers, {} routes, mode {}, pod MTU {}",
      in_flight_.generation, took.count(), in_flight_.endpoints.size(), in_flight_.peers.size(),
      in_flight_.routes.size(), in_flight_.settings.mode, in_flight_.settings.pod_mtu);
  remote_ = std::move(in_flight_);
  programmed_generation_ = remote_.generation;
  programmed_version_ = in_flight_version_;
  hinder(std::nullopt);
  finish_waiters();
  pump();
}

// The dataplane has what is wanted.
void Publisher::settle() {
  const bool is_news = programmed_generation_ != wanted_.generation || programmed_version_ != version_;
  programmed_generation_ = wanted_.generation;
  programmed_version_ = version_;
  raise_pod_mtu();
  if (is_news) hooks_.changed();
  finish_waiters();
}

void Publisher::refused(const Error& why) {
  knows_remote_ = false;
  hinder(why);
  retry_later();
}

void Publisher::retry_later() {
  timers_->retry.expires_after(kRetry);
  timers_->retry.async_wait([this](const boost::system::error_code& error) {
    if (error || !link_->is_up()) return;
    knows_remote_ ? pump() : on_up();
  });
}

void Publisher::hinder(std::optional<Error> problem) {
  const bool is_new =
      problem.has_value() != problem_.has_value() || (problem && problem->what != problem_->what);
  problem_ = std::move(problem);
  if (is_new && problem_) spdlog::warn("{}", problem_->text());
  if (is_new) hooks_.changed();
}

// ---- pods' MTU ------------------------------------------------------------------------------------------

void Publisher::lower_pod_mtu() {
  const uint16_t had = mtu_in_pods_              ? *mtu_in_pods_
                       : remote_.generation != 0 ? remote_.settings.pod_mtu
                                                 : wanted_.settings.pod_mtu;
  const uint16_t mtu = std::min(had, wanted_.settings.pod_mtu);
  if (mtu_in_pods_ == mtu) return;
  const Result<void> set = hooks_.set_pod_mtu(mtu);
  if (!set) spdlog::warn("{}", set.error().text());  // settle() tries again; too-big answers bridge the time
  mtu_in_pods_ = set ? std::optional(mtu) : std::nullopt;
}

void Publisher::raise_pod_mtu() {
  if (mtu_in_pods_ == wanted_.settings.pod_mtu) return;
  const Result<void> set = hooks_.set_pod_mtu(wanted_.settings.pod_mtu);
  mtu_in_pods_ = set ? std::optional(wanted_.settings.pod_mtu) : std::nullopt;
  if (set) return hinder(std::nullopt);
  hinder(set.error());
  retry_later();
}

// ---- waiting --------------------------------------------------------------------------------------------

std::weak_ptr<Publisher::Waiter> Publisher::wait(uint64_t generation, std::chrono::milliseconds timeout,
                                                 Done done) {
  auto waiter = std::make_shared<Waiter>(io_);
  waiter->generation = generation;
  waiter->version = std::max<uint64_t>(version_, 1);  // nothing wanted yet: the first
  waiter->done = std::move(done);
  waiters_.push_back(waiter);
  waiter->timer.expires_after(timeout);
  waiter->timer.async_wait(
      [this, weak = std::weak_ptr(waiter), timeout](const boost::system::error_code& error) {
        const std::shared_ptr<Waiter> late = weak.lock();
        if (error || !late) return;
        waiters_.remove(late);
        const std::string what =
            late->generation != 0 ? "generation " + std::to_string(late->generation) : "the wanted state";
        late->done(Error{"FL5024",
                         what + " is not programmed after " + std::to_string(timeout.count()) +
                             " ms; generation " + std::to_string(programmed_generation_) + " is" +
                             (problem_ ? ": " + problem_->what : ""),
                         problem_ ? problem_->fix : "fairlead status says more"});
      });
  asio::post(io_, [this, weak = std::weak_ptr(waiter)] {
    if (!weak.expired()) finish_waiters();
  });
  return waiter;
}

void Publisher::cancel(const std::weak_ptr<Waiter>& weak) {
  if (const std::shared_ptr<Waiter> waiter = weak.lock()) waiters_.remove(waiter);
}

void Publisher::finish_waiters() {
  std::list<std::shared_ptr<Waiter>> finished;
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    const auto next = std::next(at);
    const Waiter& waiter = **at;
    const bool is_met = waiter.generation != 0 ? programmed_generation_ >= waiter.generation
                                               : programmed_version_ >= waiter.version;
    if (is_met) finished.splice(finished.end(), waiters_, at);
    at = next;
  }
  for (const std::shared_ptr<Waiter>& waiter : finished) {
    waiter->timer.cancel();
    asio::post(io_, [done = std::move(waiter->done)] { done({}); });
  }
}

}  // namespace fairlead::control
