#pragma once

#include "tests/model/generate.hpp"

#include <deque>
#include <string>

namespace fairlead::model {

// One thing that happens to a node.
struct Event {
  uint32_t port = 0;  // a packet comes in
  golden::Bytes frame;
  uint32_t seconds = 0;  // time passes
  std::string change;    // the state becomes `world`: what changed
  golden::World world;
};

// Random Services and random conversations with them: requests from pods, the host, other nodes and outside;
// replies to what came out, resets, fragments, ICMP errors about it; backends that come and go between;
// seconds and hours that pass.
class History : private Generator {
 public:
  explicit History(uint64_t seed);

  [[nodiscard]] const golden::World& world() const { return world_; }
  [[nodiscard]] Event next();
  // A frame left by `port`: there may be an answer.
  void left(uint32_t port, const golden::Bytes& frame);

 private:
  // How a frame reaches the node.
  struct Wrap {
    enum Kind { kPod, kPlain, kTunnel, kHost } kind = kHost;
    std::string mac;    // kPod: source
    uint32_t peer = 0;  // kTunnel: index
  };
  // One direction of a conversation.
  struct Talk {
    Wrap wrap;
    int version = 4, protocol = 17;
    golden::Bytes source, destination;
    uint32_t source_port = 0,
             destination_port = 0;  // ICMP echo: the id in the first; 1 in the second: a reply
  };
  struct Left {
    uint32_t port = 0;
    golden::Bytes frame;
  };

  void make_services();
  void add_service(uint32_t id);
  [[nodiscard]] golden::WorldBackend some_backend(bool ipv6);
  [[nodiscard]] std::string change_service();
  [[nodiscard]] std::string replace_pod();

  [[nodiscard]] Talk new_talk();
  void choose_destination(Talk& talk);
  [[nodiscard]] bool choose_source(Talk& talk);
  [[nodiscard]] Event say(const Talk& talk, const std::string& flags);
  [[nodiscard]] Event wrapped(const Wrap& wrap, const std::string& ip);
  void say_in_fragments(const Talk& talk);
  [[nodiscard]] bool answer(Event& event);

  golden::World world_;
  std::deque<Talk> talks_;
  std::deque<Left> left_;
  std::deque<Event> queued_;
  uint32_t next_port_ = 1024, next_id_ = 1, next_endpoint_ = 100, short_waits_ = 0, next_service_ = 1;
};

}  // namespace fairlead::model
