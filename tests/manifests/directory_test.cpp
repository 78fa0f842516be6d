#include "controlplane/manifests/directory_source.hpp"
#include "controlplane/manifests/manifests.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fairlead::control {
namespace {

namespace fs = std::filesystem;

class Directory : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/fairlead-manifests-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    root_ = name;
    fs::create_directory(dir());
    fs::create_directory(cache());
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::string dir() const { return root_ + "/m"; }
  [[nodiscard]] std::string cache() const { return root_ + "/cache"; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(dir() + "/" + name) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(dir() + "/" + name).rdbuf();
    return text.str();
  }
  static std::string node(const std::string& name, const std::string& cidr = "10.1.0.0/24") {
    return "apiVersion: v1\nkind: Node\nmetadata: {name: " + name + "}\nspec: {podCIDR: " + cidr + "}\n";
  }
  static bool drain(DirectorySource& source) {
    pollfd waiting{source.fd(), POLLIN, 0};
    return ::poll(&waiting, 1, 2000) == 1 && source.drain();
  }
  // "+a -b ~" in the order given: upserted, deleted, network.
  static std::string text(const std::vector<Event>& events) {
    std::string out;
    for (const Event& event : events) {
      if (const auto* up = std::get_if<NodeUpserted>(&event)) out += "+" + up->node.name + " ";
      if (const auto* down = std::get_if<NodeDeleted>(&event)) out += "-" + down->name + " ";
      if (std::get_if<NetworkChanged>(&event) != nullptr) out += "~ ";
    }
    return out;
  }

  std::string root_;
};

TEST_F(Directory, FirstReloadGivesEverythingLaterOnesTheDifference) {
  write("a.yaml", node("a"));
  write("b.json", R"({"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}})");
  write(".hidden.yaml", node("hidden"));
  write("notes.txt", "not: [yaml");
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a +b ");
  EXPECT_EQ(text(source.reload()), "");
  write("a.yaml", node("a", "10.2.0.0/24"));
  ASSERT_TRUE(drain(source));
  EXPECT_EQ(text(source.reload()), "+a ");
  fs::remove(dir() + "/b.json");
  ASSERT_TRUE(drain(source));
  EXPECT_EQ(text(source.reload()), "-b ");
  EXPECT_TRUE(source.diagnostics().empty());
}

TEST_F(Directory, AWrongFileKeepsItsLastGoodObjects) {
  write("a.yaml", node("a") + "---\n" + node("b", "10.2.0.0/24"));
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a +b ");
  write("a.yaml", node("a", "10.9.0.0/24") + "---\n" + node("b", "10.2.0.1/24"));
  EXPECT_EQ(text(source.reload()), "") << "refused whole: the good first document neither";
  ASSERT_EQ(source.diagnostics().size(), 1u);
  EXPECT_EQ(source.diagnostics()[0].code, "FL1008");
  write("a.yaml", node("a", "10.9.0.0/24"));
  EXPECT_EQ(text(source.reload()), "-b +a ");
  EXPECT_TRUE(source.diagnostics().empty());
}

TEST_F(Directory, LastGoodObjectsOutliveARestart) {
  write("a.yaml", node("a"));
  {
    DirectorySource source(dir(), cache());
    EXPECT_EQ(text(source.reload()), "+a ");
  }
  write("a.yaml", "apiVersion: [");
  DirectorySource source(dir(), cache());
  EXPECT_EQ(text(source.reload()), "+a ");
  EXPECT_EQ(source.diagnostics().size(), 1u);
  fs::remove(dir() + "/a.yaml");
  EXPECT_EQ(text(source.reload()), "-a ");
  EXPECT_TRUE(fs::is_empty(cache())) << "what is deleted is forgotten";
}

TEST_F(Directory, EditorsThatRenameAreUnderstood) {
  write("a.yaml", node("a"));
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a ");
  write(".a.yaml.swp", "garbage: [");
  write("a.yaml~", "garbage: [");
  fs::rename(dir() + "/a.yaml", dir() + "/a.yaml.bak");
  write("a.new", node("a", "10.7.0.0/24"));
  fs::rename(dir() + "/a.new", dir() + "/a.yaml");
  ASSERT_TRUE(drain(source));
  EXPECT_EQ(text(source.reload()), "+a ");
  EXPECT_TRUE(source.diagnostics().empty());
}

TEST_F(Directory, AFileThatIsBeingWrittenIsLeftAlone) {
  write("a.yaml", node("a") + "---\n" + node("b", "10.2.0.0/24"));
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a +b ");
  {
    std::ofstream half(dir() + "/a.yaml");
    half << node("a") << std::flush;  // complete YAML, incomplete file
    ASSERT_TRUE(drain(source));
    EXPECT_TRUE(source.is_settling());
    EXPECT_EQ(text(source.reload()), "");
    half << "---\n" << node("b", "10.3.0.0/24");
  }
  ASSERT_TRUE(drain(source));
  EXPECT_FALSE(source.is_settling());
  EXPECT_EQ(text(source.reload()), "+b ");
}

TEST_F(Directory, TheLaterFileOfADuplicateIsRefusedWhole) {
  write("a.yaml", node("a"));
  write("b.yaml", node("b", "10.2.0.0/24"));
  DirectorySource source(dir());
  EXPECT_EQ(text(source.reload()), "+a +b ");
  write("b.yaml", node("c", "10.3.0.0/24") + "---\n" + node("a", "10.4.0.0/24"));
  EXPECT_EQ(text(source.reload()), "") << "b's last good object stays, c does not come";
  EXPECT_EQ(render(source.diagnostics()),
            "error[FL1015]: " + dir() + "/b.yaml:6:1: node/a is defined in " + dir() +
                "/a.yaml already\n"
                "    6 | apiVersion: v1\n"
                "      | ^ files are read in the order of their names; the first counts\n"
                "  fix:  remove it from one of the two files\n");
  fs::remove(dir() + "/a.yaml");
  EXPECT_EQ(text(source.reload()), "-b +a +c ");
  EXPECT_TRUE(source.diagnostics().empty());
}

TEST_F(Directory, TheOrderOfArrivalOfFilesDoesNotMatter) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {"a.yaml", node("a")},
      {"b.yaml", node("b", "10.2.0.0/24")},
      {"c.yaml", node("c", "10.3.0.0/24") + "---\n" + node("a")}};
  std::vector<size_t> order = {0, 1, 2};
  do {
    for (const auto& entry : fs::directory_iterator(dir())) fs::remove(entry.path());
    DirectorySource source(dir());
    std::map<std::string, bool> present;
    for (size_t i : order) {
      write(files[i].first, files[i].second);
      for (const Event& event : source.reload()) {
        if (const auto* up = std::get_if<NodeUpserted>(&event)) present[up->node.name] = true;
        if (const auto* down = std::get_if<NodeDeleted>(&event)) present[down->name] = false;
      }
    }
    EXPECT_TRUE(present["a"]);
    EXPECT_TRUE(present["b"]);
    EXPECT_EQ(source.diagnostics().size(), 1u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(Directory, AVanishedDirectoryChangesNothing) {
  write("a.yaml", node("a"));
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a ");
  fs::rename(dir(), root_ + "/away");
  ASSERT_TRUE(drain(source));
  EXPECT_FALSE(source.is_open());
  EXPECT_EQ(text(source.reload()), "");
  EXPECT_EQ(source.diagnostics().at(0).code, "FL1019");
  EXPECT_FALSE(source.open().ok());
  fs::create_directory(dir());
  write("b.yaml", node("b", "10.2.0.0/24"));
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "-a +b ");
  EXPECT_TRUE(source.diagnostics().empty());
  write("c.yaml", node("c", "10.3.0.0/24"));
  ASSERT_TRUE(drain(source)) << "the new directory is the one that is watched";
  EXPECT_EQ(text(source.reload()), "+c ");
}

TEST_F(Directory, ConfigMapVolumesSwapALink) {
  for (const char* version : {"1", "2"}) {
    fs::create_directory(dir() + "/.." + version);
    std::ofstream(dir() + "/.." + version + "/a.yaml") << node("a", std::string("10.") + version + ".0.0/24");
  }
  fs::create_symlink("..1", dir() + "/..data");
  fs::create_symlink("..data/a.yaml", dir() + "/a.yaml");
  DirectorySource source(dir());
  ASSERT_TRUE(source.open().ok());
  EXPECT_EQ(text(source.reload()), "+a ");
  fs::create_symlink("..2", dir() + "/..tmp");
  fs::rename(dir() + "/..tmp", dir() + "/..data");
  ASSERT_TRUE(drain(source));
  EXPECT_EQ(text(source.reload()), "+a ");
}

TEST_F(Directory, WriteModeChangesTheModeAndNothingElse) {
  const std::string head =
      "# the network\napiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\n";
  write("n.yaml", head + "spec:   # see wiki\n  overlay: {vni: 7}\n  mode:   Overlay   # for now\n");
  ::chmod((dir() + "/n.yaml").c_str(), 0640);
  ASSERT_TRUE(write_mode(dir(), Mode::kRouted).ok());
  EXPECT_EQ(read("n.yaml"), head + "spec:   # see wiki\n  overlay: {vni: 7}\n  mode:   Routed   # for now\n");
  struct stat about {};
  ASSERT_EQ(::stat((dir() + "/n.yaml").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0640u);

  write("n.yaml", head + "spec:\n    overlay: {vni: 7}\n");
  ASSERT_TRUE(write_mode(dir(), Mode::kAuto).ok());
  EXPECT_EQ(read("n.yaml"), head + "spec:\n    mode: Auto\n    overlay: {vni: 7}\n");

  write("n.yaml", head + "spec: {overlay: {vni: 7}, mode: \"Auto\"}\n");
  ASSERT_TRUE(write_mode(dir(), Mode::kOverlay).ok());
  EXPECT_EQ(read("n.yaml"), head + "spec: {overlay: {vni: 7}, mode: \"Overlay\"}\n");

  write(
      "n.yaml",
      R"({"apiVersion":"fairlead.io/v1alpha1","kind":"ClusterNetwork","metadata":{"name":"default"},"spec":{"overlay":{"vni":7}}})");
  ASSERT_TRUE(write_mode(dir(), Mode::kOverlay).ok());
  EXPECT_EQ(
      read("n.yaml"),
      R"({"apiVersion":"fairlead.io/v1alpha1","kind":"ClusterNetwork","metadata":{"name":"default"},"spec":{"mode": "Overlay", "overlay":{"vni":7}}})");
}

TEST_F(Directory, WriteModeFindsItsDocumentAmongOthers) {
  write("all.yaml", node("a") +
                        "---\napiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: "
                        "default}\nspec:\n  mode: Auto\n---\n" +
                        node("b", "10.2.0.0/24"));
  const std::string before = read("all.yaml");
  ASSERT_TRUE(write_mode(dir(), Mode::kRouted).ok());
  std::string wanted = before;
  wanted.replace(wanted.find("Auto"), 4, "Routed");
  EXPECT_EQ(read("all.yaml"), wanted);
}

TEST_F(Directory, WriteModeMakesAFileWhereThereIsNone) {
  write("a.yaml", node("a"));
  ASSERT_TRUE(write_mode(dir(), Mode::kRouted).ok());
  const LoadedManifest loaded = load_manifest_file(dir() + "/cluster-network.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  EXPECT_EQ(std::get<ClusterNetwork>(loaded.objects.at(0).value).mode, Mode::kRouted);
}

TEST_F(Directory, WriteModeRefusesToEditWhatIsWrong) {
  write("n.yaml",
        "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\nspec: {mod: "
        "Auto}\n");
  const auto result = write_mode(dir(), Mode::kRouted);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, "FL1020");
  EXPECT_FALSE(fs::exists(dir() + "/cluster-network.yaml"));
}

}  // namespace
}  // namespace fairlead::control
