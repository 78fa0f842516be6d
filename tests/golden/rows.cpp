#include "tests/golden/rows.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace fairlead::golden {
namespace {

const std::map<std::string, uint32_t> kPortNames{
    {"uplink", kUplinkPort}, {"trunk", kTrunkPort}, {"host", kHostPort}};

std::string port_name(uint32_t port) {
  for (const auto& [name, id] : kPortNames) {
    if (id == port) return name;
  }
  return "port " + std::to_string(port);
}

core::IpAddress address_of(const Bytes& bytes) {
  core::IpAddress address;
  if (bytes.empty()) return address;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  address.family = bytes.size() == 4 ? core::Family::kIpv4 : core::Family::kIpv6;
  return address;
}

core::Prefix prefix_of(const Net& net) {
  return {address_of(net.address), static_cast<uint8_t>(net.length)};
}

core::MacAddress mac_of(const Bytes& bytes) {
  core::MacAddress mac;
  std::copy(bytes.begin(), bytes.end(), mac.bytes.begin());
  return mac;
}

void read_file(const std::filesystem::path& path, Rows& rows) {
  std::ifstream file(path);
  std::string line, world_name;
  int number = 0;
  bool in_world = false;
  Row* row = nullptr;
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument(path.filename().string() + ":" + std::to_string(number) + ": " + what);
  };
  while (std::getline(file, line)) {
    ++number;
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') continue;
    line = line.substr(begin);
    std::stringstream stream(line);
    std::string verb;
    stream >> verb;
    std::string rest;
    std::getline(stream, rest);
    rest.erase(0, std::min(rest.find_first_not_of(' '), rest.size()));
    try {
      if (in_world) {
        if (verb == "end") {
          in_world = false;
        } else {
          read_world_line(rows.states.at(world_name), line);
        }
      } else if (verb == "world") {
        std::stringstream words(rest);
        std::string extends, base;
        words >> world_name >> extends >> base;
        rows.states[world_name] = base.empty() ? World{} : rows.states.at(base);
        in_world = true;
      } else if (verb == "row") {
        rows.rows.push_back({rest, "", path.filename().string(), {}});
        row = &rows.rows.back();
      } else if (row == nullptr) {
        refuse("expected row or world, found " + verb);
      } else if (verb == "state") {
        if (!rows.states.contains(rest)) refuse("no world is called " + rest);
        row->state = rest;
      } else if (verb == "in") {
        const size_t space = rest.find(' ');
        row->stimuli.push_back(
            {kPortNames.at(rest.substr(0, space)), rest.substr(space + 1), {}, "", {}, number});
      } else if (verb == "change") {
        if (!rows.states.contains(rest)) refuse("no world is called " + rest);
        row->stimuli.push_back({0, "", {}, rest, {}, number});
      } else if (verb == "count") {
        Stimulus count;
        count.line = number;
        std::stringstream words(rest);
        for (std::string word; words >> word;) {
          count.counted[word.substr(0, word.find('='))] = std::stoull(word.substr(word.find('=') + 1));
        }
        row->stimuli.push_back(count);
      } else if (verb == "out") {
        const size_t space = rest.find(' ');
        row->stimuli.back().expected.push_back(
            {Expectation::Kind::kOut, kPortNames.at(rest.substr(0, space)), rest.substr(space + 1), ""});
      } else if (verb == "drop") {
        row->stimuli.back().expected.push_back({Expectation::Kind::kDrop, 0, "", rest});
      } else if (verb == "for") {
        row->stimuli.back().expected.push_back({Expectation::Kind::kAnswerFor, 0, "", rest});
      } else if (verb == "hold") {
        row->stimuli.back().expected.push_back({Expectation::Kind::kHold, 0, "", ""});
      } else {
        refuse("unknown line: " + verb);
      }
    } catch (const std::out_of_range&) {
      refuse("unknown name in: " + line);
    }
  }
}

std::string check_ipv4_header(const Bytes& frame) {
  if (frame.size() < 34 || frame[12] != 0x08 || frame[13] != 0x00) return "";
  const size_t length = static_cast<size_t>(frame[14] & 15) * 4;
  if (frame.size() < 14 + length) return "";
  return internet_checksum(frame.data() + 14, length) == 0
             ? ""
             : "the IPv4 header checksum of what left is wrong\n";
}

core::DropReason reason_named(const std::string& name) {
  for (size_t index = 0; index < static_cast<size_t>(core::DropReason::kCount); ++index) {
    const auto reason = static_cast<core::DropReason>(index);
    if (core::describe(reason).name == name) return reason;
  }
  throw std::invalid_argument("no drop reason is called " + name);
}

uint64_t counter_named(const core::Counters& counters, const std::string& name) {
  for (size_t index = 0; index < static_cast<size_t>(core::Counter::kCount); ++index) {
    if (core::describe(static_cast<core::Counter>(index)).name == name) return counters.values[index];
  }
  return counters.drops[static_cast<size_t>(reason_named(name))];
}

std::string dropped_because(const core::Counters& before, const core::Counters& after) {
  std::string text;
  for (size_t index = 0; index < static_cast<size_t>(core::DropReason::kCount); ++index) {
    const std::string name(core::describe(static_cast<core::DropReason>(index)).name);
    if (after.drops[index] != before.drops[index]) text += " drop " + name;
    if (after.answers[index] != before.answers[index]) text += " answer for " + name;
  }
  return text.empty() ? " nothing was dropped or answered" : text;
}

std::string run_packet(const Stimulus& stimulus, const std::map<std::string, std::string>& macs,
                       RowEngine& engine) {
  const core::Counters before = engine.counters();
  const std::vector<Emitted> out = engine.inject(stimulus.port, build_frame(stimulus.frame, macs).bytes);
  const core::Counters after = engine.counters();
  std::string wrong;
  if (!after.conserved()) wrong += "packets are not conserved\n";
  std::vector<bool> used(out.size());
  for (const Expectation& expected : stimulus.expected) {
    switch (expected.kind) {
      case Expectation::Kind::kOut: {
        const Frame frame = build_frame(expected.frame, macs);
        bool found = false;
        std::string nearest;
        for (size_t index = 0; index < out.size() && !found; ++index) {
          if (used[index] || out[index].port != expected.port) continue;
          found = frame.matches(out[index].bytes);
          used[index] = found;
          if (!found) nearest = frame.difference(out[index].bytes);
        }
        if (!found) {
          wrong += "nothing like this left by " + port_name(expected.port) + ": " + expected.frame + "\n" +
                   nearest + " " + dropped_because(before, after) + "\n";
        }
        break;
      }
      case Expectation::Kind::kDrop:
      case Expectation::Kind::kAnswerFor: {
        const auto index = static_cast<size_t>(reason_named(expected.reason));
        const bool answer = expected.kind == Expectation::Kind::kAnswerFor;
        const uint64_t delta =
            answer ? after.answers[index] - before.answers[index] : after.drops[index] - before.drops[index];
        if (delta != 1) {
          wrong += std::string(answer ? "not answered for " : "not dropped for ") + expected.reason +
                   ", but" + dropped_because(before, after) + "\n";
        }
        break;
      }
      case Expectation::Kind::kHold:
        if (after[core::Counter::held] != before[core::Counter::held] + 1) {
          wrong += "not held, but" + dropped_because(before, after) + "\n";
        }
        break;
    }
  }
  for (size_t index = 0; index < out.size(); ++index) {
    wrong += check_ipv4_header(out[index].bytes);
    if (!used[index])
      wrong +=
          "this left by " + port_name(out[index].port) + " unexpectedly: " + hex(out[index].bytes) + "\n";
  }
  return wrong;
}

}  // namespace

Rows load_rows(const std::string& directory) {
  Rows rows;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".rows") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) read_file(file, rows);
  return rows;
}

std::string run_row(const Rows& rows, const Row& row, RowEngine& engine) {
  const World* world = &rows.states.at(row.state);
  engine.load(*world);
  const core::Counters start = engine.counters();
  for (const Stimulus& stimulus : row.stimuli) {
    std::string wrong;
    if (!stimulus.change_to.empty()) {
      world = &rows.states.at(stimulus.change_to);
      engine.change(*world);
    } else if (!stimulus.counted.empty()) {
      const core::Counters now = engine.counters();
      for (const auto& [name, wanted] : stimulus.counted) {
        const uint64_t delta = counter_named(now, name) - counter_named(start, name);
        if (delta != wanted)
          wrong += name + " rose by " + std::to_string(delta) + ", wanted " + std::to_string(wanted) + "\n";
      }
    } else {
      wrong = run_packet(stimulus, world->macs(), engine);
    }
    if (!wrong.empty()) {
      return row.file + ":" + std::to_string(stimulus.line) + ": row " + row.name + "\n  " + stimulus.frame +
             "\n" + wrong;
    }
  }
  return "";
}

core::NodeState node_state_of(const World& world, uint64_t generation) {
  core::NodeState state;
  state.generation = generation;
  core::NodeSettings& settings = state.settings;
  settings.node = world.name;
  settings.mode = world.mode;
  settings.encapsulation = world.geneve ? core::Encapsulation::kGeneve : core::Encapsulation::kVxlan;
  settings.vni = world.vni;
  settings.tunnel_port = static_cast<uint16_t>(world.tunnel_port);
  settings.vtep4 = address_of(world.vtep4);
  settings.vtep6 = address_of(world.vtep6);
  settings.pod_mtu = static_cast<uint16_t>(world.pod_mtu);
  settings.uplink_mtu = static_cast<uint16_t>(world.uplink_mtu);
  for (const Net& net : world.cluster_pods) settings.cluster_pods.push_back(prefix_of(net));
  for (const Net& net : world.local_pods) {
    settings.local_pods.push_back(prefix_of(net));
    state.routes[prefix_of(net)] = {core::RouteKind::kBlackhole, 0};
  }
  for (const Bytes& own : {world.vtep4, world.vtep6}) {
    if (!own.empty()) state.routes[core::Prefix::host(address_of(own))] = {core::RouteKind::kHost, 0};
  }
  for (const WorldEndpoint& endpoint : world.endpoints) {
    core::Endpoint& one = state.endpoints[endpoint.id];
    one.id = endpoint.id;
    one.pod_namespace = "default";
    one.pod_name = endpoint.name;
    one.container_id = endpoint.name;
    one.interface = "eth0";
    one.host_interface = "fl" + endpoint.name;
    one.host_ifindex = 1000 + endpoint.id;
    one.mac = mac_of(endpoint.mac);
    for (const Bytes& bytes : endpoint.addresses) {
      one.addresses.push_back(address_of(bytes));
      state.routes[core::Prefix::host(address_of(bytes))] = {core::RouteKind::kEndpoint, endpoint.id};
    }
  }
  for (const WorldPeer& peer : world.peers) {
    core::Peer& one = state.peers[static_cast<core::PeerId>(peer.id)];
    one.id = static_cast<core::PeerId>(peer.id);
    one.node = peer.name;
    one.transport = peer.overlay ? core::Transport::kOverlay : core::Transport::kRouted;
    one.vtep = address_of(peer.vtep);
    one.alternate_vtep = address_of(peer.alternate);
    one.vtep_mac = mac_of(peer.vtep_mac);
    one.next_hop4 = address_of(peer.next_hop4);
    one.next_hop6 = address_of(peer.next_hop6);
    for (const Net& net : peer.cidrs) {
      one.pod_cidrs.push_back(prefix_of(net));
      state.routes[prefix_of(net)] = {core::RouteKind::kPeer, peer.id};
    }
  }
  return state;
}

core::Underlay underlay_of(const World& world) {
  core::Underlay underlay;
  for (const auto& [port, mac] : world.port_macs) {
    underlay.links[static_cast<core::PortId>(port)] = {mac_of(mac),
                                                       static_cast<uint16_t>(world.port_mtus.at(port)), true};
  }
  for (const WorldRoute& route : world.underlay) {
    core::UnderlayRoute& one = underlay.routes[prefix_of(route.net)];
    if (route.kind == "local") {
      one.kind = core::UnderlayRouteKind::kLocal;
    } else {
      one.next_hops.push_back({address_of(route.gateway), static_cast<core::PortId>(route.port), 1});
    }
  }
  for (const auto& [address, mac] : world.neighbours)
    underlay.neighbours[{kUplinkPort, address_of(address)}] = mac_of(mac);
  return underlay;
}

}  // namespace fairlead::golden
