#include "controlplane/agent/cni_service.hpp"

#include "controlplane/agent/cni_state.hpp"
#include "controlplane/agent/key_queue.hpp"
#include "controlplane/cni/names.hpp"
#include "controlplane/host/pod_link.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

namespace fairlead::control {

namespace {

Result<void> validate(const AttachmentKey& key) {
  if (!is_valid_cni_name(key.container_id))
    return Error{"FL4004", "container id \"" + key.container_id + "\" is not valid",
                 "pass CNI_CONTAINERID as the runtime"};
  if (!is_valid_interface_name(key.interface))
    return Error{"FL4004", "interface name \"" + key.interface + "\" is not valid",
                 "pass CNI_IFNAME as the runtime"};
  return {};
}

Result<void> validate_netns(const std::string& netns) {
  if (netns.empty() || netns.front() != '/' || netns.size() > 4095)
    return Error{"FL4008", "\"" + netns + "\" is no absolute path of a network namespace",
                 "pass CNI_NETNS as the runtime"};
  return {};
}

rpc::CniAddReply reply_for(const Attachment& attachment, const PodLink& link, uint16_t mtu) {
  rpc::CniAddReply reply;
  reply.set_host_interface(attachment.host_interface);
  reply.set_host_mac(link.host_mac.text());
  reply.set_mac(attachment.mac.text());
  reply.set_mtu(mtu);
  for (const core::IpAddress& address : attachment.addresses) {
    reply.add_addresses(core::Prefix::host(address).text());
    reply.add_gateways(address.is_ipv4() ? kGatewayIpv4 : kGatewayIpv6);
  }
  reply.set_endpoint(attachment.endpoint);
  return reply;
}

}  // namespace

// One ADD on its way. Only one thread has it at a time.
struct CniService::State::AddJob {
  AttachmentRequest who;
  uint16_t pod_mtu = 0;
  uint16_t device_mtu = 0;
  Ipam::Reservation reservation = {};
  PodLink link = {};
  AddDone done;

  [[nodiscard]] bool was_complete() const { return reservation.existing && reservation.attachment.committed; }
};

Result<std::unique_ptr<CniService>> CniService::open(boost::asio::io_context& io, AgentCore& core,
                                                     CniServiceOptions options) {
  IpamOptions ipam_options;
  ipam_options.directory = options.state_dir + "/ipam";
  ipam_options.quarantine = options.quarantine;
  Result<std::unique_ptr<Ipam>> ipam = Ipam::open(std::move(ipam_options));
  if (!ipam) return ipam.error();
  auto state = std::make_shared<State>(io, core, std::move(options), std::move(*ipam));
  if (Result<void> watched = state->watch_queue(); !watched) return watched.error();
  return std::unique_ptr<CniService>(new CniService(std::move(state)));
}

CniService::~CniService() {
  state_->stop();
}

bool CniService::handle(const rpc::Request& request, const ipc::Reply& reply) {
  const Done answer = [reply](const Result<void>& result) {
    result ? reply.done() : reply.fail(result.error());
  };
  if (request.has_cni_add()) {
    add(request.cni_add(), [reply](Result<rpc::CniAddReply> result) {
      if (!result) return reply.fail(result.error());
      rpc::Response response;
      *response.mutable_cni_add() = std::move(*result);
      reply.answer(response);
    });
  } else if (request.has_cni_del()) {
    del(request.cni_del(), answer);
  } else if (request.has_cni_check()) {
    check(request.cni_check(), answer);
  } else if (request.has_cni_gc()) {
    collect_garbage(request.cni_gc(), answer);
  } else {
    return false;
  }
  return true;
}

// ---- ADD ----

void CniService::add(const rpc::CniAddRequest& request, AddDone done) {
  const AttachmentKey key{request.container_id(), request.interface()};
  Result<void> valid = validate(key);
  if (valid) valid = validate_netns(request.netns());
  if (!valid) return done(valid.error());
  // A DEL that is still queued belongs to an earlier life of the same attachment.
  if (state_->queue.contains(key)) state_->remove(key, State::Because::kNote, [](const Result<void>&) {});
  const AttachmentRequest who{key, request.pod_namespace(), request.pod_name(), request.pod_uid(),
                              request.netns()};
  state_->keys.run(key, [state = state_, who, done = std::move(done)](const KeyQueue::Finished& finished) {
    auto job = std::make_shared<State::AddJob>();
    job->who = who;
    job->done = [done, finished](Result<rpc::CniAddReply> result) {
      done(std::move(result));
      finished();
    };
    state->start_add(job);
  });
}

void CniService::State::start_add(const std::shared_ptr<AddJob>& job) {
  if (Result<void> set = refresh_cidrs(core.pod_cidrs()); !set) return job->done(set.error());
  job->pod_mtu = core.pod_mtu();
  job->device_mtu = core.intent().host.uplink_mtu;
  blocking([this, job] { return build(*job); },
           [this, job](const Result<void>& built) {
             if (!built) return job->done(built.error());
             const Attachment& attachment = job->reservation.attachment;
             core.attach(attachment.to_endpoint(job->link.host_ifindex), options.attach_timeout_ms,
                         [this, self = shared_from_this(), job](const Result<void>& attached) {
                           if (is_stopped) return;
                           attached ? complete(job) : undo(job, attached.error());
                         });
           });
}

// On a thread of the pool. A failure leaves nothing behind that was not there before.
Result<void> CniService::State::build(AddJob& job) {
  Result<Ipam::Reservation> reservation = ipam->reserve(job.who);
  if (!reservation) return reservation.error();
  job.reservation = std::move(*reservation);
  const Attachment& attachment = job.reservation.attachment;
  if (attachment.who.netns != job.who.netns)
    return Error{"FL4103",
                 job.who.key.text() + " is attached already, in " + attachment.who.netns + " and not in " +
                     job.who.netns,
                 "DEL the attachment first"};
  PodLinkSpec spec = spec_of(attachment, job.pod_mtu);
  spec.device_mtu = job.device_mtu;
  const Result<PodLink> link = make_pod_link(spec);
  if (link) {
    job.link = *link;
    return {};
  }
  Error error = link.error();
  if (!job.was_complete()) {
    if (const Result<bool> released = ipam->release(job.who.key); !released)
      error.what += "; and its addresses stay reserved: " + released.error().what;
  }
  return error;
}

void CniService::State::complete(const std::shared_ptr<AddJob>& job) {
  blocking([this, job] { return ipam->commit(job->who.key); },
           [this, job](const Result<void>& committed) {
             if (!committed) return undo(job, committed.error());
             // The mode may have changed meanwhile; from here on set_pod_mtu() knows this pod.
             const Attachment& attachment = job->reservation.attachment;
             if (const uint16_t now = core.pod_mtu(); now != job->pod_mtu) {
               job->pod_mtu = now;
               if (Result<void> changed = change_pod_mtu(spec_of(attachment, now), now); !changed)
                 return undo(job, changed.error());
             }
             job->done(reply_for(attachment, job->link, job->pod_mtu));
           });
}

void CniService::State::undo(const std::shared_ptr<AddJob>& job, const Error& why) {
  // A repeated ADD that fails must not harm what the first one made.
  if (job->was_complete()) return job->done(why);
  const Attachment attachment = job->reservation.attachment;
  core.detach(attachment.endpoint,
              [this, self = shared_from_this(), job, attachment, why](const Result<void>&) {
                if (is_stopped) return;
                blocking([this, attachment] { return dismantle(attachment); },
                         [job, why](const Result<void>& undone) {
                           Error error = why;
                           if (!undone) error.what += "; and taking it back failed: " + undone.error().what;
                           job->done(error);
                         });
              });
}

// ---- DEL ----

void CniService::del(const rpc::CniDelRequest& request, Done done) {
  const AttachmentKey key{request.container_id(), request.interface()};
  if (Result<void> valid = validate(key); !valid) return done(valid.error());
  state_->remove(key, State::Because::kRequest, std::move(done));
}

void CniService::State::remove(const AttachmentKey& key, Because because, Done done) {
  keys.run(key, [this, self = shared_from_this(), key, because,
                 done = std::move(done)](const KeyQueue::Finished& finished) {
    const auto end = [this, key, done, finished](const Result<void>& result) {
      if (result) queue.remove(key);
      done(result);
      finished();
    };
    if (because == Because::kNote && !queue.contains(key)) return end({});
    const std::optional<Attachment> found = ipam->find(key);
    if (!found) {
      // Nothing on record; a link may be left of an agent whose state was lost.
      blocking([key] { return remove_own_link(host_interface_name(key), key); }, end);
      return;
    }
    core.detach(found->endpoint, [this, self, attachment = *found, end](const Result<void>& detached) {
      if (is_stopped) return;
      // The address rests before it is used again, so an unconfirmed removal does no harm.
      if (!detached) spdlog::warn("{}", detached.error().text());
      blocking([this, attachment] { return dismantle(attachment); }, end);
    });
  });
}

// Somebody else's link under the name means that ours is gone.
Result<void> CniService::State::remove_own_link(const std::string& host_interface, const AttachmentKey& key) {
  Result<void> removed = remove_pod_link(host_interface, link_alias(key));
  if (!removed && removed.error().code == "FL4302") return {};
  return removed;
}

// On a thread of the pool. The address is given back only when nothing can use it any more.
Result<void> CniService::State::dismantle(const Attachment& attachment) {
  const AttachmentKey& key = attachment.who.key;
  if (Result<void> removed = remove_own_link(attachment.host_interface, key); !removed) return removed;
  if (const Result<bool> released = ipam->release(key); !released) return released.error();
  return {};
}

// ---- CHECK, GC ----

void CniService::check(const rpc::CniCheckRequest& request, Done done) {
  const AttachmentKey key{request.container_id(), request.interface()};
  Result<void> valid = validate(key);
  if (valid) valid = validate_netns(request.netns());
  if (!valid) return done(valid.error());
  const std::optional<Attachment> found = state_->ipam->find(key);
  if (!found || !found->committed)
    return done(Error{"FL4003", key.text() + " is not attached on this node", "recreate the pod"});
  // Plugins behind us in the chain may have added addresses; ours must still be there.
  const std::set<std::string> known(request.addresses().begin(), request.addresses().end());
  for (const core::IpAddress& address : found->addresses) {
    const std::string ours = core::Prefix::host(address).text();
    if (!known.contains(ours))
      return done(
          Error{"FL4102", "prevResult does not have " + ours + " of " + key.text(), "recreate the pod"});
  }
  if (!state_->core.intent().endpoints.contains(found->endpoint))
    return done(Error{"FL4102", key.text() + " is not known to the dataplane", "restart fairlead-agent"});
  PodLinkSpec spec = state_->spec_of(*found, state_->core.pod_mtu());
  spec.netns = request.netns();
  state_->blocking(
      [spec] {
        const Result<PodLink> checked = check_pod_link(spec);
        return checked ? Result<void>() : Result<void>(checked.error());
      },
      std::move(done));
}

void CniService::collect_garbage(const rpc::CniGcRequest& request, Done done) {
  std::set<AttachmentKey> valid;
  for (const rpc::CniAttachment& attachment : request.valid())
    valid.insert({attachment.container_id(), attachment.interface()});
  struct Progress {
    size_t left = 1;
    std::string failures = {};
  };
  auto progress = std::make_shared<Progress>();
  const auto one_less = [progress, done = std::move(done)] {
    if (--progress->left != 0) return;
    progress->failures.empty() ? done({})
                               : done(Error{"FL4105", "not everything could be removed:" + progress->failures,
                                            "see the agent's log; GC again"});
  };
  for (const Attachment& attachment : state_->ipam->attachments()) {
    // What is not complete yet belongs to an ADD that runs.
    if (!attachment.committed || valid.contains(attachment.who.key)) continue;
    ++progress->left;
    state_->remove(attachment.who.key, State::Because::kRequest,
                   [progress, one_less, key = attachment.who.key](const Result<void>& removed) {
                     if (!removed)
                       progress->failures += " " + key.text() + " (" + removed.error().what + ");";
                     one_less();
                   });
  }
  one_less();
}

// ---- the pods that are there ----

Result<std::vector<core::Endpoint>> CniService::restore() {
  if (Result<void> drained = state_->drain_before_start(); !drained) return drained.error();
  std::vector<core::Endpoint> endpoints;
  for (const Attachment& attachment : state_->ipam->attachments()) {
    const AttachmentKey& key = attachment.who.key;
    if (attachment.committed) {
      const Result<PodLink> link = find_pod_link(attachment.host_interface, link_alias(key));
      if (link) {
        endpoints.push_back(attachment.to_endpoint(link->host_ifindex));
        continue;
      }
      if (link.error().code != "FL4302" && link.error().code != "FL4303") return link.error();
      spdlog::info("{} is gone: {}", key.text(), link.error().what);
    } else {
      spdlog::info("the ADD of {} was interrupted: taking it back", key.text());
    }
    if (Result<void> undone = state_->dismantle(attachment); !undone) return undone.error();
  }
  return endpoints;
}

Result<void> CniService::set_pod_mtu(uint16_t mtu) {
  std::optional<Error> first_error;
  for (const Attachment& attachment : state_->ipam->attachments()) {
    if (!attachment.committed) continue;  // an ADD that runs looks again when it completes
    const Result<void> changed = change_pod_mtu(state_->spec_of(attachment, mtu), mtu);
    if (changed || changed.error().code == "FL4008" || changed.error().code == "FL4303") continue;
    if (!first_error) {
      first_error = changed.error();
      first_error->what =
          attachment.who.pod_namespace + "/" + attachment.who.pod_name + ": " + first_error->what;
    }
  }
  return first_error ? Result<void>(*first_error) : Result<void>();
}

void CniService::pod_cidrs_changed(const std::vector<core::Prefix>& cidrs) {
  // What is wrong with them is told to every ADD until they are right.
  if (Result<void> set = state_->refresh_cidrs(cidrs); !set) spdlog::error("{}", set.error().text());
}

uint32_t CniService::free_ipv4() const {
  uint64_t free = 0;
  for (const PoolUsage& usage : state_->ipam->usage())
    free += usage.cidr.address.is_ipv4() ? usage.free() : 0;
  return static_cast<uint32_t>(free);
}

Result<std::unique_ptr<PodService>> make_pod_service(boost::asio::io_context& io, AgentCore& core,
                                                     const PodServiceOptions& options) {
  CniServiceOptions service_options;
  service_options.state_dir = options.state_dir;
  Result<std::unique_ptr<CniService>> service = CniService::open(io, core, std::move(service_options));
  if (!service) return service.error();
  return std::unique_ptr<PodService>(std::move(*service));
}

}  // namespace fairlead::control
