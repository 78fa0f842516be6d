#include "dataplane/base/command_line.hpp"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

constexpr OptionSpec kTable[] = {
    {"mtu", 0, "68..65535", "MTU", "1500"},
    {"output", 'o', "table|json|yaml", "how to print", "table"},
    {"run-dir", 0, "DIR", "where the sockets are", "/run/fairlead"},
    {"uplink", 0, "DEV", "a device", "", true},
    {"verbose", 'v', "", "say more"},
};

struct Refused {
  std::vector<std::string> arguments;
  const char* what;  // a part of the sentence
  const char* fix;   // a part of the advice
};

TEST(CommandLine, ReadsWhatItKnows) {
  const Result<CommandLine> line = parse_command_line(
      kTable, {"get", "-o", "json", "--uplink=a", "ports", "--uplink", "b", "-v", "--", "--mtu"});
  ASSERT_TRUE(line.ok()) << line.error().text();
  EXPECT_EQ(line->words(), (std::vector<std::string>{"get", "ports", "--mtu"}));
  EXPECT_EQ(line->text("output"), "json");
  EXPECT_EQ(line->all("uplink"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(line->given("verbose"));
  EXPECT_FALSE(line->given("mtu"));
  EXPECT_EQ(line->number("mtu"), 1500u);
  EXPECT_EQ(line->text("run-dir"), "/run/fairlead");
}

TEST(CommandLine, RefusesWhatIsNotExactlyRight) {
  const Refused rows[] = {
      {{"--mtu", "-1"}, "\"-1\"; it takes a whole number from 68 to 65535", ""},
      {{"--mtu=-1"}, "\"-1\"", ""},
      {{"--mtu", "+68"}, "\"+68\"", ""},
      {{"--mtu", "0x600"}, "\"0x600\"", ""},
      {{"--mtu", "01500"}, "\"01500\"", "leading zeros"},
      {{"--mtu", "1500 "}, "\"1500 \"", ""},
      {{"--mtu", "67"}, "\"67\"", ""},
      {{"--mtu", "65536"}, "\"65536\"", ""},
      {{"--mtu", "99999999999999999999999"}, "whole number", ""},
      {{"--mtu"}, "--mtu needs a value", ""},
      {{"--mtu="}, "--mtu needs a value", ""},
      {{"--mtu", "1500", "--mtu", "1500"}, "--mtu is given twice", ""},
      {{"--mt", "1500"}, "unknown option --mt", "did you mean: --mtu"},
      {{"--run", "/run"}, "unknown option --run", "did you mean: --run-dir"},
      {{"--outptu", "json"}, "unknown option --outptu", "did you mean: --output"},
      {{"--xyzzyxyzzy=1"}, "unknown option --xyzzyxyzzy", "--help"},
      {{"-z"}, "unknown option -z", ""},
      {{"-o", "jsno"}, "is not one of table|json|yaml", "did you mean: --output json"},
      {{"--verbose=yes"}, "--verbose takes no value", ""},
  };
  for (const Refused& row : rows) {
    const Result<CommandLine> line = parse_command_line(kTable, row.arguments);
    ASSERT_FALSE(line.ok()) << row.arguments.front();
    EXPECT_EQ(line.error().code, "FL6001");
    EXPECT_NE(line.error().what.find(row.what), std::string::npos) << line.error().text();
    EXPECT_NE(line.error().fix.find(row.fix), std::string::npos) << line.error().text();
  }
}

TEST(CommandLine, HelpHasARowPerOption) {
  EXPECT_EQ(options_help(kTable),
            "      --mtu 68..65535           MTU [1500]\n"
            "  -o, --output table|json|yaml  how to print [table]\n"
            "      --run-dir DIR             where the sockets are [/run/fairlead]\n"
            "      --uplink DEV              a device (may be repeated)\n"
            "  -v, --verbose                 say more\n");
}

}  // namespace
}  // namespace fairlead
