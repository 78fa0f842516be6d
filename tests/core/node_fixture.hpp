#pragma once

#include "dataplane/core/forwarder.hpp"
#include "tests/golden/rows.hpp"

#include <gtest/gtest.h>

namespace fairlead::core {

// A forwarder on the node of a packet row's state (tests/golden/rows/00-worlds.rows): uplink 1, trunk 2,
// host 3; pods a (10.244.1.2, endpoint 1) and b (10.244.1.3, endpoint 2); peer 2 resolved, peer 3 not.
class NodeFixture : public ::testing::Test {
 protected:
  // One packet with its own buffer.
  struct Sent {
    std::vector<uint8_t> buffer;
    Packet packet;

    [[nodiscard]] golden::Bytes bytes() const { return {packet.data, packet.data + packet.length}; }
  };

  void start(const std::string& world, ForwarderConfig config = {.flow_capacity = 1024, .seed = 11}) {
    world_ = rows().states.at(world);
    config_ = config;
    forwarder_ = std::make_unique<Forwarder>(config);
    std::vector<PortFacts> ports;
    const PortKind kinds[] = {PortKind::kUplink, PortKind::kTrunk, PortKind::kHost};
    for (PortId id = 1; id <= 3; ++id) {
      const golden::Bytes& mac = world_.port_macs.at(id);
      PortFacts facts{.id = id, .kind = kinds[id - 1]};
      std::copy(mac.begin(), mac.end(), facts.mac.bytes.begin());
      ports.push_back(facts);
    }
    ASSERT_TRUE(forwarder_->set_ports(ports).ok());
    underlay_ = golden::underlay_of(world_);
    ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
    publish(golden::node_state_of(world_, 1));
  }

  // Makes `state` the node's state, by the smallest delta.
  void publish(NodeState state) {
    state.generation = forwarder_->node_state().generation + 1;
    const Result<void> done = forwarder_->publish(diff(forwarder_->node_state(), state));
    ASSERT_TRUE(done.ok()) << (done.ok() ? "" : done.error().text());
  }

  [[nodiscard]] golden::Bytes frame(const std::string& text) const {
    return golden::build_frame(text, world_.macs()).bytes;
  }

  Sent forward(PortId port, const std::string& text, const Offload& offload = {}, uint16_t headroom = 256) {
    return forward(port, frame(text), offload, headroom);
  }

  Sent forward(PortId port, const golden::Bytes& bytes, const Offload& offload = {}, uint16_t headroom = 256,
               uint16_t tailroom = 64) {
    Sent sent;
    sent.buffer.resize(headroom + bytes.size() + tailroom);
    std::copy(bytes.begin(), bytes.end(), sent.buffer.begin() + headroom);
    sent.packet.data = sent.buffer.data() + headroom;
    sent.packet.length = static_cast<uint32_t>(bytes.size());
    sent.packet.headroom = headroom;
    sent.packet.tailroom = tailroom;
    sent.packet.rx_port = port;
    sent.packet.offload = offload;
    worker().forward({&sent.packet, 1}, now_ns_);
    EXPECT_TRUE(counters().conserved());
    return sent;
  }

  // Empty when what left is the frame that `text` describes.
  [[nodiscard]] std::string difference(const Sent& sent, const std::string& text) const {
    const golden::Frame wanted = golden::build_frame(text, world_.macs());
    return wanted.matches(sent.bytes()) ? "" : wanted.difference(sent.bytes());
  }

  [[nodiscard]] Forwarder::Worker& worker() { return forwarder_->worker(0); }
  [[nodiscard]] Counters counters() const { return forwarder_->counters(); }
  [[nodiscard]] uint64_t count(Counter counter) const { return counters()[counter]; }

  static const golden::Rows& rows() {
    static const golden::Rows all = golden::load_rows(FAIRLEAD_ROWS);
    return all;
  }

  golden::World world_;
  Underlay underlay_;
  ForwarderConfig config_;
  std::unique_ptr<Forwarder> forwarder_;
  uint64_t now_ns_ = 5'000'000'000;
};

}  // namespace fairlead::core
