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

bool same_base(const core::NodeState& a, const core::NodeState& b) {
  return a.settings == b.settings && a.endpoints == b.endpoints && a.peers == b.peers && a.routes == b.routes;
}

bool same_content(const core::NodeState& a, const core::NodeState& b) {
  return same_base(a, b) && std::equal(a.services.begin(), a.services.end(), b.services.begin(),
                                       b.services.end(), [](const auto& left, const auto& right) {
                                         return left.first == right.first && (left.second == right.second ||
                                                                              *left.second == *right.second);
                                       });
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
  state.generation = wanted_.generation;
  wanted_ = std::move(state);
  all_differs_ = true;
  wanted_changed();
}

void Publisher::want(const core::NodeState* base, const ServiceChanges& services) {
  const bool has_base = base != nullptr && !same_base(wanted_, *base);
  if (version_ != 0 && !has_base && services.empty()) return;
  if (has_base) {
    const uint64_t generation = wanted_.generation;
    auto kept = std::move(wanted_.services);
    wanted_ = *base;
    wanted_.generation = generation;
    wanted_.services = std::move(kept);
    base_differs_ = true;
  }
  for (const auto& service : services.upserts) {
    wanted_.services[service->id] = service;
    services_differ_.insert(service->id);
  }
  for (const core::ServiceId id : services.removals) {
    wanted_.services.erase(id);
    services_differ_.insert(id);
  }
  wanted_changed();
}

void Publisher::wanted_changed() {
  ++version_;
  // The first state may be what the dataplane has already: on_state() and pump() decide about its number.
  if (wanted_.generation != 0) number_wanted();
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
  pages_ = {};
  ask_state();
}

void Publisher::ask_state() {
  rpc::Request request;
  *request.mutable_get_state() = pages_.next();
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
  const Result<bool> is_whole = pages_.add(response->state());
  if (!is_whole) return refused(is_whole.error());
  if (!*is_whole) return ask_state();
  remote_ = pages_.take();
  all_differs_ = true;
  generations_.at_least(remote_.generation);
  spdlog::info("connected to the dataplane: generation {}, {} endpoints, {} peers, {} services",
               remote_.generation, remote_.endpoints.size(), remote_.peers.size(), remote_.services.size());
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
  hooks_.changed();
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

// From what the dataplane has to what is wanted, at the cost of what differs.
core::NodeStateDelta Publisher::next_change() {
  core::NodeStateDelta delta;
  if (all_differs_ || remote_.generation == 0) {
    delta = core::diff(remote_, wanted_);
  } else {
    if (base_differs_) {
      auto has = std::move(remote_.services), wants = std::move(wanted_.services);
      remote_.services.clear();
      wanted_.services.clear();
      delta = core::diff(remote_, wanted_);
      remote_.services = std::move(has);
      wanted_.services = std::move(wants);
    }
    delta.from_generation = remote_.generation;
    delta.to_generation = wanted_.generation;
    for (const core::ServiceId id : services_differ_) {
      const auto wants = wanted_.services.find(id);
      const auto has = remote_.services.find(id);
      if (wants == wanted_.services.end()) {
        if (has != remote_.services.end()) delta.remove_services.push_back(id);
      } else if (has == remote_.services.end() || has->second != wants->second) {
        delta.upsert_services.push_back(wants->second);
      }
    }
  }
  all_differs_ = base_differs_ = false;
  services_differ_.clear();
  return delta;
}

void Publisher::publish() {
  lower_pod_mtu();
  in_flight_ = next_change();
  next_service_ = 0;
  in_flight_version_ = version_;
  is_publishing_ = true;
  sent_at_ = std::chrono::steady_clock::now();
  send_part();
}

void Publisher::send_part() {
  rpc::Request request;
  *request.mutable_publish()->mutable_delta() = ipc::next_part(in_flight_, next_service_);
  request.mutable_publish()->set_more(next_service_ < in_flight_.upsert_services.size());
  link_->call(request, [this](const Result<rpc::Response>& response) { on_published(response); });
}

void Publisher::on_published(const Result<rpc::Response>& response) {
  if (response && next_service_ < in_flight_.upsert_services.size()) return send_part();
  is_publishing_ = false;
  if (!response) {
    if (link_->is_up()) {
      refused(Error{"FL5021",
                    "the dataplane refused generation " + std::to_string(in_flight_.to_generation) + ": " +
                        response.error().what,
                    response.error().fix});
    }
    return;
  }
  if (std::string wrong = core::apply(remote_, in_flight_); !wrong.empty()) {
    // What it has is not what we thought: ask.
    return refused(Error{"FL5021", "the dataplane took a change that does not fit: " + wrong, "report this"});
  }
  const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - sent_at_);
  spdlog::info(
      "generation {} programmed in {:.1f} ms: {} endpoints, {} peers, {} routes, {} services ({} changed), "
      "mode "
      "{}, pod MTU {}",
      remote_.generation, took.count(), remote_.endpoints.size(), remote_.peers.size(), remote_.routes.size(),
      remote_.services.size(), in_flight_.upsert_services.size() + in_flight_.remove_services.size(),
      remote_.settings.mode, remote_.settings.pod_mtu);
  in_flight_ = {};
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
