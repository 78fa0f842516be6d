// What is read as plain and decided without a walk must come out as the steps say: two forwarders of one
// state, one of which walks every packet, get the same bursts.
#include "tests/core/translation_fixture.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <sstream>

namespace fairlead::core {
namespace {

class PlainPacketTest : public TranslationFixture {
 protected:
  static constexpr size_t kStride = 2048, kRoomBefore = 256;

  // A burst with its own memory.
  struct Burst {
    std::vector<uint8_t> memory = std::vector<uint8_t>(kBurst * kStride);
    std::array<Packet, kBurst> packets;
    unsigned count = 0;

    void put(PortId port, const golden::Bytes& bytes, const Offload& offload, uint16_t headroom) {
      Packet& packet = packets[count];
      packet = Packet{};
      packet.data = memory.data() + count * kStride + kRoomBefore;
      std::copy(bytes.begin(), bytes.end(), packet.data);
      packet.length = static_cast<uint32_t>(bytes.size());
      packet.headroom = headroom;
      packet.tailroom = 512;
      packet.rx_port = port;
      packet.offload = offload;
      ++count;
    }
  };

  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }

  void start_both(const std::string& world) {
    ForwarderConfig config{
        .flow_capacity = 1024, .seed = 11, .icmp_errors_per_second = 1000, .reads_plain = false};
    start(world, config);
    walking_ = std::move(forwarder_);
    config.reads_plain = true;
    start(world, config);
  }

  // Makes connections of both forwarders be translated: Services with backends here and behind node-2, and a
  // pool of eight source ports.
  void translate_both() {
    for (const uint8_t protocol : {uint8_t{6}, uint8_t{17}}) {
      services_.put(protocol, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
      services_.put(protocol, "fd00:10:96::10", 80, {"fd00:10:244:1::3"}, 8080);
      services_.put(protocol, "10.96.0.11", 80, {"10.244.2.2"}, 8081);
      services_.put(protocol, "fd00:10:96::11", 80, {"fd00:10:244:2::2"}, 8081);
    }
    NodeState state = forwarder_->node_state();
    state.generation += 1;
    state.settings.masquerade4 = *IpAddress::parse("192.0.2.1");
    state.settings.masquerade6 = *IpAddress::parse("2001:db8::1");
    state.settings.snat_port_first = kSnatFirst;
    state.settings.snat_port_last = kSnatLast;
    state.services = services_.all();
    const NodeStateDelta change = diff(forwarder_->node_state(), state);
    ASSERT_TRUE(forwarder_->publish(change).ok());
    ASSERT_TRUE(walking_->publish(change).ok());
  }

  // A packet of a translated connection: to a Service with its backend here (0) or elsewhere (1), or out of
  // the cluster (2); or one of its replies.
  std::pair<PortId, golden::Bytes> translated_packet() {
    const uint32_t kind = below(3);
    const bool tcp = below(2) == 0, v6 = below(3) == 0, back = below(2) == 0;
    const std::string client = std::to_string(kind == 2 && back ? kSnatFirst + below(8) : 1000 + below(6));
    const std::string server = kind == 2 ? "443" : !back ? "80" : kind == 0 ? "8080" : "8081";
    const char* const flags[] = {"A", "A", "A", "PA", "S", "SA", "FA", "R"};
    const std::string ports = back ? server + ">" + client : client + ">" + server;
    const std::string l4 = (tcp ? " tcp(" + ports + " flags=" + flags[below(8)] + ")"
                                : " udp(" + ports + (below(4) == 0 ? " csum=0" : "") + ")") +
                           " zeros(" + std::to_string(below(40)) + ")";
    const std::string pod = v6 ? "fd00:10:244:1::2" : "10.244.1.2";
    const std::string local = v6 ? "fd00:10:244:1::3" : "10.244.1.3";
    const std::string remote = v6 ? "fd00:10:244:2::2" : "10.244.2.2";
    const std::string service = std::string(v6 ? "fd00:10:96::1" : "10.96.0.1") + std::to_string(kind);
    const std::string outside = v6 ? "2001:4860::9" : "203.0.113.9";
    const std::string own = v6 ? "2001:db8::1" : "192.0.2.1";
    const char* const ttls[] = {"64", "64", "64", "2", "1"};
    const std::string ttl = ttls[below(5)];
    const auto packet = [&](const std::string& from, const std::string& to) {
      return (v6 ? " ip6(" : " ip4(") + from + ">" + to + (v6 ? " hl=" : " ttl=") + ttl + ")" + l4;
    };
    if (!back) return {2, frame("eth(02:46:4c:00:00:01>gw)" + packet(pod, kind == 2 ? outside : service))};
    if (kind == 0) return {2, frame("eth(02:46:4c:00:00:02>gw)" + packet(local, pod))};
    if (kind == 2) return {1, frame("eth(02:00:00:00:00:99>self)" + packet(outside, own))};
    if (below(3) == 0) return {1, frame("eth(02:00:00:00:00:99>self)" + packet(remote, pod))};
    return {1, frame("eth(02:00:00:00:00:99>self) ip4(192.0.2.2>192.0.2.1 df) udp(50000>4789 csum=0) " +
                     tunnel_ + "(100) eth(02:00:00:00:00:98>02:00:00:00:00:97)" + packet(remote, pod))};
  }

  // One connection's packet in either direction, mostly as ordinary as they come.
  std::pair<PortId, golden::Bytes> packet() {
    const uint32_t port = 1000 + below(6);
    const bool tcp = below(2) == 0, v6 = below(3) == 0;
    const char* const flags[] = {"A", "A", "A", "PA", "S", "SA", "FA", "R"};
    std::ostringstream l4;
    const bool back = below(2) == 0;
    if (tcp) {
      l4 << " tcp(" << (back ? 80 : port) << ">" << (back ? port : 80) << " flags=" << flags[below(8)] << ")";
    } else {
      l4 << " udp(" << (back ? 53 : port) << ">" << (back ? port : 53) << ")";
    }
    l4 << " zeros(" << below(40) << ")";
    const char* const ttls[] = {"64", "64", "64", "63", "2", "1", "0"};
    const std::string ttl = ttls[below(7)];
    const std::string local = v6 ? "fd00:10:244:1::2" : "10.244.1.2";
    const std::string other = v6 ? "fd00:10:244:1::3" : "10.244.1.3";
    const std::string remote = v6 ? "fd00:10:244:2::2" : "10.244.2.2";
    const auto inner = [&](const std::string& from, const std::string& to) {
      return (v6 ? " ip6(" : " ip4(") + from + ">" + to + (v6 ? " hl=" : " ttl=") + ttl +
             (below(4) == 0 ? (v6 ? " tc=" : " tos=") + std::to_string(below(256)) : "") + ")" + l4.str();
    };
    if (below(4) == 0)
      return {2, frame("eth(" + std::string(back ? "02:46:4c:00:00:02" : "02:46:4c:00:00:01") + ">gw)" +
                       (back ? inner(other, local) : inner(local, other)))};
    if (!back) return {2, frame("eth(02:46:4c:00:00:01>gw)" + inner(local, remote))};
    if (below(3) == 0) return {1, frame("eth(02:00:00:00:00:99>self)" + inner(remote, local))};
    return {1, frame("eth(02:00:00:00:00:99>self) ip4(192.0.2.2>192.0.2.1 df tos=" +
                     std::to_string(below(4) * below(2)) + ") udp(50000>4789 csum=0) " + tunnel_ +
                     "(100) eth(02:00:00:00:00:98>02:00:00:00:00:97)" + inner(remote, local))};
  }

  // Hits header bytes, lengths and options now and then, and mends the IPv4 checksum in half of the cases.
  void spoil(golden::Bytes& bytes) {
    if (below(4) != 0) return;
    for (uint32_t flips = 1 + below(2); flips > 0; --flips) {
      bytes[below(std::min<uint32_t>(110, static_cast<uint32_t>(bytes.size())))] ^= 1u << below(8);
    }
    if (below(6) == 0) bytes.resize(14 + below(static_cast<uint32_t>(bytes.size()) - 13));
    if (below(6) == 0) bytes.resize(bytes.size() + below(30));
    if (bytes.size() >= 34 && bytes[12] == 8 && below(2) == 0) {
      bytes[24] = bytes[25] = 0;
      const uint16_t sum = golden::internet_checksum(bytes.data() + 14, 20);
      bytes[24] = static_cast<uint8_t>(sum >> 8);
      bytes[25] = static_cast<uint8_t>(sum);
    }
  }

  Offload offload() {
    if (below(8) != 0) return {};
    return {.checksum_partial = below(2) == 0,
            .checksum_verified = below(2) == 0,
            .segment_size = static_cast<uint16_t>(below(4) == 0 ? 100 : 0),
            .checksum_start = static_cast<uint16_t>(below(120)),
            .checksum_offset = static_cast<uint16_t>(below(30))};
  }

  static void expect_same(const Burst& plain, const Burst& walked) {
    for (unsigned i = 0; i < plain.count; ++i) {
      const Packet& a = plain.packets[i];
      const Packet& b = walked.packets[i];
      ASSERT_EQ(a.fate, b.fate) << "packet " << i;
      ASSERT_EQ(a.reason, b.reason) << "packet " << i;
      ASSERT_EQ(a.data - plain.memory.data(), b.data - walked.memory.data()) << "packet " << i;
      ASSERT_EQ(a.length, b.length);
      ASSERT_EQ(a.headroom, b.headroom);
      ASSERT_EQ(a.tailroom, b.tailroom);
      ASSERT_EQ(a.tx_port, b.tx_port);
      ASSERT_EQ(a.encap_length, b.encap_length);
      ASSERT_EQ(a.tx_mtu, b.tx_mtu);
      ASSERT_EQ(a.next_hop, b.next_hop);
      ASSERT_EQ(a.offload.checksum_partial, b.offload.checksum_partial);
      ASSERT_EQ(a.offload.segment_size, b.offload.segment_size);
      ASSERT_EQ(a.offload.checksum_start, b.offload.checksum_start);
      ASSERT_EQ(a.offload.checksum_offset, b.offload.checksum_offset);
    }
    ASSERT_EQ(plain.memory, walked.memory);
  }

  [[nodiscard]] static std::string flows_of(const Forwarder& forwarder) {
    std::vector<std::string> lines;
    forwarder.each_flow({}, [&](const FlowRecord& flow) {
      std::ostringstream line;
      line << flow.source.text() << ' ' << flow.destination.text() << ' ' << flow.source_port << ' '
           << flow.destination_port << ' ' << flow.state << ' ' << flow.packets_original << ' '
           << flow.packets_reply << ' ' << flow.bytes_original << ' ' << flow.bytes_reply << ' '
           << flow.idle_seconds << ' ' << flow.translated << ' ' << flow.reply_source.text() << ' '
           << flow.reply_source_port << ' ' << flow.reply_destination.text() << ' '
           << flow.reply_destination_port;
      lines.push_back(line.str());
      return true;
    });
    std::sort(lines.begin(), lines.end());
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  }

  std::unique_ptr<Forwarder> walking_;
  std::mt19937_64 random_{20261126};
  std::string tunnel_ = "vxlan";
};

TEST_F(PlainPacketTest, ComesOutAsTheStepsSay) {
  for (const auto& [world, translates] : {std::pair{"overlay", false},
                                          {"routed", false},
                                          {"auto", false},
                                          {"overlay6", false},
                                          {"geneve", false},
                                          {"overlay", true},
                                          {"routed", true},
                                          {"overlay6", true},
                                          {"geneve", true}}) {
    SCOPED_TRACE(world);
    services_.clear();
    const bool geneve = std::string_view(world) == "geneve";
    start_both(geneve ? "overlay" : world);
    tunnel_ = geneve ? "geneve" : "vxlan";
    if (geneve) {
      NodeState state = forwarder_->node_state();
      state.generation += 1;
      state.settings.encapsulation = Encapsulation::kGeneve;
      const NodeStateDelta change = diff(forwarder_->node_state(), state);
      ASSERT_TRUE(forwarder_->publish(change).ok());
      ASSERT_TRUE(walking_->publish(change).ok());
    }
    if (translates) {
      ASSERT_NO_FATAL_FAILURE(translate_both());
    }
    Burst plain, walked;
    for (int round = 0; round < 600; ++round) {
      plain.count = walked.count = 0;
      const uint32_t count = 1 + below(kBurst);
      for (uint32_t i = 0; i < count; ++i) {
        auto [port, bytes] = translates && below(4) != 0 ? translated_packet() : packet();
        spoil(bytes);
        if (below(40) == 0) port = static_cast<PortId>(below(5));
        const Offload with = offload();
        const auto headroom = static_cast<uint16_t>(below(20) == 0 ? below(60) : kRoomBefore);
        plain.put(port, bytes, with, headroom);
        walked.put(port, bytes, with, headroom);
      }
      worker().forward({plain.packets.data(), count}, now_ns_);
      walking_->worker(0).forward({walked.packets.data(), count}, now_ns_);
      ASSERT_NO_FATAL_FAILURE(expect_same(plain, walked)) << "round " << round;
      now_ns_ += 50'000'000;
      if (round % 50 == 49) {
        forwarder_->age(now_ns_, 1u << 20);
        walking_->age(now_ns_, 1u << 20);
        // A change in the middle of it: every template of peer 2 gets another generation.
        NodeState state = forwarder_->node_state();
        state.generation += 1;
        ASSERT_TRUE(state.peers.contains(2));
        state.peers[2].vtep_mac = MacAddress{{2, 0, 0, 0, 9, static_cast<uint8_t>(round)}};
        const NodeStateDelta change = diff(forwarder_->node_state(), state);
        ASSERT_TRUE(forwarder_->publish(change).ok());
        ASSERT_TRUE(walking_->publish(change).ok());
      }
    }
    const Counters a = forwarder_->counters(), b = walking_->counters();
    EXPECT_EQ(a.values, b.values);
    EXPECT_EQ(a.drops, b.drops);
    EXPECT_EQ(a.answers, b.answers);
    EXPECT_TRUE(a.conserved());
    EXPECT_EQ(flows_of(*forwarder_), flows_of(*walking_));
    const std::vector<FlowRecord> all = flows();
    const auto is_translated = [](const FlowRecord& flow) { return flow.translated; };
    EXPECT_EQ(std::any_of(all.begin(), all.end(), is_translated), translates);
    if (std::string_view(world) == "overlay" || geneve) {
      EXPECT_GT(a[Counter::decapsulated], a[Counter::in] / 10);
    }
    EXPECT_GT(a[Counter::flow_hits], a[Counter::in] / 8) << "the packets of this test must be worth it";
  }
}

// Templates whose numbers are 1,024 apart share a place in a worker's PlainWays: out and back of one flow
// may.
TEST_F(PlainPacketTest, TemplatesThatShareAPlace) {
  start_both("overlay");
  NodeState state = forwarder_->node_state();
  state.generation += 1;
  constexpr EndpointId kFirst = 100, kCount = 1200;
  for (EndpointId id = kFirst; id < kFirst + kCount; ++id) {
    Endpoint endpoint = state.endpoints.begin()->second;
    endpoint.id = id;
    endpoint.host_interface = "fl" + std::to_string(id);
    endpoint.host_ifindex = id;
    endpoint.addresses = {*IpAddress::parse("10.244.1." + std::to_string(id % 250 + 4))};
    endpoint.addresses[0].bytes[1] = static_cast<uint8_t>(100 + id / 250);
    state.routes[Prefix::host(endpoint.addresses[0])] = {RouteKind::kEndpoint, id};
    state.endpoints[id] = endpoint;
  }
  const NodeStateDelta change = diff(forwarder_->node_state(), state);
  ASSERT_TRUE(forwarder_->publish(change).ok());
  ASSERT_TRUE(walking_->publish(change).ok());
  const auto mac = [](EndpointId id) {
    char text[32];
    std::snprintf(text, sizeof(text), "02:46:4c:%02x:%02x:%02x", id >> 16, id >> 8 & 0xff, id & 0xff);
    return std::string(text);
  };
  Burst plain, walked;
  for (EndpointId id = kFirst; id + 1024 < kFirst + kCount; ++id) {
    const EndpointId other = id + 1024;
    const std::string a = state.endpoints[id].addresses[0].text(),
                      b = state.endpoints[other].addresses[0].text();
    plain.count = walked.count = 0;
    for (int i = 0; i < 8; ++i) {
      const golden::Bytes bytes =
          i % 2 == 0 ? frame("eth(" + mac(id) + ">gw) ip4(" + a + ">" + b + " ttl=64) udp(7>9) zeros(20)")
                     : frame("eth(" + mac(other) + ">gw) ip4(" + b + ">" + a + " ttl=64) udp(9>7) zeros(20)");
      plain.put(2, bytes, {}, kRoomBefore);
      walked.put(2, bytes, {}, kRoomBefore);
    }
    for (int round = 0; round < 2; ++round) {
      worker().forward({plain.packets.data(), plain.count}, now_ns_);
      walking_->worker(0).forward({walked.packets.data(), walked.count}, now_ns_);
      ASSERT_NO_FATAL_FAILURE(expect_same(plain, walked)) << id;
      ASSERT_EQ(plain.packets[0].fate, Fate::kForward) << id;
      for (Burst* burst : {&plain, &walked}) {  // on they go, from the same sender
        for (unsigned i = 0; i < burst->count; ++i) {
          const std::string sender = mac(i % 2 == 0 ? id : other);
          const MacAddress named = *MacAddress::parse(sender);
          std::copy(named.bytes.begin(), named.bytes.end(), burst->packets[i].data + 6);
        }
      }
    }
  }
  EXPECT_EQ(forwarder_->counters().values, walking_->counters().values);
  EXPECT_GT(count(Counter::flow_hits), 800u);
}

}  // namespace
}  // namespace fairlead::core
