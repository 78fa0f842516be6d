#pragma once

#include "dataplane/dpdk/dpdk_engine.hpp"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace fairlead::test {

// The whole DPDK engine - EAL, worker thread, ports, core - between memory rings instead of devices: what is
// put into a port comes out of one. Needs neither root nor huge pages.
//
//   RingEngine engine;                 // uplink 1, trunk 2, host 3
//   engine->publish(delta);            // it is a DpdkEngine
//   engine.inject(2, frame);
//   for (const auto& [port, bytes] : engine.collect()) ...
//
// One at a time in a process; the next one starts from nothing (empty flow table, no state).
class RingEngine {
 public:
  struct Frame {
    core::PortId port = 0;
    std::vector<uint8_t> bytes;
  };
  static constexpr core::PortId kUplink = 1, kTrunk = 2, kHost = 3;

  explicit RingEngine(dpdk::DpdkConfig config = small_config()) {
    auto made = dpdk::DpdkEngine::create(config);
    if (!made) throw std::runtime_error(made.error().text());
    engine_ = std::move(*made);
    cables();  // rings need a started EAL
    add(kUplink, PortKind::kUplink);
    add(kTrunk, PortKind::kTrunk);
    add(kHost, PortKind::kHost);
  }
  ~RingEngine() {
    engine_.reset();
    for (Cable& cable : cables()) {
      drop_all(cable.to_engine);
      drop_all(cable.from_engine);
    }
  }
  RingEngine(const RingEngine&) = delete;
  RingEngine& operator=(const RingEngine&) = delete;

  dpdk::DpdkEngine* operator->() { return engine_.get(); }
  dpdk::DpdkEngine& operator*() { return *engine_; }

  // Puts one frame into the port, as if it had come over the wire. At most 2,048 bytes in a small buffer,
  // otherwise one piece of up to 65,407.
  void inject(core::PortId port, std::span<const uint8_t> frame) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(frame.size() <= 2048 ? pools().small : pools().big);
    if (mbuf == nullptr) throw std::runtime_error("the harness has no buffer");
    std::copy(frame.begin(), frame.end(), rte_pktmbuf_mtod(mbuf, uint8_t*));
    mbuf->data_len = static_cast<uint16_t>(frame.size());
    mbuf->pkt_len = mbuf->data_len;
    if (rte_ring_enqueue(cables()[port - 1].to_engine, mbuf) != 0)
      throw std::runtime_error("the ring is full");
  }

  // Waits until everything injected has been dealt with, then takes what has come out, ports in order of
  // their ids.
  std::vector<Frame> collect() {
    for (Cable& cable : cables()) {
      while (rte_ring_empty(cable.to_engine) == 0) usleep(20);
    }
    engine_->settle();
    std::vector<Frame> frames;
    for (unsigned i = 0; i < cables().size(); ++i) {
      void* object;
      while (rte_ring_dequeue(cables()[i].from_engine, &object) == 0) {
        auto* mbuf = static_cast<rte_mbuf*>(object);
        const auto* bytes = rte_pktmbuf_mtod(mbuf, const uint8_t*);
        frames.push_back({static_cast<core::PortId>(i + 1), {bytes, bytes + mbuf->data_len}});
        rte_pktmbuf_free(mbuf);
      }
    }
    return frames;
  }

  static dpdk::DpdkConfig small_config() {
    dpdk::DpdkConfig config;
    config.huge_pages = false;
    config.big_buffers = 64;
    config.forwarder.flow_capacity = 1024;
    return config;
  }

 private:
  struct Cable {
    rte_ring* to_engine = nullptr;
    rte_ring* from_engine = nullptr;
  };
  struct Pools {
    rte_mempool* small = nullptr;
    rte_mempool* big = nullptr;
  };

  // Rings, their Ethernet devices and buffers live as long as the process.
  static std::array<Cable, 3>& cables() {
    static std::array<Cable, 3> all = [] {
      std::array<Cable, 3> made;
      for (unsigned i = 0; i < made.size(); ++i) {
        const std::string name = "cable" + std::to_string(i + 1);
        made[i].to_engine = rte_ring_create((name + "_to").c_str(), 1024, SOCKET_ID_ANY, 0);
        made[i].from_engine = rte_ring_create((name + "_from").c_str(), 1024, SOCKET_ID_ANY, 0);
        if (made[i].to_engine == nullptr || made[i].from_engine == nullptr ||
            rte_eth_from_rings(name.c_str(), &made[i].to_engine, 1, &made[i].from_engine, 1, 0) < 0) {
          throw std::runtime_error("no ring device " + name);
        }
      }
      return made;
    }();
    return all;
  }
  static const Pools& pools() {
    static const Pools all = {
        rte_pktmbuf_pool_create("cable_small", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY),
        rte_pktmbuf_pool_create("cable_big", 31, 0, 0, UINT16_MAX, SOCKET_ID_ANY)};
    if (all.small == nullptr || all.big == nullptr) throw std::runtime_error("the harness has no memory");
    return all;
  }
  static void drop_all(rte_ring* ring) {
    void* object;
    while (rte_ring_dequeue(ring, &object) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(object));
  }

  void add(core::PortId id, PortKind kind) {
    PortSpec spec;
    spec.id = id;
    spec.kind = kind;
    spec.device = "net_ring_cable" + std::to_string(id);
    spec.driver = "devargs-shared";
    if (auto added = engine_->add_port(spec); !added) throw std::runtime_error(added.error().text());
  }

  std::unique_ptr<dpdk::DpdkEngine> engine_;
};

}  // namespace fairlead::test
