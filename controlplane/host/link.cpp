#include "controlplane/host/link.hpp"

#include <cerrno>
#include <cstring>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <utility>

namespace fairlead::control {

namespace {

constexpr int kDumpTries = 5;

// One code for what the kernel refuses us; its own words stay in the sentence.
Error as_host_error(Error error) {
  error.code = "FL4301";
  return error;
}

core::MacAddress mac_of(const nlattr* attribute) {
  core::MacAddress mac;
  if (attribute != nullptr && mnl_attr_get_payload_len(attribute) == mac.bytes.size())
    std::memcpy(mac.bytes.data(), mnl_attr_get_payload(attribute), mac.bytes.size());
  return mac;
}

LinkFacts link_of(const nlmsghdr& message) {
  const nlattr* table[IFLA_MAX + 1] = {};
  collect_attributes(message, sizeof(ifinfomsg), table);
  const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  LinkFacts link;
  link.index = static_cast<uint32_t>(header->ifi_index);
  link.flags = header->ifi_flags;
  link.name = attribute_text(table[IFLA_IFNAME]);
  link.alias = attribute_text(table[IFLA_IFALIAS]);
  link.mac = mac_of(table[IFLA_ADDRESS]);
  link.mtu = attribute_value<uint32_t>(table[IFLA_MTU]);
  link.peer_index = attribute_value<uint32_t>(table[IFLA_LINK]);
  link.gso_max_size = attribute_value<uint32_t>(table[IFLA_GSO_MAX_SIZE]);
  if (table[IFLA_LINKINFO] != nullptr) {
    const nlattr* info[IFLA_INFO_MAX + 1] = {};
    collect_nested(table[IFLA_LINKINFO], info);
    link.kind = attribute_text(info[IFLA_INFO_KIND]);
  }
  return link;
}

// A dump that other people's changes disturbed is taken again.
template <typename T, typename MakeRequest, typename Convert>
Result<std::vector<T>> dump(NetlinkSocket& socket, const MakeRequest& make_request, const Convert& convert) {
  for (int attempt = 0; attempt < kDumpTries; ++attempt) {
    std::vector<T> found;
    NetlinkRequest request = make_request();
    const Result<bool> consistent =
        socket.dump(request, [&](const nlmsghdr& message) { found.push_back(convert(message)); });
    if (!consistent) return as_host_error(consistent.error());
    if (*consistent || attempt + 1 == kDumpTries) return found;
  }
  return std::vector<T>{};
}

}  // namespace

Result<void> change(NetlinkSocket& socket, NetlinkRequest& request, const std::string& doing,
                    std::initializer_list<int> tolerated) {
  Result<void> done = socket.request(request, doing, tolerated);
  if (!done) return as_host_error(done.error());
  return done;
}

Result<std::optional<LinkFacts>> find_link(NetlinkSocket& socket, const std::string& name) {
  NetlinkRequest request(RTM_GETLINK, 0);
  request.header<ifinfomsg>().ifi_family = AF_UNSPEC;
  request.put_text(IFLA_IFNAME, name);
  std::optional<LinkFacts> found;
  const Result<NetlinkAck> ack =
      socket.transact(request, [&](const nlmsghdr& message) { found = link_of(message); });
  if (!ack) return as_host_error(ack.error());
  if (ack->ok()) return found;
  if (ack->error_number == ENODEV) return std::optional<LinkFacts>{};
  return Error{"FL4301", "cannot look up the link " + name + ": " + ack->text(), "run as root"};
}

Result<std::vector<LinkFacts>> list_links(NetlinkSocket& socket) {
  return dump<LinkFacts>(
      socket,
      [] {
        NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
        request.header<ifinfomsg>().ifi_family = AF_UNSPEC;
        return request;
      },
      link_of);
}

Result<std::vector<InterfaceAddress>> list_addresses(NetlinkSocket& socket) {
  return dump<InterfaceAddress>(
      socket,
      [] {
        NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
        request.header<ifaddrmsg>().ifa_family = AF_UNSPEC;
        return request;
      },
      [](const nlmsghdr& message) {
        const nlattr* table[IFA_MAX + 1] = {};
        collect_attributes(message, sizeof(ifaddrmsg), table);
        const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
        // IFA_LOCAL is our address on point-to-point links, where IFA_ADDRESS is the other side's.
        const nlattr* local = table[IFA_LOCAL] != nullptr ? table[IFA_LOCAL] : table[IFA_ADDRESS];
        return InterfaceAddress{header->ifa_index, address_of(local, header->ifa_family),
                                header->ifa_prefixlen, header->ifa_scope};
      });
}

Result<void> delete_link(NetlinkSocket& socket, uint32_t index) {
  NetlinkRequest request(RTM_DELLINK, 0);
  request.header<ifinfomsg>().ifi_index = static_cast<int>(index);
  return change(socket, request, "delete link " + std::to_string(index), {ENODEV});
}

void put_address(NetlinkRequest& request, uint16_t type, const core::IpAddress& address) {
  request.put_bytes(type, address.bytes.data(), address.bits() / 8);
}

core::IpAddress address_of(const nlattr* attribute, uint8_t family) {
  if (attribute == nullptr) return {};
  const size_t length = mnl_attr_get_payload_len(attribute);
  if (family == AF_INET && length == 4) return core::IpAddress::ipv4(attribute_value<uint32_t>(attribute));
  if (family == AF_INET6 && length == 16)
    return core::IpAddress::ipv6(static_cast<const uint8_t*>(mnl_attr_get_payload(attribute)));
  return {};
}

uint8_t family_of(const core::IpAddress& address) {
  return address.is_ipv4() ? AF_INET : AF_INET6;
}

}  // namespace fairlead::control
