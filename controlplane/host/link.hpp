#pragma once

#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::control {

// Links and addresses as the kernel shows them, through a socket of the namespace in question. Pure
// questions and single changes; what a pod's link looks like is pod_link's business.

struct LinkFacts {
  uint32_t index = 0;
  std::string name;
  std::string alias;
  std::string kind;  // veth, vxlan, ...; empty for hardware
  core::MacAddress mac;
  uint32_t mtu = 0;
  uint32_t flags = 0;       // IFF_*
  uint32_t peer_index = 0;  // IFLA_LINK: the other end of a veth, in its own namespace's numbers
  uint32_t gso_max_size = 0;
};

struct InterfaceAddress {
  uint32_t link = 0;
  core::IpAddress address;
  uint8_t prefix_length = 0;
  uint8_t scope = 0;
};

// nullopt: there is no such link. Errors: FL4301.
[[nodiscard]] Result<std::optional<LinkFacts>> find_link(NetlinkSocket& socket, const std::string& name);
[[nodiscard]] Result<std::vector<LinkFacts>> list_links(NetlinkSocket& socket);
[[nodiscard]] Result<std::vector<InterfaceAddress>> list_addresses(NetlinkSocket& socket);

// Fine when it is gone already.
[[nodiscard]] Result<void> delete_link(NetlinkSocket& socket, uint32_t index);

// Sends a change; a refusal becomes FL4301 with the kernel's words. `tolerated` errnos are fine.
[[nodiscard]] Result<void> change(NetlinkSocket& socket, NetlinkRequest& request, const std::string& doing,
                                  std::initializer_list<int> tolerated = {});

// The bytes of an address attribute, in the family's length.
void put_address(NetlinkRequest& request, uint16_t type, const core::IpAddress& address);
[[nodiscard]] core::IpAddress address_of(const nlattr* attribute, uint8_t family);
[[nodiscard]] uint8_t family_of(const core::IpAddress& address);  // AF_INET | AF_INET6

}  // namespace fairlead::control
