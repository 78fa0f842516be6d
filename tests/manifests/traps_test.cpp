#include "controlplane/manifests/manifests.hpp"
#include "controlplane/manifests/yaml.hpp"

#include <gtest/gtest.h>

#include <string>

// Each trap of YAML and of its library, with the exact words that a person sees.

namespace fairlead::control {
namespace {

std::string shown(std::string_view text) {
  return render(load_manifest(text, "c.yaml").diagnostics);
}

const std::string kHead =
    "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\n";

TEST(Traps, DuplicateKeyIsRefusedWithBothPositions) {
  EXPECT_EQ(shown(kHead + "spec:\n  overlay:\n    vni: 100\n    port: 4789\n    vni: 200\n"),
            R"(error[FL1003]: c.yaml:8:5: the key vni stands here for the second time
    8 |     vni: 200
      |     ^^^ first at 6:5
  fix:  keep one of the two
)");
}

TEST(Traps, DuplicateKeyInAKindThatWeDoNotReadIsNotOurs) {
  const LoadedManifest loaded =
      load_manifest("apiVersion: v1\nkind: ConfigMap\ndata: {a: 1, a: 2}\n", "c.yaml");
  EXPECT_TRUE(loaded.diagnostics.empty());
  EXPECT_EQ(loaded.ignored, std::vector<std::string>{"v1 ConfigMap"});
}

TEST(Traps, LeadingZeroIsNotGuessedAt) {
  EXPECT_EQ(shown(kHead + "spec: {overlay: {vni: 010}}\n"),
            R"(error[FL1018]: c.yaml:4:23: spec.overlay.vni: YAML readers disagree about 010
    4 | spec: {overlay: {vni: 010}}
      |                       ^^^ octal, hexadecimal, grouped or plain, depending on the reader
  fix:  write 10, or quote it if it is to be text
)");
}

TEST(Traps, YesIsNeitherTextNorTruth) {
  EXPECT_EQ(shown("apiVersion: v1\nkind: Node\nmetadata: {name: no}\n"),
            R"(error[FL1018]: c.yaml:3:18: metadata.name: YAML readers disagree about no
    3 | metadata: {name: no}
      |                  ^^ a truth value for some readers, text for others
  fix:  quote it if it is to be text
)");
}

TEST(Traps, EveryDocumentOfAFileIsRead) {
  const LoadedManifest loaded = load_manifest(
      "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Node\nmetadata: "
      "{name: b}\n...\n",
      "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 2u);
  EXPECT_EQ(loaded.objects[0].key, "node/a");
  EXPECT_EQ(loaded.objects[1].key, "node/b");
  EXPECT_EQ(loaded.objects[1].line, 6u);
}

TEST(Traps, AnErrorInALaterDocumentRefusesTheWholeFile) {
  const LoadedManifest loaded = load_manifest(
      "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Node\nmetadata: {}\n",
      "c.yaml");
  EXPECT_TRUE(loaded.objects.empty());
  EXPECT_EQ(render(loaded.diagnostics), R"(error[FL1010]: c.yaml:7:11: metadata.name is missing
    7 | metadata: {}
      |           ^
  fix:  add metadata: {name: ...}
)");
}

TEST(Traps, UnclosedBracketIsShownWhereItOpens) {
  EXPECT_EQ(shown(kHead + "spec:\n  addressing:\n    pods: [10.244.0.0/16\n  mode: Auto\n"),
            R"(error[FL1002]: c.yaml:6:11: this bracket is not closed
    6 |     pods: [10.244.0.0/16
      |           ^ noticed at 7:7
  fix:  close it
)");
}

TEST(Traps, WhatFollowsAValueIsNotReadForEver) {
  EXPECT_EQ(shown("{apiVersion: v1, kind: Node, metadata: {name: a}},,\n"),
            R"(error[FL1002]: c.yaml:1:50: this does not belong to the value before it
    1 | {apiVersion: v1, kind: Node, metadata: {name: a}},,
      |                                                  ^
  fix:  remove it, or begin a new document with ---
)");
}

TEST(Traps, TabsAreNamed) {
  EXPECT_NE(shown(kHead + "spec:\n\tmode: Auto\n").find("indent with blanks, not tabs"), std::string::npos)
      << shown(kHead + "spec:\n\tmode: Auto\n");
}

TEST(Traps, TypeErrorsSayFoundAndWanted) {
  EXPECT_EQ(shown(kHead + "spec:\n  overlay: {vni: \"100\", port: many}\n  addressing: 10.244.0.0/16\n"),
            R"(error[FL1004]: c.yaml:5:18: spec.overlay.vni: found the text "100", wanted integer 1..16777215
    5 |   overlay: {vni: "100", port: many}
      |                  ^^^^^
  fix:  remove the quotes
error[FL1004]: c.yaml:5:31: spec.overlay.port: found the text "many", wanted integer 1..65535
    5 |   overlay: {vni: "100", port: many}
      |                               ^^^^
error[FL1004]: c.yaml:6:15: spec.addressing: found the text "10.244.0.0/16", wanted a mapping
    6 |   addressing: 10.244.0.0/16
      |               ^^^^^^^^^^^^^
)");
}

TEST(Traps, NumbersAreBounded) {
  for (const char* vni : {"0", "16777216", "-1", "99999999999999999999999"}) {
    const std::string text = shown(kHead + "spec: {overlay: {vni: " + vni + "}}\n");
    EXPECT_NE(text.find(std::string("found ") + vni + ", wanted integer 1..16777215"), std::string::npos)
        << text;
    EXPECT_NE(text.find("FL1006"), std::string::npos) << text;
  }
  EXPECT_NE(shown(kHead + "spec: {overlay: {vni: 1e2}}\n").find("found the number 1e2"), std::string::npos);
}

TEST(Traps, UnknownKeyGetsTheNearestAndItsSiblings) {
  EXPECT_EQ(shown(kHead + "spec:\n  overlay:\n    encapsulaton: VXLAN\n"),
            R"(error[FL1005]: c.yaml:6:5: spec.overlay: unknown key encapsulaton
    6 |     encapsulaton: VXLAN
      |     ^^^^^^^^^^^^ known here: encapsulation, vni, port, mtu
  fix:  did you mean encapsulation?
)");
}

TEST(Traps, AKeyInTheWrongPlaceIsSentToItsPlace) {
  EXPECT_NE(shown(kHead + "spec:\n  vni: 7\n").find("did you mean spec.overlay.vni?"), std::string::npos);
}

TEST(Traps, HostBitsGetTheCorrectedText) {
  EXPECT_EQ(
      shown(kHead + "spec: {addressing: {pods: [10.244.1.5/16, \"fd00:10::1/48\"]}}\n"),
      R"(error[FL1008]: c.yaml:4:28: spec.addressing.pods[0]: 10.244.1.5/16 has bits set behind its prefix length
    4 | spec: {addressing: {pods: [10.244.1.5/16, "fd00:10::1/48"]}}
      |                            ^^^^^^^^^^^^^ the network is 10.244.0.0/16
  fix:  write 10.244.0.0/16
error[FL1008]: c.yaml:4:43: spec.addressing.pods[1]: fd00:10::1/48 has bits set behind its prefix length
    4 | spec: {addressing: {pods: [10.244.1.5/16, "fd00:10::1/48"]}}
      |                                           ^^^^^^^^^^^^^^^ the network is fd00:10::/48
  fix:  write fd00:10::/48
)");
}

TEST(Traps, MergeKeysAndTagsAreRefused) {
  EXPECT_NE(shown("apiVersion: v1\nkind: Node\nmetadata: &m {name: a}\nspec:\n  <<: *m\n").find("FL1012"),
            std::string::npos);
  EXPECT_NE(
      shown("apiVersion: v1\nkind: Node\nmetadata: {name: !!str 7}\n").find("the tag tag:yaml.org,2002:str"),
      std::string::npos)
      << shown("apiVersion: v1\nkind: Node\nmetadata: {name: !!str 7}\n");
}

TEST(Traps, AliasesWorkWithinReason) {
  const LoadedManifest loaded = load_manifest(
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: a}, spec: &s "
      "{podCIDRs: [10.1.0.0/24]}}\n"
      "- {apiVersion: v1, kind: Node, metadata: {name: b}, spec: *s}\n",
      "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 2u);
  EXPECT_EQ(std::get<NodeObject>(loaded.objects[1].value).pod_cidrs,
            std::get<NodeObject>(loaded.objects[0].value).pod_cidrs);
}

TEST(Traps, AliasBombIsDefused) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string inner = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + inner;
    for (int j = 0; j < 9; ++j) bomb += ", " + inner;
    bomb += "]\n";
  }
  EXPECT_NE(shown(bomb).find("FL1011"), std::string::npos);
}

TEST(Traps, AnAliasInsideWhatItNamesIsRefused) {
  EXPECT_NE(shown("apiVersion: v1\nkind: Node\nmetadata: &m {name: a, labels: *m}\n").find("FL1012"),
            std::string::npos);
}

TEST(Traps, DepthIsBounded) {
  EXPECT_NE(shown(std::string(100, '[') + std::string(100, ']')).find("nested deeper than 64 levels"),
            std::string::npos);
  EXPECT_NE(shown(std::string(100'000, '[')).find("nested deeper than 64 levels"), std::string::npos);
  std::string blocks;
  for (int i = 0; i < 3000; ++i) blocks += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_NE(shown(blocks).find("nested deeper than 64 levels"), std::string::npos);
}

TEST(Traps, SizeIsBounded) {
  EXPECT_EQ(shown(std::string(kMaxManifestBytes + 1, ' ')),
            "error[FL1001]: c.yaml: is larger than 8 MiB\n  fix:  split it\n");
}

TEST(Traps, BinaryIsNotText) {
  EXPECT_NE(shown(std::string("a: \0b", 5)).find("byte 3 is zero"), std::string::npos);
}

TEST(Traps, AtMostTwentyAreShown) {
  std::string text = kHead + "spec:\n  overlay:\n";
  for (int i = 0; i < 25; ++i) text += "    unknown" + std::to_string(i) + "x: 1\n";
  const LoadedManifest loaded = load_manifest(text, "c.yaml");
  EXPECT_EQ(loaded.diagnostics.size(), 25u);
  const std::string all = render(loaded.diagnostics);
  EXPECT_NE(all.find("... and 5 more in c.yaml\n"), std::string::npos);
  EXPECT_EQ(all.find("unknown20x"), std::string::npos);
  EXPECT_NE(all.find("unknown19x"), std::string::npos);
}

TEST(Traps, PlainScalarsAreClassifiedAsTheApiServerDoes) {
  for (const char* text : {"", "~", "null"}) EXPECT_EQ(classify_plain(text), ScalarKind::kNull) << text;
  for (const char* text : {"true", "False"}) EXPECT_EQ(classify_plain(text), ScalarKind::kBool) << text;
  for (const char* text : {"0", "10", "-1"}) EXPECT_EQ(classify_plain(text), ScalarKind::kInteger) << text;
  for (const char* text : {"1.5", "1e3", ".5", "-.inf", "1."})
    EXPECT_EQ(classify_plain(text), ScalarKind::kNumber) << text;
  for (const char* text : {"010", "0x1f", "0o17", "1_000", "+5", "yes", "off", "N", "00"}) {
    EXPECT_EQ(classify_plain(text), ScalarKind::kAmbiguous) << text;
  }
  for (const char* text :
       {"a", "10.244.0.0/16", "-", "1.2.3.4", "0x", "e1", ".", "02:46:00:00:00:01", "yesterday", "_1"}) {
    EXPECT_EQ(classify_plain(text), ScalarKind::kText) << text;
  }
}

TEST(Traps, JsonIsYaml) {
  const LoadedManifest loaded = load_manifest(
      "{\n\t\"kind\": \"Node\", \"apiVersion\": \"v1\",\n\t\"metadata\": {\"name\": \"a\", \"annotations\": "
      "{\"x\\/y\": \"\\u00e9\"}}\n}\n",
      "c.json");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 1u);
}

TEST(Traps, WindowsLineEndsAndByteOrderMark) {
  const LoadedManifest loaded = load_manifest(
      "\xef\xbb\xbf"
      "apiVersion: v1\r\nkind: Node\r\nmetadata:\r\n  name: a\r\n",
      "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 1u);
}

TEST(Traps, EmptyFilesAndCommentsHoldNothing) {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "---\n# x\n---\n"}) {
    const LoadedManifest loaded = load_manifest(text, "c.yaml");
    EXPECT_EQ(render(loaded.diagnostics), "") << text;
    EXPECT_TRUE(loaded.objects.empty());
  }
}

}  // namespace
}  // namespace fairlead::control
