#include "controlplane/agent/cni_state.hpp"

#include <spdlog/spdlog.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

namespace fairlead::control {

CniService::State::State(boost::asio::io_context& io_context, AgentCore& agent,
                         CniServiceOptions service_options, std::unique_ptr<Ipam> addresses)
    : io(io_context),
      core(agent),
      options(std::move(service_options)),
      ipam(std::move(addresses)),
      queue(options.state_dir),
      notes(io_context),
      retry(io_context),
      pool(options.threads) {}

void CniService::State::blocking(Work work, Done then) {
  boost::asio::post(pool, [this, self = shared_from_this(), work = std::move(work),
                           then = std::move(then)]() mutable {
    Result<void> result = work();
    // `self` goes along: the pool's threads must not be the last to hold the pool.
    boost::asio::post(io, [this, self = std::move(self), then = std::move(then), result = std::move(result)] {
      if (!is_stopped) then(result);
    });
  });
}

void CniService::State::stop() {
  is_stopped = true;
  retry.cancel();
  boost::system::error_code ignored;  // closing an inotify descriptor cannot lose anything
  notes.close(ignored);
  pool.join();
  keys.clear();  // its operations hold this state
}

Result<void> CniService::State::refresh_cidrs(const std::vector<core::Prefix>& now) {
  if (cidrs == now) return {};
  if (Result<void> set = ipam->set_cidrs(now); !set) return set;
  cidrs = now;
  return {};
}

PodLinkSpec CniService::State::spec_of(const Attachment& attachment, uint16_t route_mtu) const {
  PodLinkSpec spec;
  spec.netns = attachment.who.netns;
  spec.interface = attachment.who.key.interface;
  spec.host_interface = attachment.host_interface;
  spec.alias = link_alias(attachment.who.key);
  spec.mac = attachment.mac;
  spec.addresses = attachment.addresses;
  spec.device_mtu = route_mtu;
  spec.route_mtu = route_mtu;
  return spec;
}

// ---- DELs that came while nobody was here ----

Result<void> CniService::State::watch_queue() {
  std::error_code failure;
  std::filesystem::create_directories(queue.directory(), failure);
  if (failure)
    return Error{"FL4104", "cannot create " + queue.directory() + ": " + failure.message(),
                 "check the permissions, or choose another --state-dir"};
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0 || ::inotify_add_watch(fd, queue.directory().c_str(), IN_MOVED_TO) < 0) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return Error{"FL4104", "cannot watch " + queue.directory() + ": " + reason,
                 "raise fs.inotify.max_user_watches and max_user_instances"};
  }
  notes.assign(fd);
  wait_for_note();
  return {};
}

void CniService::State::wait_for_note() {
  notes.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [this, weak = weak_from_this()](const boost::system::error_code& error) {
                     const std::shared_ptr<State> self = weak.lock();
                     if (error || !self || is_stopped) return;
                     std::array<char, 4096> events{};
                     while (::read(notes.native_handle(), events.data(), events.size()) > 0) {
                     }
                     work_off_queue();
                     wait_for_note();
                   });
}

void CniService::State::work_off_queue() {
  std::vector<std::string> problems;
  const std::vector<DelQueue::Note> waiting = queue.list(problems);
  for (const std::string& problem : problems) spdlog::warn("{}", problem);
  for (const DelQueue::Note& note : waiting) {
    remove(note.key, Because::kNote, [this, key = note.key](const Result<void>& removed) {
      if (removed) return;
      spdlog::warn("queued DEL of {}: {}", key.text(), removed.error().text());
      retry.expires_after(options.retry_queued_del);
      retry.async_wait([this, weak = weak_from_this()](const boost::system::error_code& error) {
        const std::shared_ptr<State> self = weak.lock();
        if (!error && self && !is_stopped) work_off_queue();
      });
    });
  }
}

// Before the first state is published: what was deleted while we were away must not come back even once.
Result<void> CniService::State::drain_before_start() {
  std::vector<std::string> problems;
  const std::vector<DelQueue::Note> waiting = queue.list(problems);
  for (const std::string& problem : problems) spdlog::warn("{}", problem);
  for (const DelQueue::Note& note : waiting) {
    const std::optional<Attachment> found = ipam->find(note.key);
    Result<void> removed =
        found ? dismantle(*found) : remove_own_link(host_interface_name(note.key), note.key);
    if (!removed) return removed;
    queue.remove(note.key);
  }
  return {};
}

}  // namespace fairlead::control
