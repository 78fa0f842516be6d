#include "tests/cli/fake_processes.hpp"
#include "tools/cli/command.hpp"
#include "tools/cli/pcapng.hpp"
#include "tools/cli/table.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>

namespace fairlead::cli {
namespace {

// A reader of its own, as little as the assertions need (draft-ietf-opsawg-pcapng).
struct Block {
  uint32_t type = 0;
  std::string body;
};

uint32_t read32(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes.at(at + i));
  return value;
}

std::vector<Block> blocks_of(const std::string& file) {
  std::vector<Block> blocks;
  for (size_t at = 0; at < file.size();) {
    const uint32_t length = read32(file, at + 4);
    EXPECT_EQ(length % 4, 0u);
    EXPECT_EQ(read32(file, at + length - 4), length);  // the length stands at both ends
    blocks.push_back({read32(file, at), file.substr(at + 8, length - 12)});
    at += length;
  }
  return blocks;
}

rpc::Response packet(uint32_t port, const std::string& stage, const std::string& frame,
                     const std::string& reason = "") {
  rpc::Response item;
  rpc::CapturedPacket& captured = *item.mutable_captured();
  captured.set_port(port);
  captured.set_stage(stage);
  captured.set_frame(frame);
  captured.set_drop_reason(reason);
  captured.set_original_length(static_cast<uint32_t>(frame.size()));
  captured.set_time_ns(1'700'000'000'123'456'789);
  return item;
}

TEST(Capture, WritesPcapngWithReasonsAndInterfaceNames) {
  FakeProcesses processes;
  tell_ordinary_node(processes);
  rpc::CaptureRequest asked;
  processes.on_capture = [&asked](const rpc::CaptureRequest& request, const ipc::Reply& reply) {
    asked = request;
    rpc::Response begun;
    begun.mutable_captured();
    EXPECT_TRUE(reply.offer(begun));
    EXPECT_TRUE(reply.offer(packet(1, "rx", std::string(60, 'r'))));
    EXPECT_TRUE(reply.offer(packet(2, "drop", std::string(61, 'd'), "SPOOFED_MAC")));
    rpc::Response last = packet(1, "tx", std::string(62, 't'));
    last.mutable_captured()->set_lost(5);
    EXPECT_TRUE(reply.offer(last));
    reply.done();
  };
  processes.start_dataplane();
  const std::string path = processes.run_dir() + "/c.pcapng";
  std::ostringstream out, err;
  Terminal terminal{out, err};
  ASSERT_EQ(run_command({"capture", "-w", path, "--filter", "ip", "--at", "all", "-c", "3", "--run-dir",
                         processes.run_dir()},
                        terminal),
            0)
      << err.str();
  EXPECT_EQ(asked.filter(), "ip");
  EXPECT_EQ(asked.max_packets(), 3u);
  EXPECT_NE(err.str().find("3 packets written"), std::string::npos) << err.str();
  EXPECT_NE(err.str().find("5 lost"), std::string::npos) << err.str();

  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::vector<Block> blocks = blocks_of(bytes);
  ASSERT_EQ(blocks.size(), 6u);  // section, interface, packet, interface, packet, packet
  EXPECT_EQ(blocks[0].type, 0x0a0d0d0au);
  EXPECT_NE(blocks[1].body.find("eth0"), std::string::npos);
  EXPECT_NE(blocks[3].body.find("fltrunk"), std::string::npos);
  EXPECT_EQ(read32(blocks[2].body, 0), 0u);
  EXPECT_EQ(read32(blocks[4].body, 0), 1u);
  EXPECT_EQ(read32(blocks[5].body, 0), 0u);
  EXPECT_EQ(uint64_t{read32(blocks[2].body, 4)} << 32 | read32(blocks[2].body, 8),
            1'700'000'000'123'456'789u);
  EXPECT_EQ(read32(blocks[4].body, 12), 61u);
  EXPECT_NE(blocks[4].body.find("dropped: SPOOFED_MAC (source MAC is not the endpoint's)"),
            std::string::npos);
  EXPECT_EQ(blocks[5].body.find("dropped"), std::string::npos);

  // And an independent reader agrees, where there is one.
  if (std::system("command -v tshark >/dev/null") != 0) return;
  const std::string command =
      "tshark -r " + path + " -T fields -e frame.interface_name -e frame.comment -e frame.len 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> reader(popen(command.c_str(), "r"), pclose);
  char text[4096] = {};
  const size_t length = fread(text, 1, sizeof(text) - 1, reader.get());
  EXPECT_EQ(std::string(text, length),
            "eth0\t\t60\nfltrunk\tdropped: SPOOFED_MAC (source MAC is not the endpoint's)\t61\neth0\t\t62\n");
}

TEST(Capture, AFilterThatTheDataplaneRefusesIsShown) {
  FakeProcesses processes;
  tell_ordinary_node(processes);
  processes.on_capture = [](const rpc::CaptureRequest&, const ipc::Reply& reply) {
    reply.fail({"FL2120", "the capture filter \"ipp\" does not compile", "man 7 pcap-filter"});
  };
  processes.start_dataplane();
  std::ostringstream out, err;
  Terminal terminal{out, err};
  EXPECT_EQ(
      run_command({"capture", "-w", "-", "--filter", "ipp", "--run-dir", processes.run_dir()}, terminal),
      kFailed);
  EXPECT_NE(err.str().find("FL2120"), std::string::npos);
}

TEST(Table, WidthsCountColumnsNotBytes) {
  EXPECT_EQ(display_width("naïve"), 5u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);  // e and a combining accent
  EXPECT_EQ(display_width("\xff\xfe"), 2u);   // not UTF-8: as terminals show it
  Table table({{"A"}, {"N", true}}, false);
  table.add({"日本", "1"});
  table.add({"x", "22"});
  EXPECT_EQ(table.text(), "A      N\n日本   1\nx     22\n");
}

TEST(Words, NumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(18446744073709551615ull), "18,446,744,073,709,551,615");
  EXPECT_EQ(duration_text(59), "59s");
  EXPECT_EQ(duration_text(90'061), "1d1h");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
}

}  // namespace
}  // namespace fairlead::cli
