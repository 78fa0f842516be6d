// fairlead-load: request and response, connections, small datagrams, one at a time or as fast as they go,
// with exact percentiles (every sample is kept).
//
//   fairlead-load serve ADDRESS PORT [NAME]                   the other end of all below, TCP and UDP
//   fairlead-load rr    ADDRESS PORT SECONDS                  one byte each way on one TCP connection
//   fairlead-load crr   ADDRESS PORT SECONDS                  connect, one byte each way, closed by the
//   server fairlead-load flood ADDRESS PORT SECONDS [PAYLOAD_BYTES]  datagrams as fast as they go; what
//   arrived counts fairlead-load pace  ADDRESS PORT SECONDS PPS [PAYLOAD_BYTES]  the same, evenly spaced
//   fairlead-load wake  ADDRESS PORT COUNT GAP_US             single datagrams after silence, one-way times
//   fairlead-load until ADDRESS PORT NAME SECONDS             connects again and again until the server of
//   that name (one character) answers; "ready" when the first one did, then when its connection began
//
// Both ends run on one machine, so one clock (CLOCK_MONOTONIC) serves both: one-way times are differences.
// Clients print one JSON line. Exit codes: 0 ok, 1 failed, 2 usage.

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr char kKeepOpen = 'R', kCloseAfter = 'C', kSayName = 'N';
constexpr unsigned kBatch = 64;
// 64 bytes on the wire with the frame check sequence: 14 Ethernet, 20 IPv4, 8 UDP, 4 FCS.
constexpr size_t kPayloadOf64 = 18;

enum class Kind : uint16_t { kCount = 1, kEcho = 2, kAsk = 3, kAnswer = 4 };

// The head of every datagram; 18 bytes, so that it fits the smallest frame.
struct __attribute__((packed)) Datagram {
  Kind kind;
  uint64_t number;   // kEcho: its number; kAnswer: datagrams counted so far
  uint64_t time_ns;  // kEcho: when sent; its answer: how long the way took
};
static_assert(sizeof(Datagram) == kPayloadOf64);

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "fairlead-load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(time.tv_nsec);
}

void sleep_until_ns(uint64_t when_ns) {
  const timespec until{static_cast<time_t>(when_ns / 1'000'000'000u),
                       static_cast<long>(when_ns % 1'000'000'000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

struct Target {
  sockaddr_storage address{};
  socklen_t length = 0;
  int family = 0;

  Target(const char* host, const char* port) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (getaddrinfo(host, port, &hints, &found) != 0)
      fail(std::string("not an address and port: ") + host + " " + port);
    std::memcpy(&address, found->ai_addr, found->ai_addrlen);
    length = found->ai_addrlen;
    family = found->ai_family;
    freeaddrinfo(found);
  }
  [[nodiscard]] const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&address); }
};

void set_option(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value) != 0) fail("setsockopt");
}

void set_receive_timeout(int fd, int seconds) {
  const timeval time{seconds, 0};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) != 0) fail("setsockopt");
}

int open_socket(const Target& target, int type) {
  const int fd = socket(target.family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  if (type == SOCK_DGRAM) set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20);
  return fd;
}

void set_send_timeout(int fd, int seconds) {
  const timeval time{seconds, 0};
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) != 0) fail("setsockopt");
}

int connected(const Target& target, int type) {
  const int fd = open_socket(target, type);
  if (connect(fd, target.raw(), target.length) != 0) fail("connect");
  set_receive_timeout(fd, 5);
  if (type == SOCK_STREAM) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

// ---- the server
// -----------------------------------------------------------------------------------------------------

// One connection at a time is all that rr and crr have; one that went silent is given up after the time-out.
[[noreturn]] void serve_tcp(const Target& target, char name) {
  const int listener = open_socket(target, SOCK_STREAM);
  set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);  // accepted sockets inherit it
  if (bind(listener, target.raw(), target.length) != 0 || listen(listener, 128) != 0) fail("listen");
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    set_receive_timeout(fd, 5);
    char request = 0;
    while (recv(fd, &request, 1, 0) == 1) {
      const char answer = request == kSayName ? name : request;
      if (send(fd, &answer, 1, MSG_NOSIGNAL) != 1 || request != kKeepOpen) break;
    }
    close(fd);
  }
}

// kCount is counted, kEcho answered with its one-way time, kAsk with the count.
[[noreturn]] void serve_udp(int fd) {
  std::vector<Datagram> datagrams(kBatch);
  std::vector<sockaddr_storage> from(kBatch);
  std::vector<iovec> parts(kBatch);
  std::vector<mmsghdr> messages(kBatch);
  uint64_t counted = 0;
  for (;;) {
    for (unsigned i = 0; i < kBatch; ++i) {
      parts[i] = {&datagrams[i], sizeof(Datagram)};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &from[i];
      messages[i].msg_hdr.msg_namelen = sizeof from[i];
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int got = recvmmsg(fd, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    const uint64_t arrived_ns = now_ns();
    for (int i = 0; i < got; ++i) {
      Datagram& datagram = datagrams[static_cast<size_t>(i)];
      if (messages[static_cast<size_t>(i)].msg_len < sizeof datagram) continue;
      if (datagram.kind == Kind::kCount) {
        ++counted;
        continue;
      }
      if (datagram.kind == Kind::kEcho) datagram.time_ns = arrived_ns - datagram.time_ns;
      if (datagram.kind == Kind::kAsk) datagram = {Kind::kAnswer, counted, 0};
      const msghdr& header = messages[static_cast<size_t>(i)].msg_hdr;
      // An answer that cannot be sent is missed by the client, who counts it.
      (void)!sendto(fd, &datagram, sizeof datagram, 0, static_cast<const sockaddr*>(header.msg_name),
                    header.msg_namelen);
    }
  }
}

int serve(const Target& target, char name) {
  const int fd = open_socket(target, SOCK_DGRAM);
  if (bind(fd, target.raw(), target.length) != 0) fail("bind");
  std::thread(serve_udp, fd).detach();
  serve_tcp(target, name);
}

// ---- percentiles
// ----------------------------------------------------------------------------------------------------

// "p50_us" and so on of samples in nanoseconds, as members of a JSON object. Nearest rank.
std::string percentiles(std::vector<uint64_t> samples_ns, const char* prefix = "") {
  if (samples_ns.empty()) return {};
  std::sort(samples_ns.begin(), samples_ns.end());
  std::string text;
  const auto add = [&](const char* name, double p) {
    const auto rank = static_cast<size_t>(std::lround(p * static_cast<double>(samples_ns.size() - 1)));
    char member[64];
    std::snprintf(member, sizeof member, ",\"%s%s_us\":%.3f", prefix, name,
                  static_cast<double>(samples_ns[rank]) / 1e3);
    text += member;
  };
  add("p50", 0.5);
  add("p90", 0.9);
  add("p99", 0.99);
  add("p999", 0.999);
  add("max", 1.0);
  return text;
}

int print_transactions(const std::vector<uint64_t>& samples_ns, uint64_t took_ns) {
  const double seconds = static_cast<double>(took_ns) / 1e9;
  std::printf("{\"transactions\":%zu,\"seconds\":%.6f,\"per_second\":%.1f%s}\n", samples_ns.size(), seconds,
              static_cast<double>(samples_ns.size()) / seconds, percentiles(samples_ns).c_str());
  return samples_ns.empty() ? 1 : 0;
}

// ---- the clients
// ----------------------------------------------------------------------------------------------------

int request_response(const Target& target, double seconds) {
  const int fd = connected(target, SOCK_STREAM);
  std::vector<uint64_t> samples_ns;
  samples_ns.reserve(1 << 20);
  const uint64_t start_ns = now_ns(), end_ns = start_ns + static_cast<uint64_t>(seconds * 1e9);
  uint64_t before_ns = start_ns;
  while (before_ns < end_ns) {
    char byte = kKeepOpen;
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) fail("send");
    if (recv(fd, &byte, 1, 0) != 1) fail("no answer");
    const uint64_t after_ns = now_ns();
    samples_ns.push_back(after_ns - before_ns);
    before_ns = after_ns;
  }
  return print_transactions(samples_ns, before_ns - start_ns);
}

// The time of one is from connect() to the answer; the rate counts the close, too.
int connect_request_response(const Target& target, double seconds) {
  std::vector<uint64_t> samples_ns;
  samples_ns.reserve(1 << 18);
  const uint64_t start_ns = now_ns(), end_ns = start_ns + static_cast<uint64_t>(seconds * 1e9);
  uint64_t before_ns = start_ns;
  while (before_ns < end_ns) {
    const int fd = connected(target, SOCK_STREAM);
    char byte = kCloseAfter;
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) fail("send");
    if (recv(fd, &byte, 1, 0) != 1) fail("no answer");
    samples_ns.push_back(now_ns() - before_ns);
    if (recv(fd, &byte, 1, 0) != 0) fail("the server did not close");
    close(fd);
    before_ns = now_ns();
  }
  return print_transactions(samples_ns, before_ns - start_ns);
}

// What the server counted so far. Asked again when lost: the queues may still be full.
uint64_t ask_count(int fd) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    const Datagram ask{Kind::kAsk, 0, 0};
    (void)!send(fd, &ask, sizeof ask, 0);
    pollfd waiting{fd, POLLIN, 0};
    Datagram answer{};
    while (poll(&waiting, 1, 100) > 0) {
      if (recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer && answer.kind == Kind::kAnswer)
        return answer.number;
    }
  }
  errno = ETIMEDOUT;
  fail("the server does not say what it counted");
}

// `pps` 0: as fast as they go, in batches of one system call.
int send_datagrams(const Target& target, double seconds, double pps, size_t payload_bytes) {
  constexpr uint64_t kShortestPeriod_ns = 100'000;
  const int fd = connected(target, SOCK_DGRAM);
  std::vector<char> payload(std::max(payload_bytes, sizeof(Datagram)));
  const Datagram head{Kind::kCount, 0, 0};
  std::memcpy(payload.data(), &head, sizeof head);
  iovec part{payload.data(), payload.size()};
  std::vector<mmsghdr> messages(kBatch);
  for (mmsghdr& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  const uint64_t counted_before = ask_count(fd);
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  const uint64_t start_ns = now_ns(), end_ns = start_ns + static_cast<uint64_t>(seconds * 1e9);
  uint64_t sent = 0, refused = 0, time_ns = start_ns, wake_ns = start_ns;
  const uint64_t period_ns =
      pps > 0 ? std::max(kShortestPeriod_ns, static_cast<uint64_t>(1e9 / pps)) : kShortestPeriod_ns;
  while (time_ns < end_ns) {
    uint64_t due = kBatch;
    if (pps > 0) due = static_cast<uint64_t>(static_cast<double>(time_ns - start_ns) * pps / 1e9) + 1 - sent;
    while (due > 0) {
      const int done =
          sendmmsg(fd, messages.data(), static_cast<unsigned>(std::min<uint64_t>(due, kBatch)), 0);
      if (done <= 0) {
        if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) fail("sendmmsg");
        ++refused;
        break;
      }
      sent += static_cast<uint64_t>(done);
      due -= static_cast<uint64_t>(done);
    }
    if (pps > 0) sleep_until_ns(wake_ns += period_ns);
    time_ns = now_ns();
  }
  const double took_s = static_cast<double>(time_ns - start_ns) / 1e9;
  sleep_until_ns(time_ns + 50'000'000);
  const uint64_t received = ask_count(fd) - counted_before;
  std::printf(
      "{\"sent\":%llu,\"received\":%llu,\"refused_locally\":%llu,\"seconds\":%.6f,\"sent_pps\":%.0f,"
      "\"received_pps\":%.0f}\n",
      static_cast<unsigned long long>(sent), static_cast<unsigned long long>(received),
      static_cast<unsigned long long>(refused), took_s, static_cast<double>(sent) / took_s,
      static_cast<double>(received) / took_s);
  return received > 0 ? 0 : 1;
}

int wake(const Target& target, unsigned count, uint64_t gap_us) {
  const int fd = connected(target, SOCK_DGRAM);
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  std::vector<uint64_t> one_way_ns, round_trip_ns;
  unsigned lost = 0;
  for (uint64_t number = 0; number < count; ++number) {
    sleep_until_ns(now_ns() + gap_us * 1000);
    const uint64_t sent_ns = now_ns();
    const Datagram datagram{Kind::kEcho, number, sent_ns};
    if (send(fd, &datagram, sizeof datagram, 0) < 0) fail("send");
    Datagram back{};
    pollfd waiting{fd, POLLIN, 0};
    bool came = false;
    while (!came && poll(&waiting, 1, 1000) > 0) {
      came =
          recv(fd, &back, sizeof back, 0) == sizeof back && back.kind == Kind::kEcho && back.number == number;
    }
    if (!came) {
      ++lost;
      continue;
    }
    round_trip_ns.push_back(now_ns() - sent_ns);
    one_way_ns.push_back(back.time_ns);
  }
  std::printf("{\"count\":%zu,\"lost\":%u%s%s}\n", one_way_ns.size(), lost, percentiles(one_way_ns).c_str(),
              percentiles(round_trip_ns, "round_trip_").c_str());
  return lost == 0 && !one_way_ns.empty() ? 0 : 1;
}

// Who answered a connection of its own, 0 when nobody did; and when it began.
char who_answers(const Target& target, uint64_t& began_ns) {
  const int fd = open_socket(target, SOCK_STREAM);
  set_send_timeout(fd, 1);  // connect() heeds it, too
  set_receive_timeout(fd, 1);
  char byte = kSayName;
  began_ns = now_ns();
  const bool answered = connect(fd, target.raw(), target.length) == 0 &&
                        send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
  close(fd);
  return answered ? byte : '\0';
}

// What a change of a Service's endpoints waits for: the first connection that obeys it.
int until(const Target& target, char name, double seconds) {
  const uint64_t end_ns = now_ns() + static_cast<uint64_t>(seconds * 1e9);
  unsigned connections = 0, failures = 0;
  uint64_t began_ns = 0;
  for (bool is_first = true; now_ns() < end_ns;) {
    const char who = who_answers(target, began_ns);
    ++connections;
    if (who == '\0') ++failures;
    if (who != '\0' && is_first) {
      is_first = false;
      std::printf("ready\n");
      std::fflush(stdout);
    }
    if (who != name) continue;
    std::printf("{\"began_ns\":%llu,\"connections\":%u,\"failures\":%u}\n",
                static_cast<unsigned long long>(began_ns), connections, failures);
    return 0;
  }
  std::fprintf(stderr, "fairlead-load: \"%c\" did not answer in %u connections, %u of them failed\n", name,
               connections, failures);
  return 1;
}

int usage() {
  std::fprintf(stderr,
               "usage: fairlead-load serve ADDRESS PORT [NAME]\n"
               "       fairlead-load rr|crr ADDRESS PORT SECONDS\n"
               "       fairlead-load flood ADDRESS PORT SECONDS [PAYLOAD_BYTES]\n"
               "       fairlead-load pace ADDRESS PORT SECONDS PPS [PAYLOAD_BYTES]\n"
               "       fairlead-load wake ADDRESS PORT COUNT GAP_US\n"
               "       fairlead-load until ADDRESS PORT NAME SECONDS\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (argc < 4) return usage();
  const auto number = [&](int index, double fallback) {
    return argc > index ? std::atof(argv[index]) : fallback;
  };
  const Target target(argv[2], argv[3]);
  if (verb == "serve") return serve(target, argc > 4 ? argv[4][0] : '-');
  if (argc < 5) return usage();
  if (verb == "rr") return request_response(target, number(4, 0));
  if (verb == "crr") return connect_request_response(target, number(4, 0));
  if (verb == "flood")
    return send_datagrams(target, number(4, 0), 0, static_cast<size_t>(number(5, kPayloadOf64)));
  if (verb == "pace" && argc >= 6 && number(5, 0) > 0)
    return send_datagrams(target, number(4, 0), number(5, 0), static_cast<size_t>(number(6, kPayloadOf64)));
  if (verb == "wake" && argc >= 6)
    return wake(target, static_cast<unsigned>(number(4, 0)), static_cast<uint64_t>(number(5, 0)));
  if (verb == "until" && argc >= 6 && std::strlen(argv[4]) == 1)
    return until(target, argv[4][0], number(5, 0));
  return usage();
}
