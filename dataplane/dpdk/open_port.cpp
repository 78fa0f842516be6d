#include "dataplane/dpdk/open_port.hpp"

#include "dataplane/dpdk/af_xdp.hpp"
#include "dataplane/dpdk/ethdev_port.hpp"
#include "dataplane/dpdk/offload_uplink.hpp"
#include "dataplane/dpdk/packet_socket_port.hpp"
#include "dataplane/dpdk/tap_port.hpp"
#include "dataplane/dpdk/wire_tap.hpp"

#include <algorithm>

namespace fairlead::dpdk {
namespace {

using OpenedPort = Result<std::unique_ptr<Port>>;

template <typename P>
OpenedPort as_port(Result<std::unique_ptr<P>> opened) {
  if (!opened) return opened.error();
  return std::unique_ptr<Port>(std::move(*opened));
}

OpenedPort open_devargs(const PortSpec& spec, const PortResources& resources, bool exclusive) {
  EthdevPort::Opening opening;
  opening.devargs = spec.device;
  opening.queue_pairs = spec.queues;
  // Frames of a physical device: its MTU is ours to set. Virtual devices take what their buffers hold.
  opening.sets_mtu = spec.device.find(':') < spec.device.find(',') && spec.device.rfind("net_", 0) != 0;
  opening.frame_room = static_cast<uint16_t>(std::min<unsigned>(UINT16_MAX, spec.mtu + 64u));
  auto opened = EthdevPort::open(spec, opening, resources.workers);
  if (opened.ok()) (*opened)->set_exclusive(exclusive);
  return as_port(std::move(opened));
}

void add_note(Port& port, const std::string& text) {
  port.set_note(port.note().empty() ? text : port.note() + "; " + text);
}

// The uplink with a way for TCP super-packets, or as it is with the reason in its note.
OpenedPort with_wire(OpenedPort nic, const PortResources& resources) {
  if (!nic) return nic;
  const PortSpec& spec = (*nic)->spec();
  auto wire = WireTap::open(spec, resources.big_pool, resources.small_pool, resources.workers);
  if (!wire) {
    add_note(**nic, "TCP super-packets are cut in software: " + wire.error().what);
    return nic;
  }
  const bool cuts_tunnels = (*wire)->cuts_tunnels();
  std::unique_ptr<Port> uplink =
      std::make_unique<OffloadUplink>(std::move(*nic), std::move(*wire), resources.workers);
  if (!cuts_tunnels) {
    add_note(*uplink, "TCP super-packets in tunnels are cut in software: the kernel is older than 6.17");
  }
  return uplink;
}

OpenedPort open_nic(const PortSpec& spec, const PortResources& resources) {
  if (spec.driver == "af_xdp") return as_port(open_af_xdp(spec, resources.xdp_object, resources.workers));
  auto packet_socket = [&] {
    return as_port(PacketSocketPort::open(spec, resources.big_pool, resources.small_pool, resources.workers));
  };
  if (spec.driver == "af_packet") return packet_socket();
  if (spec.driver != "auto") {
    return Error{"FL2015", "an uplink has no driver \"" + spec.driver + "\"",
                 "auto, af_xdp, af_packet, devargs (exclusive) or devargs-shared"};
  }
  auto xdp = open_af_xdp(spec, resources.xdp_object, resources.workers);
  if (xdp.ok() || xdp.error().code == "FL2011") return as_port(std::move(xdp));
  auto fallback = packet_socket();
  if (fallback.ok()) (*fallback)->set_note("AF_PACKET instead of AF_XDP: " + xdp.error().what);
  return fallback;
}

}  // namespace

OpenedPort open_port(const PortSpec& spec, const PortResources& resources) {
  if (spec.driver == "devargs" || (spec.kind == PortKind::kFast && spec.driver == "auto")) {
    return open_devargs(spec, resources, spec.kind == PortKind::kUplink);
  }
  if (spec.driver == "devargs-shared") return open_devargs(spec, resources, false);
  if (spec.kind == PortKind::kUplink) return with_wire(open_nic(spec, resources), resources);
  if (spec.kind != PortKind::kFast && (spec.driver == "tap" || spec.driver == "auto")) {
    return as_port(TapPort::open(spec, resources.big_pool, resources.small_pool, resources.workers));
  }
  return Error{"FL2015",
               "port " + std::to_string(spec.id) + " cannot have the driver \"" + spec.driver + "\"",
               "trunk and host: tap or devargs; fast ports: devargs"};
}

}  // namespace fairlead::dpdk
