#include "controlplane/cni/orphan_link.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fairlead::control {

namespace {

// The control plane's netlink library is not part of the static plugin; two small requests need none.
struct LinkRequest {
  nlmsghdr header{};
  ifinfomsg link{};
  std::array<char, 64> attributes{};

  LinkRequest(uint16_t type, std::string_view name) {
    auto* attribute = reinterpret_cast<rtattr*>(attributes.data());
    attribute->rta_type = IFLA_IFNAME;
    attribute->rta_len = static_cast<unsigned short>(RTA_LENGTH(name.size() + 1));
    std::memcpy(attributes.data() + RTA_LENGTH(0), name.data(), name.size());
    header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof link) + RTA_ALIGN(attribute->rta_len));
    header.nlmsg_type = type;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  }
};
static_assert(offsetof(LinkRequest, attributes) == NLMSG_LENGTH(sizeof(ifinfomsg)));

using Answer = std::array<char, 16384>;

// The first message of the kernel's answer, or nullptr.
const nlmsghdr* ask(int netlink, const LinkRequest& request, Answer& answer) {
  if (::send(netlink, &request, request.header.nlmsg_len, 0) !=
      static_cast<ssize_t>(request.header.nlmsg_len))
    return nullptr;
  const ssize_t got = ::recv(netlink, answer.data(), answer.size(), 0);
  const auto* message = reinterpret_cast<const nlmsghdr*>(answer.data());
  return got >= static_cast<ssize_t>(sizeof(nlmsghdr)) && NLMSG_OK(message, static_cast<uint32_t>(got))
             ? message
             : nullptr;
}

std::string alias_of(const nlmsghdr* message) {
  int left = static_cast<int>(message->nlmsg_len) - static_cast<int>(NLMSG_LENGTH(sizeof(ifinfomsg)));
  const char* at = reinterpret_cast<const char*>(message) + NLMSG_LENGTH(sizeof(ifinfomsg));
  while (left >= static_cast<int>(sizeof(rtattr))) {
    const auto* attribute = reinterpret_cast<const rtattr*>(at);
    if (attribute->rta_len < sizeof(rtattr) || attribute->rta_len > left) break;
    if (attribute->rta_type == IFLA_IFALIAS)
      return {at + RTA_LENGTH(0), ::strnlen(at + RTA_LENGTH(0), attribute->rta_len - RTA_LENGTH(0))};
    left -= static_cast<int>(RTA_ALIGN(attribute->rta_len));
    at += RTA_ALIGN(attribute->rta_len);
  }
  return {};
}

int open_netlink() {
  const int netlink = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  const timeval patience{2, 0};
  if (netlink >= 0) ::setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return netlink;
}

}  // namespace

bool remove_orphan_link(const AttachmentKey& key) {
  const std::string alias = link_alias(key);
  for (unsigned attempt = 0; attempt < kHostInterfaceNames; ++attempt) {
    const std::string name = host_interface_name(key, attempt);
    Answer answer{};
    const int query = open_netlink();  // one socket a question: no ACK of the one is read for the other
    if (query < 0) return false;
    const nlmsghdr* message = ask(query, LinkRequest(RTM_GETLINK, name), answer);
    const bool is_ours =
        message != nullptr && message->nlmsg_type == RTM_NEWLINK && alias_of(message) == alias;
    ::close(query);
    if (!is_ours) continue;
    const int removal = open_netlink();
    if (removal < 0) return false;
    message = ask(removal, LinkRequest(RTM_DELLINK, name), answer);
    const bool done =
        message != nullptr && message->nlmsg_type == NLMSG_ERROR &&
        reinterpret_cast<const nlmsgerr*>(reinterpret_cast<const char*>(message) + NLMSG_HDRLEN)->error == 0;
    ::close(removal);
    return done;
  }
  return false;
}

NetnsKind kind_of_netns(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NetnsKind::kNone;
  struct stat theirs {};
  struct stat ours {};
  const bool is_netns = ::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
  const bool is_own = ::fstat(fd, &theirs) == 0 && ::stat("/proc/self/ns/net", &ours) == 0 &&
                      theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
  ::close(fd);
  return !is_netns ? NetnsKind::kNone : is_own ? NetnsKind::kOwn : NetnsKind::kOther;
}

}  // namespace fairlead::control
