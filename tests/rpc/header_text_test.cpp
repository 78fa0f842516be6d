#include "dataplane/rpc/header_text.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace fairlead::ipc {
namespace {

// Ethernet, IPv4, UDP, VXLAN, inner Ethernet as a tunnel's template has them.
const std::vector<uint8_t> kVxlan = {
    0x02, 0x46, 0,    0,    0, 2,   0x02, 0x46, 0,   0,  0, 1, 0x08, 0x00,                      // Ethernet
    0x45, 0,    0,    134,  0, 0,   0x40, 0,    64,  17, 0, 0, 192,  0,    2, 1, 192, 0, 2, 2,  // IPv4
    0xc0, 0x00, 0x12, 0xb5, 0, 114, 0,    0,                                                    // UDP
    0x08, 0,    0,    0,    0, 0,   100,  0,                                                    // VXLAN
    0x02, 0x46, 192,  0,    2, 2,   0x02, 0x46, 192, 0,  2, 1, 0x08, 0x00};                     // Ethernet

TEST(HeaderText, NamesEveryHeaderOfATunnel) {
  EXPECT_EQ(header_text(kVxlan),
            "Ethernet  02:46:00:00:00:01 > 02:46:00:00:00:02  type 0x0800\n"
            "IPv4      192.0.2.1 > 192.0.2.2  ttl 64  DF  protocol 17\n"
            "UDP       49152 > 4789\n"
            "VXLAN     vni 100\n"
            "Ethernet  02:46:c0:00:02:01 > 02:46:c0:00:02:02  type 0x0800\n");
}

TEST(HeaderText, NeverFailsOnLess) {
  for (size_t length = 0; length < kVxlan.size(); ++length) {
    const std::string text = header_text(std::span(kVxlan).first(length));
    EXPECT_EQ(text.empty(), length == 0) << length;
  }
  EXPECT_EQ(header_text(std::span(kVxlan).first(5)), "rest      5 bytes\n");
}

}  // namespace
}  // namespace fairlead::ipc
