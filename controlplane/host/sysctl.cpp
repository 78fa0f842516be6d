#include "controlplane/host/sysctl.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace fairlead::control {

namespace {

std::string path_of(const std::string& name) {
  return "/proc/sys/" + name;
}

Error failure(const std::string& doing, const std::string& fix) {
  return {"FL4305", "cannot " + doing + ": " + std::strerror(errno), fix};
}

}  // namespace

Result<std::string> read_sysctl(const std::string& name) {
  const int fd = ::open(path_of(name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failure("read " + path_of(name), "check that this kernel has it");
  char text[16384];  // lists of ports are long
  const ssize_t length = ::read(fd, text, sizeof text);
  const int read_errno = errno;
  ::close(fd);
  errno = read_errno;
  if (length < 0) return failure("read " + path_of(name), "check that this kernel has it");
  std::string value(text, static_cast<size_t>(length));
  while (!value.empty() && (value.back() == '\n' || value.back() == ' ')) value.pop_back();
  return value;
}

Result<bool> ensure_sysctl(const std::string& name, const std::string& value) {
  const Result<std::string> found = read_sysctl(name);
  if (!found) return found.error();
  if (*found == value) return false;
  const std::string doing = "set " + path_of(name) + " from " + *found + " to " + value;
  const std::string fix = "set it by hand (sysctl -w), or mount /proc/sys writable";
  const int fd = ::open(path_of(name).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return failure(doing, fix);
  const std::string line = value + "\n";  // an empty value is a line, too
  const bool done = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int write_errno = errno;
  ::close(fd);
  errno = write_errno;
  if (!done) return failure(doing, fix);
  return true;
}

Result<void> ensure_forwarding(const std::string& uplink) {
  if (const Result<bool> done = ensure_sysctl("net/ipv4/ip_forward", "1"); !done) return done.error();
  const std::string all = "net/ipv6/conf/all/forwarding";
  if (::access(path_of(all).c_str(), F_OK) != 0) return {};  // a kernel without IPv6
  const std::string accept_ra = "net/ipv6/conf/" + uplink + "/accept_ra";
  if (const Result<std::string> found = read_sysctl(accept_ra); found && *found == "1") {
    if (const Result<bool> done = ensure_sysctl(accept_ra, "2"); !done) return done.error();
  }
  if (const Result<bool> done = ensure_sysctl(all, "1"); !done) return done.error();
  return {};
}

}  // namespace fairlead::control
