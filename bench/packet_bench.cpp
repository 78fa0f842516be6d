#include "dataplane/core/segment.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"
#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/parse.h"
#include "dataplane/packet/rewrite.h"
#include "tests/packet/frames.hpp"

#include <benchmark/benchmark.h>
#ifdef FAIRLEAD_BENCH_DPDK
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_jhash.h>
#include <rte_thash.h>
#endif

#include <array>

// The packet room: what one packet costs in each of its functions, warm. Frames come in bursts of different
// ones, so that the branch predictor does not learn a single packet by heart.

namespace fairlead {
namespace {

using namespace fairlead::test;

constexpr size_t kFrames = 64;

struct Burst {
  std::vector<Bytes> frames;
  std::vector<parsed> read{kFrames};

  template <typename Make>
  explicit Burst(Make make) {
    for (size_t i = 0; i < kFrames; ++i) {
      frames.push_back(make(i));
      if (parse_frame(frames[i].data(), frames[i].data() + frames[i].size(), 0, &read[i]) != FL_PARSE_OK)
        std::abort();
    }
  }
};

Burst tcp4_burst() {
  return Burst([](size_t i) { return frame4({.id = static_cast<uint16_t>(i)}, tcp(pattern(i * 20))); });
}

Burst udp6_burst() {
  return Burst([](size_t i) { return frame6({.protocol = 17}, udp(pattern(i * 20))); });
}

Burst chain6_burst() {
  return Burst([](size_t i) {
    return frame6({.extensions = {{0, options_header(8)}, {60, options_header(16)}}}, tcp(pattern(i)));
  });
}

Burst mixed_burst() {
  return Burst([](size_t i) {
    if (i * 7 % 5 < 2) return frame6({.protocol = 17}, udp(pattern(i * 20)));
    return i * 7 % 5 == 2 ? frame4({.protocol = 1}, icmp(8, 0, 1, 1, pattern(56)))
                          : frame4({}, tcp(pattern(i * 20)));
  });
}

template <Burst (*make)()>
void parse(benchmark::State& state) {
  const Burst burst = make();
  parsed p;
  for (auto _ : state) {
    for (const Bytes& frame : burst.frames) {
      benchmark::DoNotOptimize(parse_frame(frame.data(), frame.data() + frame.size(), 0, &p));
      benchmark::DoNotOptimize(p);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(parse<tcp4_burst>);
BENCHMARK(parse<udp6_burst>);
BENCHMARK(parse<chain6_burst>);
BENCHMARK(parse<mixed_burst>);

void parse_vxlan(benchmark::State& state) {
  const Burst burst([](size_t i) {
    return frame4({.protocol = 17, .fill_checksum = false},
                  udp(vxlan(100, frame4({}, tcp(pattern(i * 20)))), 50000, 4789));
  });
  parsed outer, inner;
  tunnel t{};
  for (auto _ : state) {
    for (const Bytes& frame : burst.frames) {
      const uint8_t* end = frame.data() + frame.size();
      benchmark::DoNotOptimize(parse_frame(frame.data(), end, 0, &outer));
      benchmark::DoNotOptimize(parse_tunnel(frame.data(), end, &outer, FL_TUNNEL_VXLAN, &t));
      benchmark::DoNotOptimize(parse_frame(frame.data() + t.inner_offset,
                                           frame.data() + t.inner_offset + t.inner_length, 0, &inner));
      benchmark::DoNotOptimize(inner);
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(parse_vxlan);

// ---- checksums ----

void ipv4_header_checksum(benchmark::State& state) {
  Burst burst = tcp4_burst();
  for (auto _ : state) {
    for (Bytes& frame : burst.frames) {
      benchmark::DoNotOptimize(
          checksum_fold(checksum_ipv4_header(reinterpret_cast<ipv4_header*>(frame.data() + 14))));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(ipv4_header_checksum);

void sum_bytes(benchmark::State& state) {
  const Bytes bytes = pattern(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        checksum_fold(checksum_add(0, bytes.data(), static_cast<uint32_t>(bytes.size()))));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(sum_bytes)->Arg(40)->Arg(1460)->Arg(65000);

void copy_and_sum_bytes(benchmark::State& state) {
  const Bytes bytes = pattern(static_cast<size_t>(state.range(0)));
  Bytes to(bytes.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        checksum_fold(checksum_copy(0, to.data(), bytes.data(), static_cast<uint32_t>(bytes.size()))));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(copy_and_sum_bytes)->Arg(40)->Arg(1460);

#ifdef FAIRLEAD_BENCH_DPDK
void dpdk_ipv4_header_checksum(benchmark::State& state) {
  Burst burst = tcp4_burst();
  for (auto _ : state) {
    for (Bytes& frame : burst.frames) {
      benchmark::DoNotOptimize(rte_ipv4_cksum(reinterpret_cast<rte_ipv4_hdr*>(frame.data() + 14)));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(dpdk_ipv4_header_checksum);

void dpdk_sum_bytes(benchmark::State& state) {
  const Bytes bytes = pattern(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(rte_raw_cksum(bytes.data(), bytes.size()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(dpdk_sum_bytes)->Arg(40)->Arg(1460)->Arg(65000);
#endif

void decrement_ttl(benchmark::State& state) {
  Burst burst = tcp4_burst();
  for (auto _ : state) {
    for (Bytes& frame : burst.frames)
      rewrite_decrement_ttl4(reinterpret_cast<ipv4_header*>(frame.data() + 14));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(decrement_ttl);

void rewrite_addresses_and_ports(benchmark::State& state) {
  Burst burst = tcp4_burst();
  rewrite4 to{be32{1}, be32{2}, be16{3}, be16{4}};
  for (auto _ : state) {
    to.source.raw++;
    for (size_t i = 0; i < kFrames; ++i) rewrite_frame4(burst.frames[i].data(), &burst.read[i], &to, 0);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(rewrite_addresses_and_ports);

// ---- templates ----

encap_template tunnel_template(uint8_t ip_version) {
  encap_spec spec{};
  spec.source.word[0] = to_be32(0xc0000201);
  spec.destination.word[0] = to_be32(0xc0000207);
  spec.vni = 100;
  spec.port = to_be16(4789);
  spec.ip_version = ip_version;
  encap_template t;
  encap_build_tunnel(&t, &spec);
  return t;
}

// range: 0 plain Ethernet, 4 VXLAN over IPv4, 6 over IPv6
void push(benchmark::State& state) {
  encap_template t;
  if (state.range(0) == 0) {
    const mac_address mac{};
    encap_build_plain(&t, &mac, &mac);
  } else {
    t = tunnel_template(static_cast<uint8_t>(state.range(0)));
  }
  std::vector<std::array<uint8_t, 256>> buffers(kFrames);
  uint32_t hash = 1;
  for (auto _ : state) {
    for (auto& buffer : buffers) {
      hash = hash * 1664525 + 1013904223;
      benchmark::DoNotOptimize(
          encap_push(&t, buffer.data() + 128, hash >> 22, to_be16(0x0800), static_cast<uint8_t>(hash), hash));
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(push)->Arg(0)->Arg(4)->Arg(6);

// ---- hashes ----

template <typename Key>
std::vector<Key> keys() {
  std::vector<Key> out(kFrames);
  for (size_t i = 0; i < kFrames; ++i) {
    auto* bytes = reinterpret_cast<uint8_t*>(&out[i]);
    for (size_t b = 0; b < sizeof(Key) - 3; ++b) bytes[b] = static_cast<uint8_t>(i * 31 + b * 7);
  }
  return out;
}

template <typename Key, typename Hash>
void hash_keys(benchmark::State& state, Hash hash) {
  const std::vector<Key> all = keys<Key>();
  for (auto _ : state) {
    for (const Key& key : all) benchmark::DoNotOptimize(hash(key));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}

flow_secret secret() {
  flow_secret s;
  flow_secret_init(&s, 1);
  return s;
}

void hash4(benchmark::State& state) {
  const flow_secret s = secret();
  hash_keys<flow_key4>(state, [&](const flow_key4& key) { return flow_hash4(&s, &key); });
}
BENCHMARK(hash4);

void hash6(benchmark::State& state) {
  const flow_secret s = secret();
  hash_keys<flow_key6>(state, [&](const flow_key6& key) { return flow_hash6(&s, &key); });
}
BENCHMARK(hash6);

void key_and_hash4(benchmark::State& state) {
  const flow_secret s = secret();
  const Burst burst = tcp4_burst();
  for (auto _ : state) {
    for (const parsed& p : burst.read) {
      flow_key4 key;
      benchmark::DoNotOptimize(flow_key4_of(&p, &key));
      benchmark::DoNotOptimize(flow_hash4(&s, &key));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(key_and_hash4);

void key_and_hash6(benchmark::State& state) {
  const flow_secret s = secret();
  const Burst burst = udp6_burst();
  for (auto _ : state) {
    for (const parsed& p : burst.read) {
      flow_key6 key;
      benchmark::DoNotOptimize(flow_key6_of(&p, &key));
      benchmark::DoNotOptimize(flow_hash6(&s, &key));
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kFrames));
}
BENCHMARK(key_and_hash6);

#ifdef FAIRLEAD_BENCH_DPDK
// Seeded, but linear: keys that collide for one seed collide for all.
void dpdk_hash_crc4(benchmark::State& state) {
  hash_keys<flow_key4>(state, [](const flow_key4& key) { return rte_hash_crc(&key, sizeof(key), 1); });
}
BENCHMARK(dpdk_hash_crc4);

void dpdk_hash_crc6(benchmark::State& state) {
  hash_keys<flow_key6>(state, [](const flow_key6& key) { return rte_hash_crc(&key, sizeof(key), 1); });
}
BENCHMARK(dpdk_hash_crc6);

void dpdk_jhash4(benchmark::State& state) {
  hash_keys<flow_key4>(state, [](const flow_key4& key) { return rte_jhash(&key, sizeof(key), 1); });
}
BENCHMARK(dpdk_jhash4);

void dpdk_jhash6(benchmark::State& state) {
  hash_keys<flow_key6>(state, [](const flow_key6& key) { return rte_jhash(&key, sizeof(key), 1); });
}
BENCHMARK(dpdk_jhash6);
#endif

// ---- segments ----

// A super-packet of 40,000 bytes behind a VXLAN header, cut into 1,398-byte segments.
void segment_super_packet(benchmark::State& state) {
  const Bytes frame = frame4({.protocol = 17, .fill_checksum = false},
                             udp(vxlan(100, frame4({}, tcp(pattern(40000)))), 50000, 4789));
  Bytes to(2048);
  core::Packet packet;
  Bytes copy = frame;
  packet.data = copy.data();
  packet.length = static_cast<uint32_t>(copy.size());
  packet.encap_length = 50;
  packet.offload.segment_size = 1398;
  packet.offload.segment_kind = core::kSegmentTcp4;
  const core::FrameSink sink{
      &to,
      [](void* context, uint32_t) -> core::FrameBuffer {
        auto* bytes = static_cast<Bytes*>(context);
        return {bytes->data(), static_cast<uint32_t>(bytes->size()), nullptr};
      },
      [](void*, const core::FrameBuffer& buffer, uint32_t) { benchmark::DoNotOptimize(buffer.data[0]); }};
  uint32_t frames = 0;
  for (auto _ : state) frames += core::segment(packet, sink).frames;
  state.SetItemsProcessed(frames);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * 40000);
}
BENCHMARK(segment_super_packet);

}  // namespace
}  // namespace fairlead
