#include "dataplane/daemon/capture.hpp"

#include <pcap/pcap.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace fairlead::daemon {
namespace {

constexpr uint32_t kWholeFrame = 65'535;
constexpr unsigned kFramesPerPump = 1'024;
constexpr uint8_t kAllStages = 7;

struct StageWord {
  std::string_view word;
  uint8_t mask;
};
constexpr StageWord kStages[] = {{"rx", static_cast<uint8_t>(CaptureStage::kRx)},
                                 {"tx", static_cast<uint8_t>(CaptureStage::kTx)},
                                 {"drop", static_cast<uint8_t>(CaptureStage::kDrop)},
                                 {"all", kAllStages},
                                 {"", kAllStages}};

std::string_view word_for(CaptureStage stage) {
  for (const StageWord& row : kStages) {
    if (row.mask == static_cast<uint8_t>(stage)) return row.word;
  }
  return "";
}

// A compiled libpcap expression; an empty one lets everything pass.
class Filter {
 public:
  Filter() = default;
  Filter(Filter&& other) noexcept : program_(std::exchange(other.program_, {})) {}
  Filter& operator=(Filter&&) = delete;
  ~Filter() { pcap_freecode(&program_); }

  static Result<Filter> compile(const std::string& expression) {
    Filter filter;
    if (expression.find_first_not_of(" \t") == std::string::npos) return filter;
    const std::unique_ptr<pcap_t, decltype(&pcap_close)> ethernet(pcap_open_dead(DLT_EN10MB, kWholeFrame),
                                                                  pcap_close);
    if (!ethernet ||
        pcap_compile(ethernet.get(), &filter.program_, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
      return Error{"FL2120",
                   "the capture filter \"" + expression +
                       "\" does not compile: " + (ethernet ? pcap_geterr(ethernet.get()) : "out of memory"),
                   "man 7 pcap-filter has the syntax"};
    }
    return filter;
  }

  [[nodiscard]] bool matches(const CapturedFrame& frame) const {
    if (program_.bf_insns == nullptr) return true;
    pcap_pkthdr header{};
    header.caplen = static_cast<bpf_u_int32>(frame.bytes.size());
    header.len = frame.original_length;
    return pcap_offline_filter(&program_, &header, frame.bytes.data()) != 0;
  }

 private:
  bpf_program program_{};
};

}  // namespace

struct CaptureHub::Subscriber {
  ipc::Reply reply;
  Filter filter;
  uint8_t stages;
  uint32_t snap_length;
  uint32_t left;  // 0: no end
  uint64_t lost_before;
  uint64_t refused = 0;
  bool over = false;
};

CaptureHub::~CaptureHub() {
  if (active()) static_cast<void>(engine_.set_capture(0, 0).ok());
}

void CaptureHub::subscribe(const rpc::CaptureRequest& request, const ipc::Reply& reply) {
  const auto* stage = std::find_if(std::begin(kStages), std::end(kStages),
                                   [&](const StageWord& row) { return row.word == request.stage(); });
  if (stage == std::end(kStages)) {
    return reply.fail(
        {"FL2121", "there is no capture stage \"" + request.stage() + "\"", "one of rx, tx, drop, all"});
  }
  Result<Filter> filter = Filter::compile(request.filter());
  if (!filter) return reply.fail(filter.error());
  const uint32_t snap =
      request.snap_length() == 0 ? kWholeFrame : std::min(request.snap_length(), kWholeFrame);
  const auto subscriber = std::make_shared<Subscriber>(Subscriber{
      reply, std::move(*filter), stage->mask, snap, request.max_packets(), engine_.capture_lost()});
  subscribers_.push_back(subscriber);
  if (const Result<void> told = tell_engine(); !told) {
    subscribers_.remove(subscriber);
    return reply.fail(told.error());
  }
  reply.on_close([weak = std::weak_ptr(subscriber)] {
    if (const auto gone = weak.lock()) gone->over = true;
  });
  rpc::Response begun;
  begun.mutable_captured();
  static_cast<void>(reply.offer(begun));
}

Result<void> CaptureHub::tell_engine() {
  uint8_t stages = 0;
  uint32_t snap_length = 0;
  for (const std::shared_ptr<Subscriber>& subscriber : subscribers_) {
    stages |= subscriber->stages;
    snap_length = std::max(snap_length, subscriber->snap_length);
  }
  return engine_.set_capture(stages, snap_length);
}

void CaptureHub::pump() {
  static_cast<void>(
      engine_.drain_capture([this](const CapturedFrame& frame) { deliver(frame); }, kFramesPerPump));
  const size_t before = subscribers_.size();
  subscribers_.remove_if([](const std::shared_ptr<Subscriber>& subscriber) { return subscriber->over; });
  if (subscribers_.size() == before) return;
  if (const Result<void> told = tell_engine(); !told) spdlog::warn("capture: {}", told.error().text());
}

void CaptureHub::deliver(const CapturedFrame& frame) {
  for (const std::shared_ptr<Subscriber>& subscriber : subscribers_) {
    if (subscriber->over || (subscriber->stages & static_cast<uint8_t>(frame.stage)) == 0) continue;
    if (!subscriber->filter.matches(frame)) continue;
    rpc::Response item;
    rpc::CapturedPacket& packet = *item.mutable_captured();
    packet.set_time_ns(frame.time_ns);
    packet.set_port(frame.port);
    packet.set_stage(std::string(word_for(frame.stage)));
    if (frame.stage == CaptureStage::kDrop) packet.set_drop_reason(std::string(describe(frame.reason).name));
    packet.set_original_length(frame.original_length);
    packet.set_frame(frame.bytes.data(), std::min<size_t>(frame.bytes.size(), subscriber->snap_length));
    packet.set_lost(engine_.capture_lost() - subscriber->lost_before + subscriber->refused);
    if (!subscriber->reply.offer(item)) {
      ++subscriber->refused;
      continue;
    }
    if (subscriber->left == 0 || --subscriber->left != 0) continue;
    subscriber->over = true;
    subscriber->reply.done();
  }
}

}  // namespace fairlead::daemon
