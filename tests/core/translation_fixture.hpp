#pragma once

#include "tests/core/node_fixture.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::core {

// Services for tests of translation, as few words as they need: one frontend, which everybody may use.
class TestServices {
 public:
  // Replaces the one that answers there. `returns_here`: from outside, replies of a backend elsewhere come
  // back through this node.
  void put(uint8_t protocol, const std::string& frontend, uint16_t port,
           const std::vector<std::string>& backends, uint16_t target, bool returns_here = false) {
    Service service;
    service.service_namespace = "default";
    service.name = frontend;
    service.protocol = protocol;
    service.frontends = {{FrontendKind::kExternalIp, *IpAddress::parse(frontend), port}};
    service.is_ipv6 = service.frontends[0].address.is_ipv6();
    service.reply_path = returns_here ? ReplyPath::kThisNode : ReplyPath::kGeneve;
    for (const std::string& address : backends) {
      Backend backend;
      backend.address = *IpAddress::parse(address);
      backend.port = target;
      backend.local =
          address.starts_with("10.244.1.") || address.starts_with("fd00:10:244:1:") || address == "192.0.2.1";
      service.cluster_backends.push_back(static_cast<uint32_t>(service.backends.size()));
      service.backends.push_back(backend);
    }
    service.id = id_of(service);
    all_[service.id] = std::make_shared<const Service>(service);
    if (changed_) changed_();
  }
  void clear() {
    all_.clear();
    if (changed_) changed_();
  }
  void when_changed(std::function<void()> call) { changed_ = std::move(call); }
  [[nodiscard]] const std::map<ServiceId, std::shared_ptr<const Service>>& all() const { return all_; }

 private:
  [[nodiscard]] ServiceId id_of(const Service& service) const {
    for (const auto& [id, known] : all_) {
      if (known->protocol == service.protocol && known->frontends == service.frontends) return id;
    }
    return all_.empty() ? 1 : all_.rbegin()->first + 1;
  }

  std::map<ServiceId, std::shared_ptr<const Service>> all_;
  std::function<void()> changed_;
};

class TranslationFixture : public NodeFixture {
 protected:
  static constexpr uint16_t kSnatFirst = 61000, kSnatLast = 61007;

  // The node of `world` with masquerade addresses and a pool of eight ports.
  void start_translating(const std::string& world, uint32_t capacity = 1024, uint16_t snat_last = kSnatLast) {
    ForwarderConfig config{.flow_capacity = capacity, .seed = 11};
    services_.when_changed({});
    start(world, config);
    NodeState state = forwarder_->node_state();
    state.settings.masquerade4 = *IpAddress::parse("192.0.2.1");
    state.settings.masquerade6 = *IpAddress::parse("2001:db8::1");
    state.settings.no_masquerade = {*Prefix::parse("198.51.100.0/24")};
    state.settings.snat_port_first = kSnatFirst;
    state.settings.snat_port_last = snat_last;
    publish(state);
    services_.when_changed([this] { publish(forwarder_->node_state()); });
  }
  void publish(NodeState state) {
    state.services = services_.all();
    NodeFixture::publish(std::move(state));
  }

  // What one packet becomes: empty when it leaves `out_port` as `wanted` says.
  std::string leaves(PortId port, const std::string& text, PortId out_port, const std::string& wanted) {
    last_ = forward(port, text);
    return as_wanted(out_port, wanted);
  }
  std::string as_wanted(PortId out_port, const std::string& wanted) {
    const Packet& packet = last_.packet;
    if (packet.fate != Fate::kForward && packet.fate != Fate::kPunt && packet.fate != Fate::kAnswer) {
      return "dropped: " + std::string(describe(packet.reason).name);
    }
    if (packet.tx_port != out_port) return "left by port " + std::to_string(packet.tx_port);
    return difference(last_, wanted);
  }
  DropReason dropped(PortId port, const std::string& text) {
    last_ = forward(port, text);
    return last_.packet.fate == Fate::kDrop ? last_.packet.reason : DropReason::NONE;
  }
  [[nodiscard]] bool hit_last(uint64_t hits_before) const {
    return count(Counter::flow_hits) == hits_before + 1;
  }

  std::vector<FlowRecord> flows() const {
    std::vector<FlowRecord> all;
    forwarder_->each_flow({}, [&](const FlowRecord& flow) {
      all.push_back(flow);
      return true;
    });
    return all;
  }
  // The source port (or id) that the only translated flow from `port` was given.
  [[nodiscard]] uint16_t snat_port_of(uint16_t port) const {
    for (const FlowRecord& flow : flows()) {
      if (flow.source_port == port && flow.translated) return flow.reply_destination_port;
    }
    return 0;
  }

  TestServices services_;
  Sent last_;
};

}  // namespace fairlead::core
