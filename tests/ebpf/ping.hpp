#pragma once

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace fairlead::test {

// Sends `count` echo requests, one after the other's answer, from the calling thread's namespace; how many
// were answered.
inline unsigned ping_here(const std::string& destination, unsigned count, const std::string& source,
                          bool is_answer_expected) {
  const bool is_ipv6 = destination.find(':') != std::string::npos;
  const int family = is_ipv6 ? AF_INET6 : AF_INET;
  const int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC,
                        is_ipv6 ? static_cast<int>(IPPROTO_ICMPV6) : static_cast<int>(IPPROTO_ICMP));
  EXPECT_GE(fd, 0) << strerror(errno);
  const timeval patience{is_answer_expected ? 5 : 0, is_answer_expected ? 0 : 100'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));

  const auto address_of = [&](const std::string& text, sockaddr_storage& storage) -> socklen_t {
    storage.ss_family = static_cast<sa_family_t>(family);
    void* to = is_ipv6 ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr)
                       : static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr);
    EXPECT_EQ(inet_pton(family, text.c_str(), to), 1) << text;
    return is_ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  };
  sockaddr_storage to{};
  const socklen_t length = address_of(destination, to);
  if (!source.empty()) {
    sockaddr_storage from{};
    address_of(source, from);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&from), length), 0) << source << ": " << strerror(errno);
  }

  const auto id = static_cast<uint16_t>(getpid());
  unsigned answered = 0;
  for (unsigned i = 0; i < count; ++i) {
    struct {
      uint8_t type, code;
      uint16_t checksum, id, sequence;
    } echo{static_cast<uint8_t>(is_ipv6 ? 128 : 8), 0, 0, htons(id), htons(static_cast<uint16_t>(i))};
    if (!is_ipv6) {  // the kernel fills in ICMPv6's
      uint32_t sum = htons(0x0800) + echo.id + echo.sequence;
      sum = (sum & 0xffff) + (sum >> 16);
      echo.checksum = static_cast<uint16_t>(~((sum & 0xffff) + (sum >> 16)));
    }
    EXPECT_EQ(sendto(fd, &echo, sizeof(echo), 0, reinterpret_cast<sockaddr*>(&to), length),
              static_cast<ssize_t>(sizeof(echo)))
        << strerror(errno);
    for (;;) {  // the socket sees other ICMP as well
      uint8_t buffer[256];
      const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
      if (got < 0) break;
      const size_t header = is_ipv6 ? 0 : (buffer[0] & 15u) * 4u;
      if (static_cast<size_t>(got) < header + sizeof(echo)) continue;
      const uint8_t* reply = buffer + header;
      if (reply[0] == (is_ipv6 ? 129 : 0) && std::memcmp(reply + 4, &echo.id, 4) == 0) {
        ++answered;
        break;
      }
    }
  }
  close(fd);
  return answered;
}

}  // namespace fairlead::test
