#include "dataplane/ebpf/tc_filter.hpp"

#include "dataplane/ebpf/file_descriptor.hpp"
#include "dataplane/ebpf/libbpf_words.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <net/if.h>

namespace fairlead::ebpf {
namespace {

// One filter per link, at a fixed place, so that a later process finds it.
constexpr __u32 kHandle = 1;
constexpr __u32 kPriority = 1;

bpf_tc_hook ingress_of(uint32_t ifindex) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = BPF_TC_INGRESS;
  return hook;
}

bpf_tc_opts our_place() {
  bpf_tc_opts options{};
  options.sz = sizeof(options);
  options.handle = kHandle;
  options.priority = kPriority;
  return options;
}

std::string refusal(int error, const LibbpfWords& words) {
  const std::string told = words.text();
  return std::string(std::strerror(-error)) + (told.empty() ? "" : " (" + told + ")");
}

}  // namespace

Result<void> attach_ingress(uint32_t ifindex, const std::string& interface, int program_fd) {
  const LibbpfWords words;
  bpf_tc_hook hook = ingress_of(ifindex);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST) {
    return Error{"FL3105", "cannot add the clsact qdisc to " + interface + ": " + refusal(error, words),
                 error == -EPERM ? "run as root or with CAP_NET_ADMIN" : ""};
  }
  bpf_tc_opts options = our_place();
  options.prog_fd = program_fd;
  options.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&hook, &options); error != 0) {
    return Error{
        "FL3105", "cannot attach the program to the ingress of " + interface + ": " + refusal(error, words),
        "see `tc filter show dev " + interface + " ingress` for a filter at priority 1 of somebody else"};
  }
  return {};
}

Result<void> detach_ingress(uint32_t ifindex, const char* program_name) {
  const LibbpfWords words;
  char interface[IF_NAMESIZE] = {};
  if (if_indextoname(ifindex, interface) == nullptr) return {};
  bpf_tc_hook hook = ingress_of(ifindex);
  bpf_tc_opts found = our_place();
  // The kernel says EINVAL where there is no clsact qdisc, ENOENT where there is no such filter.
  if (bpf_tc_query(&hook, &found) != 0) return {};
  const FileDescriptor program(bpf_prog_get_fd_by_id(found.prog_id));
  bpf_prog_info info{};
  __u32 length = sizeof(info);
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) return {};
  if (std::strcmp(info.name, program_name) != 0) return {};
  bpf_tc_opts place = our_place();
  const int error = bpf_tc_detach(&hook, &place);
  if (error != 0 && error != -ENOENT && error != -EINVAL && error != -ENODEV) {
    return Error{"FL3105",
                 "cannot take the filter off " + std::string(interface) + ": " + refusal(error, words)};
  }
  return {};
}

}  // namespace fairlead::ebpf
