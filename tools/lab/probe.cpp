// fairlead-probe: a counted UDP stream, for claims of "0 lost".
//
//   fairlead-probe sink   ADDRESS PORT [IDLE_MS]              prints one JSON line when the stream ended
//   fairlead-probe stream ADDRESS PORT RATE_PPS COUNT [SIZE]  sends COUNT numbered datagrams at RATE_PPS
//   fairlead-probe rr     ADDRESS PORT COUNT [GAP_US]            echo round trips against `fairlead-probe
//   echo`, percentiles fairlead-probe echo   ADDRESS PORT
//
// Every datagram carries its number and the total; the sink marks each number once, so loss, duplicates and
// reordering are counted, not estimated. The last datagrams are repeated by the sender as an end mark with
// number = total.

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Header {
  uint64_t number;
  uint64_t total;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "fairlead-probe: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

struct Socket {
  int fd = -1;
  sockaddr_storage address{};
  socklen_t address_length = 0;
};

Socket open_socket(const char* address, const char* port, bool bind_it) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(address, port, &hints, &found) != 0) fail(std::string("not an address: ") + address);
  Socket socket_out;
  socket_out.fd = socket(found->ai_family, SOCK_DGRAM, 0);
  if (socket_out.fd < 0) fail("socket");
  std::memcpy(&socket_out.address, found->ai_addr, found->ai_addrlen);
  socket_out.address_length = found->ai_addrlen;
  freeaddrinfo(found);
  const int buffer_bytes = 8 << 20;
  setsockopt(socket_out.fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
  setsockopt(socket_out.fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
  const auto* where = reinterpret_cast<const sockaddr*>(&socket_out.address);
  if (bind_it && bind(socket_out.fd, where, socket_out.address_length) != 0) fail("bind");
  if (!bind_it && connect(socket_out.fd, where, socket_out.address_length) != 0) fail("connect");
  return socket_out;
}

int sink(const char* address, const char* port, int idle_ms) {
  Socket in = open_socket(address, port, true);
  std::vector<uint8_t> seen;
  uint64_t total = 0, received = 0, duplicates = 0, reordered = 0, highest = 0;
  Clock::time_point last = Clock::now();
  std::chrono::nanoseconds longest_gap{0};
  bool started = false;
  pollfd waiting{in.fd, POLLIN, 0};
  std::printf("ready\n");
  std::fflush(stdout);
  // Before the first datagram the sink waits for a minute: the sender may still be starting.
  while (poll(&waiting, 1, started ? idle_ms : 60000) > 0) {
    uint8_t datagram[65536];
    const ssize_t got = recv(in.fd, datagram, sizeof datagram, 0);
    if (got < static_cast<ssize_t>(sizeof(Header))) continue;
    Header header;
    std::memcpy(&header, datagram, sizeof header);
    if (header.total == 0 || header.total > (1u << 28)) continue;
    total = header.total;
    if (header.number >= total) break;  // end mark
    const Clock::time_point now = Clock::now();
    if (started) longest_gap = std::max(longest_gap, std::chrono::nanoseconds(now - last));
    last = now;
    started = true;
    if (seen.size() < total) seen.resize(total);
    if (seen[header.number]++ != 0) {
      ++duplicates;
      continue;
    }
    ++received;
    if (header.number < highest) ++reordered;
    highest = std::max(highest, header.number);
  }
  std::printf(
      "{\"sent\":%llu,\"received\":%llu,\"lost\":%llu,\"duplicates\":%llu,\"reordered\":%llu,\"longest_gap_"
      "ms\":%.3f}\n",
      static_cast<unsigned long long>(total), static_cast<unsigned long long>(received),
      static_cast<unsigned long long>(total - received), static_cast<unsigned long long>(duplicates),
      static_cast<unsigned long long>(reordered), static_cast<double>(longest_gap.count()) / 1e6);
  return total != 0 && received == total ? 0 : 1;
}

int stream(const char* address, const char* port, double rate_pps, uint64_t count, size_t size_bytes) {
  Socket out = open_socket(address, port, false);
  std::vector<uint8_t> datagram(std::max(size_bytes, sizeof(Header)));
  const Clock::time_point start = Clock::now();
  uint64_t refused = 0;
  for (uint64_t number = 0; number < count;) {
    const double elapsed_s = std::chrono::duration<double>(Clock::now() - start).count();
    const uint64_t due = std::min(count, static_cast<uint64_t>(elapsed_s * rate_pps) + 1);
    for (; number < due; ++number) {
      const Header header{number, count};
      std::memcpy(datagram.data(), &header, sizeof header);
      // A local refusal (no buffer, ICMP error reported on the socket) is not a loss on the way: send it
      // again.
      while (send(out.fd, datagram.data(), datagram.size(), 0) < 0) {
        if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED && errno != EMSGSIZE &&
            errno != EHOSTUNREACH)
          fail("send");
        if (++refused > count) fail("send, again and again");
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count() - 0.2;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const Header end{count, count};
    std::memcpy(datagram.data(), &end, sizeof end);
    if (send(out.fd, datagram.data(), datagram.size(), 0) < 0 && errno != ECONNREFUSED) fail("send end mark");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::printf("{\"sent\":%llu,\"pps\":%.0f,\"refused_locally\":%llu}\n",
              static_cast<unsigned long long>(count), static_cast<double>(count) / seconds,
              static_cast<unsigned long long>(refused));
  return 0;
}

int echo(const char* address, const char* port) {
  Socket in = open_socket(address, port, true);
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) {
    uint8_t datagram[2048];
    sockaddr_storage from{};
    socklen_t from_length = sizeof from;
    const ssize_t got =
        recvfrom(in.fd, datagram, sizeof datagram, 0, reinterpret_cast<sockaddr*>(&from), &from_length);
    if (got < 0) fail("recvfrom");
    if (sendto(in.fd, datagram, static_cast<size_t>(got), 0, reinterpret_cast<sockaddr*>(&from),
               from_length) < 0)
      fail("sendto");
  }
}

int round_trips(const char* address, const char* port, unsigned count, unsigned gap_us) {
  Socket out = open_socket(address, port, false);
  std::vector<double> microseconds;
  unsigned lost = 0;
  for (unsigned number = 0; number < count; ++number) {
    const Clock::time_point sent = Clock::now();
    if (send(out.fd, &number, sizeof number, 0) < 0) fail("send");
    pollfd waiting{out.fd, POLLIN, 0};
    unsigned back = ~0u;
    while (back != number && poll(&waiting, 1, 1000) > 0) {
      if (recv(out.fd, &back, sizeof back, 0) < 0) fail("recv");
    }
    if (back != number) {
      ++lost;
      continue;
    }
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - sent).count());
    if (gap_us != 0) std::this_thread::sleep_for(std::chrono::microseconds(gap_us));
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto percentile = [&](double p) {
    return microseconds.empty()
               ? 0.0
               : microseconds[static_cast<size_t>(p * static_cast<double>(microseconds.size() - 1))];
  };
  std::printf("{\"count\":%zu,\"lost\":%u,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f}\n",
              microseconds.size(), lost, percentile(0.5), percentile(0.9), percentile(0.99));
  return lost == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "sink" && argc >= 4) return sink(argv[2], argv[3], argc > 4 ? std::atoi(argv[4]) : 3000);
  if (verb == "stream" && argc >= 6) {
    return stream(argv[2], argv[3], std::atof(argv[4]), std::strtoull(argv[5], nullptr, 10),
                  argc > 6 ? std::strtoul(argv[6], nullptr, 10) : 64);
  }
  if (verb == "echo" && argc >= 4) return echo(argv[2], argv[3]);
  if (verb == "rr" && argc >= 5) {
    return round_trips(argv[2], argv[3], static_cast<unsigned>(std::atoi(argv[4])),
                       argc > 5 ? static_cast<unsigned>(std::atoi(argv[5])) : 0);
  }
  std::fprintf(stderr,
               "usage: fairlead-probe sink ADDRESS PORT [IDLE_MS]\n"
               "       fairlead-probe stream ADDRESS PORT RATE_PPS COUNT [SIZE]\n"
               "       fairlead-probe echo ADDRESS PORT\n"
               "       fairlead-probe rr ADDRESS PORT COUNT [GAP_US]\n");
  return 2;
}
