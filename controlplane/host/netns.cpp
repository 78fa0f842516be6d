#include "controlplane/host/netns.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace fairlead::control {

Result<Netns> Netns::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Error{"FL4008", "cannot open the network namespace " + path + ": " + std::strerror(errno),
                 "the sandbox may be gone already; the runtime makes a new one"};
  Netns netns(fd, path);
  if (::ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
    return Error{"FL4008", path + " is not a network namespace", "pass the sandbox's path as CNI_NETNS"};
  struct stat theirs {};
  struct stat ours {};
  if (::fstat(fd, &theirs) == 0 && ::stat("/proc/thread-self/ns/net", &ours) == 0 &&
      theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
    return Error{"FL4008", path + " is the node's own network namespace",
                 "host-network pods are not attached; pass the sandbox's path as CNI_NETNS"};
  return netns;
}

Netns::Netns(Netns&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Netns& Netns::operator=(Netns&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Netns::~Netns() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Netns::run(const std::function<Result<void>()>& work) const {
  Result<void> outcome;
  std::thread([&] {
    if (::setns(fd_, CLONE_NEWNET) != 0)
      outcome = Error{"FL4301", "cannot enter the network namespace " + path_ + ": " + std::strerror(errno),
                      "the agent needs CAP_SYS_ADMIN"};
    else
      outcome = work();
  }).join();
  return outcome;
}

}  // namespace fairlead::control
