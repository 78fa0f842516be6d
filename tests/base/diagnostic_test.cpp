#include "dataplane/base/diagnostic.hpp"

#include "dataplane/base/error_codes.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fairlead {
namespace {

Diagnostic example() {
  return {.code = "FL1042",
          .file = "cluster.yaml",
          .line = 14,
          .column = 10,
          .length = 4,
          .what = "spec.overlay.mtu 9500 does not fit uplink ens1f0",
          .note = "uplink MTU 9000 minus VXLAN 50 allows 1280..8950",
          .fix = "set mtu: 8950 (or remove the key: it is computed), or raise ens1f0 to 9550",
          .excerpt = "    mtu: 9500"};
}

TEST(Diagnostic, IsShownAsDocumented) {
  EXPECT_EQ(render(example()),
            R"(error[FL1042]: cluster.yaml:14:10: spec.overlay.mtu 9500 does not fit uplink ens1f0
   14 |     mtu: 9500
      |          ^^^^ uplink MTU 9000 minus VXLAN 50 allows 1280..8950
  fix:  set mtu: 8950 (or remove the key: it is computed), or raise ens1f0 to 9550
)");
}

TEST(Diagnostic, ColourIsOnlyAddedNeverInstead) {
  std::string plain;
  bool is_escape = false;
  for (const char c : render(example(), true)) {
    if (c == '\033') is_escape = true;
    if (!is_escape) plain += c;
    if (is_escape && c == 'm') is_escape = false;
  }
  EXPECT_EQ(plain, render(example()));
  EXPECT_NE(render(example(), true), plain);
}

TEST(Diagnostic, CaretsStandUnderWhatTheyMean) {
  Diagnostic d = example();
  d.excerpt = "  n\xc3\xa4me: \"\xe2\x82\xac\xe2\x82\xac\" # x";  // näme: "€€"
  d.column = 10;
  d.length = 8;
  EXPECT_NE(render(d).find("      |         ^^^^ "), std::string::npos) << render(d);
  d.excerpt = "\ta: 1";
  d.column = 2;
  d.length = 1;
  EXPECT_NE(render(d).find("   14 |  a: 1\n      |  ^ "), std::string::npos)
      << "tabs are one column: " << render(d);
  d.excerpt = "short";
  d.column = 99;
  d.length = 7;
  EXPECT_NE(render(d).find("      |      ^ "), std::string::npos) << render(d);
  d.excerpt = "\033[31mred";
  d.column = 1;
  EXPECT_EQ(render(d).find('\033'), std::string::npos) << "a file does not paint the terminal";
}

TEST(Diagnostic, LongLinesAreCutAroundTheCaret) {
  Diagnostic d = example();
  d.excerpt = std::string(5000, 'a') + "HERE" + std::string(5000, 'b');
  d.column = 5001;
  d.length = 4;
  const std::string text = render(d);
  EXPECT_LT(text.size(), 900u);
  EXPECT_NE(text.find("aHERE"), std::string::npos);
  const size_t line = text.find("   14 | ");
  const size_t caret_line = text.find("      | ");
  EXPECT_EQ(text.find("HERE") - line, text.find("^^^^") - caret_line) << text;
}

TEST(Diagnostic, WithoutAPlaceThereIsNoExcerpt) {
  EXPECT_EQ(render(Error{"FL5020", "nobody there", "start it\nor not"}),
            "error[FL5020]: nobody there\n  fix:  start it\n        or not\n");
}

TEST(Diagnostic, JsonHasTheSameFacts) {
  EXPECT_EQ(
      to_json(example()).dump(),
      R"({"code":"FL1042","column":10,"excerpt":"    mtu: 9500","file":"cluster.yaml",)"
      R"("fix":"set mtu: 8950 (or remove the key: it is computed), or raise ens1f0 to 9550","length":4,"line":14,)"
      R"("note":"uplink MTU 9000 minus VXLAN 50 allows 1280..8950","what":"spec.overlay.mtu 9500 does not fit uplink ens1f0"})");
  EXPECT_EQ(to_json(Error{"FL5020", "nobody there"}).dump(), R"({"code":"FL5020","what":"nobody there"})");
}

TEST(Diagnostic, AListIsSortedAndCutPerFile) {
  std::vector<Diagnostic> all;
  for (uint32_t line = 30; line > 0; --line) {
    for (const char* file : {"b.yaml", "a.yaml"}) {
      Diagnostic d = example();
      d.file = file;
      d.line = line;
      if (std::string(file) == "b.yaml" && line > 3) continue;
      all.push_back(d);
    }
  }
  const std::string text = render(all);
  EXPECT_LT(text.find("a.yaml:1:"), text.find("a.yaml:2:"));
  EXPECT_NE(text.find("a.yaml:20:"), std::string::npos);
  EXPECT_EQ(text.find("a.yaml:21:"), std::string::npos);
  EXPECT_NE(text.find("... and 10 more in a.yaml\n"), std::string::npos);
  EXPECT_LT(text.find("... and 10 more"), text.find("b.yaml:1:"));
  EXPECT_EQ(text.find("more in b.yaml"), std::string::npos);
  EXPECT_EQ(to_json(all).size(), 33u) << "a machine gets them all";
}

TEST(Diagnostic, FirstAsAnErrorKeepsItsPlace) {
  EXPECT_EQ(to_error(example()).what,
            "cluster.yaml:14:10: spec.overlay.mtu 9500 does not fit uplink ens1f0 (uplink MTU 9000 minus "
            "VXLAN 50 allows 1280..8950)");
}

TEST(Nearest, FindsSlipsOnly) {
  const std::vector<std::string_view> words = {"encapsulation", "vni", "port", "mtu"};
  EXPECT_EQ(nearest("encapsulaton", words), "encapsulation");
  EXPECT_EQ(nearest("vin", words), "vni") << "two neighbours swapped are one slip";
  EXPECT_EQ(nearest("MTU", words), "mtu");
  EXPECT_EQ(nearest("something", words), "");
  EXPECT_EQ(nearest("", {}), "");
}

TEST(ErrorCodes, AreFoundAsPeopleTypeThem) {
  for (const char* text : {"FL1042", "fl1042", "1042"}) {
    ASSERT_NE(find_error_code(text), nullptr) << text;
    EXPECT_EQ(find_error_code(text)->code, "FL1042");
  }
  EXPECT_EQ(find_error_code("FL9999"), nullptr);
  EXPECT_EQ(find_error_code(""), nullptr);
  for (const ErrorCode& row : error_codes()) {
    EXPECT_GT(row.paragraph.size(), 40u) << row.code;
    EXPECT_EQ(row.title.find('\n'), std::string_view::npos) << row.code;
  }
}

}  // namespace
}  // namespace fairlead
