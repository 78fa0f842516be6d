#pragma once

#include "controlplane/agent/cni_service.hpp"
#include "controlplane/agent/key_queue.hpp"
#include "controlplane/cni/del_queue.hpp"
#include "controlplane/host/pod_link.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::control {

// What a CniService consists of; private to its .cpp files. Kept alive by the callbacks that are under way.
struct CniService::State : std::enable_shared_from_this<CniService::State> {
  struct AddJob;
  using Work = std::function<Result<void>()>;

  State(boost::asio::io_context& io_context, AgentCore& agent, CniServiceOptions service_options,
        std::unique_ptr<Ipam> addresses);

  // Runs `work` on a thread of the pool and `then` back on the io_context's, unless stopped meanwhile.
  void blocking(Work work, Done then);
  void stop();

  void start_add(const std::shared_ptr<AddJob>& job);
  [[nodiscard]] Result<void> build(AddJob& job);
  void complete(const std::shared_ptr<AddJob>& job);
  void undo(const std::shared_ptr<AddJob>& job, const Error& why);

  // kNote: for a queued DEL, which must still be queued when its turn comes; an ADD may have come between.
  enum class Because { kRequest, kNote };
  void remove(const AttachmentKey& key, Because because, Done done);
  [[nodiscard]] Result<void> dismantle(const Attachment& attachment);
  [[nodiscard]] static Result<void> remove_own_link(const std::string& host_interface,
                                                    const AttachmentKey& key);

  [[nodiscard]] Result<void> refresh_cidrs(const std::vector<core::Prefix>& now);
  [[nodiscard]] PodLinkSpec spec_of(const Attachment& attachment, uint16_t route_mtu) const;

  [[nodiscard]] Result<void> watch_queue();
  void wait_for_note();
  void work_off_queue();
  [[nodiscard]] Result<void> drain_before_start();

  boost::asio::io_context& io;
  AgentCore& core;
  const CniServiceOptions options;
  const std::unique_ptr<Ipam> ipam;
  const DelQueue queue;
  KeyQueue keys;
  std::vector<core::Prefix> cidrs;              // what ipam was given last
  boost::asio::posix::stream_descriptor notes;  // inotify on the queue's directory
  boost::asio::steady_timer retry;
  boost::asio::thread_pool pool;
  bool is_stopped = false;
};

}  // namespace fairlead::control
