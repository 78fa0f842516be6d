#include "controlplane/ipam/journal.hpp"

#include "tests/ipam/ipam_fixture.hpp"

#include <sys/mount.h>
#include <thread>

namespace fairlead::control {
namespace {

constexpr const char* kHeader = R"({"format":"test"})";

class JournalTest : public IpamTest {
 protected:
  Result<std::unique_ptr<Journal>> open_journal(std::vector<std::string>* seen = nullptr,
                                                const std::string& name = "a") {
    return Journal::open(path(name), "addresses.journal", kHeader, [seen](std::string_view payload) {
      if (seen != nullptr) seen->emplace_back(payload);
      return Result<void>();
    });
  }
  static void append(Journal& journal, const std::string& payload) {
    const Result<uint64_t> number = journal.write(payload);
    ASSERT_TRUE(number.ok()) << number.error().text();
    const Result<void> synced = journal.sync(*number);
    ASSERT_TRUE(synced.ok()) << synced.error().text();
  }
};

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);            // RFC 9260 / the catalogue's check value
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720 B.4
}

TEST_F(JournalTest, GivesBackWhatWasWritten) {
  {
    auto journal = open_journal();
    ASSERT_TRUE(journal.ok()) << journal.error().text();
    append(**journal, "one");
    append(**journal, "two");
    EXPECT_EQ((*journal)->records(), 2u);
  }
  std::vector<std::string> seen;
  auto journal = open_journal(&seen);
  ASSERT_TRUE(journal.ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
  append(**journal, "three");
}

TEST_F(JournalTest, CutAnywhereItKeepsTheWholeRecordsAndGoesOn) {
  {
    auto journal = open_journal();
    ASSERT_TRUE(journal.ok());
    for (const char* payload : {"alpha", "beta", "gamma"}) append(**journal, payload);
  }
  const std::string whole = read(journal());
  for (size_t length = 0; length <= whole.size(); ++length) {
    const std::string name = "cut-" + std::to_string(length);
    write(journal(name), whole.substr(0, length));
    std::vector<std::string> seen;
    {
      auto journal = open_journal(&seen, name);
      ASSERT_TRUE(journal.ok()) << length << ": " << journal.error().text();
      const std::string kept = whole.substr(0, length);
      const auto lines = std::count(kept.begin(), kept.end(), '\n');
      EXPECT_EQ(seen.size(), static_cast<size_t>(std::max<long>(lines - 1, 0))) << "cut at " << length;
      append(**journal, "delta");
    }
    std::vector<std::string> again;
    ASSERT_TRUE(open_journal(&again, name).ok()) << length;
    seen.push_back("delta");
    EXPECT_EQ(again, seen) << "cut at " << length;
  }
}

TEST_F(JournalTest, TornTailOfZerosIsCutOff) {
  {
    auto journal = open_journal();
    ASSERT_TRUE(journal.ok());
    append(**journal, "alpha");
  }
  const std::string whole = read(journal());
  for (const std::string& tail :
       {std::string(100, '\0'), std::string(40, '\0') + "the end of a record\n", std::string("0")}) {
    write(journal("torn"), whole + tail);
    std::vector<std::string> seen;
    ASSERT_TRUE(open_journal(&seen, "torn").ok());
    EXPECT_EQ(seen, std::vector<std::string>{"alpha"});
    EXPECT_EQ(read(journal("torn")), whole);
  }
}

TEST_F(JournalTest, AnyFlippedBitInAWholeRecordIsRefused) {
  {
    auto journal = open_journal();
    ASSERT_TRUE(journal.ok());
    for (const char* payload : {"alpha", "beta", "gamma"}) append(**journal, payload);
  }
  const std::string whole = read(journal());
  const size_t last_record = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t at = 0; at < last_record; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      write(journal("bad"), damaged);
      auto journal_or = open_journal(nullptr, "bad");
      ASSERT_FALSE(journal_or.ok()) << "byte " << at << " bit " << bit;
      const std::string code = journal_or.error().code;
      EXPECT_TRUE(code == "FL4203" || code == "FL4204") << journal_or.error().text();
      EXPECT_EQ(read(journal("bad")), damaged) << "a refused file is left as it is";
    }
  }
}

TEST_F(JournalTest, DamageIsReportedWithLineAndByte) {
  {
    auto journal = open_journal();
    ASSERT_TRUE(journal.ok());
    append(**journal, "alpha");
    append(**journal, "beta");
  }
  std::string damaged = read(journal());
  damaged[damaged.find("alpha")] = 'A';
  write(journal(), damaged);
  auto journal_or = open_journal();
  ASSERT_FALSE(journal_or.ok());
  const std::string line_start = std::to_string(damaged.find('\n') + 1);
  EXPECT_NE(journal_or.error().what.find(":2 (byte " + line_start + ")"), std::string::npos)
      << journal_or.error().text();
  EXPECT_FALSE(journal_or.error().fix.empty());
}

TEST_F(JournalTest, RefusesAnotherFormatAndForeignFiles) {
  ASSERT_TRUE(open_journal().ok());
  auto other = Journal::open(path(), "addresses.journal", R"({"format":"test","version":2})",
                             [](std::string_view) { return Result<void>(); });
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, "FL4204");
  write(journal("foreign"), "PRECIOUS DATA WITHOUT NEWLINE");
  auto foreign = open_journal(nullptr, "foreign");
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(read(journal("foreign")), "PRECIOUS DATA WITHOUT NEWLINE");
}

TEST_F(JournalTest, OneProcessAtATime) {
  auto first = open_journal();
  ASSERT_TRUE(first.ok());
  auto second = open_journal();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "FL4202");
}

TEST_F(JournalTest, ARewriteIsAllOrNothingAtEveryByte) {
  std::string before, after;
  {
    auto journal_or = open_journal();
    ASSERT_TRUE(journal_or.ok());
    append(**journal_or, "alpha");
    append(**journal_or, "beta");
    before = read(journal());
    ASSERT_TRUE((*journal_or)->rewrite({"gamma"}).ok());
    after = read(journal());
    append(**journal_or, "delta");
  }
  std::vector<std::string> seen;
  ASSERT_TRUE(open_journal(&seen).ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"gamma", "delta"}));
  // A crash before the rename: the old journal and any part of the new one.
  for (size_t length = 0; length <= after.size(); ++length) {
    write(journal("b"), before);
    write(journal("b") + ".new", after.substr(0, length));
    seen.clear();
    ASSERT_TRUE(open_journal(&seen, "b").ok());
    EXPECT_EQ(seen, (std::vector<std::string>{"alpha", "beta"}));
    EXPECT_FALSE(std::filesystem::exists(journal("b") + ".new"));
  }
}

TEST_F(JournalTest, ParallelWritersShareFlushesAndLoseNothing) {
  constexpr int kThreads = 16, kEach = 25;
  {
    auto journal_or = open_journal();
    ASSERT_TRUE(journal_or.ok());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) append(**journal_or, std::to_string(t) + ":" + std::to_string(i));
      });
    }
    for (int i = 0; i < 20; ++i) EXPECT_EQ((*journal_or)->path(), journal());
    for (std::thread& thread : threads) thread.join();
  }
  std::vector<std::string> seen;
  ASSERT_TRUE(open_journal(&seen).ok());
  EXPECT_EQ(seen.size(), static_cast<size_t>(kThreads * kEach));
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
}

TEST_F(JournalTest, AFullDiskFailsTheWriteAndKeepsTheFileWhole) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small tmpfs needs root";
  std::filesystem::create_directories(path("full"));
  if (::mount("none", path("full").c_str(), "tmpfs", 0, "size=12k") != 0)
    GTEST_SKIP() << "no tmpfs can be mounted here";
  const std::string filler = path("full") + "/filler";
  write(filler, std::string(4096, 'f'));
  size_t accepted = 0;
  {
    auto journal_or = open_journal(nullptr, "full");
    ASSERT_TRUE(journal_or.ok()) << journal_or.error().text();
    Result<uint64_t> number = (*journal_or)->write("x");
    while (number.ok() && accepted < 1000) {
      ++accepted;
      number = (*journal_or)->write(std::string(500, 'x'));
    }
    ASSERT_FALSE(number.ok());
    EXPECT_EQ(number.error().code, "FL4205");
    const std::string kept = read(journal("full"));
    EXPECT_EQ(static_cast<size_t>(std::count(kept.begin(), kept.end(), '\n')), 1 + accepted);
    EXPECT_EQ(kept.back(), '\n') << "the half-written record was taken back";
    EXPECT_FALSE((*journal_or)->rewrite({"small"}).ok()) << "no room for a second file";
    std::filesystem::remove(filler);
    EXPECT_TRUE((*journal_or)->rewrite({"small"}).ok());
    EXPECT_TRUE((*journal_or)->write("w").ok());
  }
  std::vector<std::string> seen;
  EXPECT_TRUE(open_journal(&seen, "full").ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"small", "w"}));
  EXPECT_EQ(::umount(path("full").c_str()), 0);
}

}  // namespace
}  // namespace fairlead::control
