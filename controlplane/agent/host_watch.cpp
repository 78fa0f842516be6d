#include "controlplane/agent/host_watch.hpp"

#include "controlplane/host/host_facts.hpp"
#include "controlplane/host/link.hpp"
#include "controlplane/host/routes.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <utility>  // Asio 1.74 uses std::exchange without it

namespace fairlead::control {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::milliseconds kQuiet{20};
constexpr int kEventBuffer = 1 << 20;

// Of routes only ours and the default matter here; a full BGP table may come and go beside them.
bool is_relevant(const nlmsghdr& message) {
  if (message.nlmsg_type != RTM_NEWROUTE && message.nlmsg_type != RTM_DELROUTE) return true;
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return false;
  const auto* route = reinterpret_cast<const rtmsg*>(&message + 1);
  return route->rtm_protocol == kRouteProtocol || route->rtm_dst_len == 0;
}

}  // namespace

struct HostWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, std::function<void()> callback)
      : changed(std::move(callback)), readable(io), quiet(io) {}

  void wait() {
    readable.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error) return;
                          self->take();
                          self->wait();
                        });
  }

  void take() {
    bool is_news = false;
    const Result<NetlinkEvents> taken =
        events.read_events([&](const nlmsghdr& message) { is_news |= is_relevant(message); });
    if (!taken) spdlog::warn("{}", taken.error().text());
    if (!taken || *taken == NetlinkEvents::kLost) is_news = true;
    if (!is_news || std::exchange(is_pending, true)) return;
    quiet.expires_after(kQuiet);
    quiet.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      self->is_pending = false;
      if (!error) self->changed();
    });
  }

  std::function<void()> changed;
  NetlinkSocket events, requests;
  asio::posix::stream_descriptor readable;  // shares the events' descriptor, does not own it
  asio::steady_timer quiet;
  bool is_pending = false;
};

Result<std::unique_ptr<HostWatch>> HostWatch::open(asio::io_context& io, std::function<void()> changed) {
  auto state = std::make_shared<State>(io, std::move(changed));
  for (NetlinkSocket* socket : {&state->events, &state->requests}) {
    Result<NetlinkSocket> opened = NetlinkSocket::open();
    if (!opened) return opened.error();
    *socket = std::move(*opened);
  }
  state->events.set_receive_buffer(kEventBuffer);
  for (const uint32_t group :
       {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE}) {
    if (Result<void> joined = state->events.subscribe(group); !joined) return joined.error();
  }
  state->readable.assign(state->events.poll_fd());
  state->wait();
  return std::unique_ptr<HostWatch>(new HostWatch(std::move(state)));
}

HostWatch::HostWatch(std::shared_ptr<State> state) : state_(std::move(state)) {}

HostWatch::~HostWatch() {
  state_->changed = [] {};
  state_->quiet.cancel();
  state_->readable.release();
}

Result<HostFacts> HostWatch::read(const std::string& uplink, const std::vector<core::IpAddress>& internal_ips,
                                  const std::vector<std::string>& patterns) {
  if (!uplink.empty()) return read_host_facts(state_->requests, uplink);
  if (patterns.empty()) {
    const Result<std::string> found = find_uplink(state_->requests, internal_ips);
    if (!found) return found.error();
    return read_host_facts(state_->requests, *found);
  }
  // The first glob that has a device, in the order of the configuration.
  Error last;
  for (const std::string& pattern : patterns) {
    const Result<std::string> found = find_uplink(state_->requests, internal_ips, {pattern});
    if (found) return read_host_facts(state_->requests, *found);
    last = found.error();
  }
  return last;
}

Result<void> HostWatch::sync_pod_routes(const std::string& device, const core::NodeSettings& settings,
                                        const std::set<core::IpAddress>& service_addresses,
                                        const std::vector<core::IpAddress>& local_addresses) {
  const Result<std::optional<LinkFacts>> link = find_link(state_->requests, device);
  if (!link) return link.error();
  if (!*link || ((*link)->flags & IFF_UP) == 0) return {};
  // ClusterIPs like pods: the node's own processes reach them through the forwarder.
  std::vector<core::Prefix> ranges = settings.cluster_pods;
  ranges.insert(ranges.end(), settings.cluster_services.begin(), settings.cluster_services.end());
  for (const core::IpAddress& address : service_addresses) {
    // One of the node's own is the kernel's, and a route cannot change that.
    if (std::find(local_addresses.begin(), local_addresses.end(), address) == local_addresses.end())
      ranges.push_back(core::Prefix::host(address));
  }
  std::vector<KernelRoute> wanted;
  for (const core::Prefix& prefix : ranges) {
    const core::IpAddress& own = prefix.address.is_ipv4() ? settings.vtep4 : settings.vtep6;
    const bool is_here =
        std::find(local_addresses.begin(), local_addresses.end(), own) != local_addresses.end();
    wanted.push_back({.destination = prefix,
                      .link = (*link)->index,
                      .gateway = {},
                      .source = is_here ? own : core::IpAddress{},
                      .mtu = settings.pod_mtu});
  }
  const Result<RouteChanges> changes = sync_routes(state_->requests, wanted);
  if (!changes) return changes.error();
  if (changes->put + changes->removed > 0) {
    spdlog::info("kernel routes to pods and services by {}: {} put, {} removed", device, changes->put,
                 changes->removed);
  }
  return {};
}

}  // namespace fairlead::control
