#include "bench/pps/contestant.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace fairlead::bench {
namespace {

constexpr int kStartSeconds = 90;
constexpr int kAnswerSeconds = 60;

std::string end_of_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  constexpr size_t kEnd = 600;
  return all.size() <= kEnd ? all : all.substr(all.size() - kEnd);
}

char state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t after_name = text.rfind(')');
  return after_name == std::string::npos || after_name + 2 >= text.size() ? 'X' : text[after_name + 2];
}

}  // namespace

Error Contestant::failed(const std::string& what) const {
  return {"FL6101", command_.name + ": " + what + "\n" + end_of_file(command_.log),
          "the whole output: " + command_.log};
}

Result<void> Contestant::launch() {
  std::array<int, 2> in{}, out{};
  if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0)
    return failed(std::strerror(errno));
  std::vector<char*> words;
  for (std::string& word : command_.words) words.push_back(word.data());
  words.push_back(nullptr);
  const int log = ::open(command_.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(command_.answers ? out[1] : log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a stopped process would not notice that nobody is there
    for (const auto& [name, value] : command_.environment) setenv(name.c_str(), value.c_str(), 1);
    execvp(words[0], words.data());
    _exit(127);
  }
  close(in[0]), close(out[1]), close(log);
  to_ = in[1];
  from_ = out[0];
  return pid_ > 0 ? Result<void>{} : failed(std::strerror(errno));
}

Result<void> Contestant::await_pages() {
  for (const std::string& path : command_.pages) {
    replay::Page* page = nullptr;
    for (int tries = 0; page == nullptr || page->started.load(std::memory_order_acquire) == 0; ++tries) {
      if (!is_alive()) return failed("it ended at once");
      if (tries == kStartSeconds * 100) return failed("its devices did not start");
      usleep(10'000);
      struct stat status {};
      if (page != nullptr || stat(path.c_str(), &status) != 0 ||
          status.st_size < static_cast<off_t>(sizeof(replay::Page))) {
        continue;
      }
      const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
      void* memory = mmap(nullptr, sizeof(replay::Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      close(file);
      if (memory == MAP_FAILED) return failed(std::strerror(errno));
      page = static_cast<replay::Page*>(memory);
      pages_.push_back(page);
    }
  }
  return {};
}

Result<Contestant> Contestant::start(Command command) {
  for (const std::string& page : command.pages) unlink(page.c_str());
  Contestant made(std::move(command));
  if (auto launched = made.launch(); !launched) return launched.error();
  if (auto ready = made.await_pages(); !ready) return ready.error();
  if (made.command_.answers) {
    // Ours hands out nothing before it has its routes: it would not be what is measured.
    if (made.ask("counters").empty()) return made.failed("it does not answer");
    made.resume();
  }
  if (made.command_.when_started) {
    if (auto done = made.command_.when_started(); !done) return made.failed(done.error().what);
    made.resume();
  }
  return made;
}

Contestant::Contestant(Contestant&& other) noexcept
    : command_(std::move(other.command_)),
      pid_(std::exchange(other.pid_, -1)),
      to_(std::exchange(other.to_, -1)),
      from_(std::exchange(other.from_, -1)),
      pages_(std::move(other.pages_)),
      lost_(other.lost_) {
  other.pages_.clear();
}

Contestant::~Contestant() {
  for (replay::Page* page : pages_) munmap(page, sizeof(replay::Page));
  if (to_ >= 0) close(to_);
  if (from_ >= 0) close(from_);
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Contestant::is_alive() const {
  const char state = state_of(pid_);
  return state != 'X' && state != 'Z';
}

void Contestant::resume() {
  hold(false);
  kill(pid_, SIGCONT);
}

void Contestant::pause() {
  hold(true);
  come_to_rest();
  stop();
}

void Contestant::stop() {
  kill(pid_, SIGSTOP);
  while (is_alive() && state_of(pid_) != 'T') usleep(200);
}

void Contestant::hold(bool held) {
  for (replay::Page* page : pages_) page->paused.store(held ? 1 : 0, std::memory_order_relaxed);
}

std::vector<uint64_t> Contestant::refused() const {
  std::vector<uint64_t> counts;
  for (const replay::Page* page : pages_) {
    for (uint32_t i = 0; i < page->rx_queues; ++i)
      counts.push_back(__atomic_load_n(&page->queues.at(i).refused, __ATOMIC_ACQUIRE));
  }
  return counts;
}

// First every queue has asked in vain: a thread that was kept from the core in the middle of receiving would
// hand out frames later. Then as many have come out as were handed out, but for those lost before. Where some
// are lost that never happens; the time they are waited for is long, since whoever else runs may keep the
// threads from the core.
void Contestant::come_to_rest() {
  constexpr auto kLongest = std::chrono::seconds(2);
  const auto end = std::chrono::steady_clock::now() + kLongest;
  const std::vector<uint64_t> before = refused();
  const auto is_at_rest = [&] {
    const std::vector<uint64_t> now = refused();
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i] == before[i]) return false;
    }
    const replay::Totals sum = totals();
    return static_cast<int64_t>(sum.rx_packets - sum.tx_packets) == lost_;
  };
  constexpr int kPauseUs = 100;
  while (!is_at_rest() && is_alive() && std::chrono::steady_clock::now() < end) usleep(kPauseUs);
  const replay::Totals sum = totals();
  lost_ = static_cast<int64_t>(sum.rx_packets - sum.tx_packets);
}

replay::Totals Contestant::totals() const {
  replay::Totals sum;
  for (const replay::Page* page : pages_) {
    const replay::Totals one = replay::totals(*page);
    sum.rx_packets += one.rx_packets, sum.rx_bytes += one.rx_bytes, sum.starved += one.starved;
    sum.tx_packets += one.tx_packets, sum.tx_bytes += one.tx_bytes, sum.verified += one.verified;
    sum.foreign += one.foreign, sum.missed += one.missed;
    for (size_t i = 0; i < sum.wrong_by.size(); ++i) sum.wrong_by.at(i) += one.wrong_by.at(i);
  }
  return sum;
}

uint64_t Contestant::switches() const {
  uint64_t sum = 0;
  std::error_code ended;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task", ended)) {
    std::ifstream status(task.path() / "status");
    std::string line, cpus;
    uint64_t involuntary = 0;
    while (std::getline(status, line)) {
      std::istringstream words(line);
      std::string key;
      words >> key;
      if (key == "Cpus_allowed_list:") words >> cpus;
      if (key == "nonvoluntary_ctxt_switches:") words >> involuntary;
    }
    for (unsigned cpu = command_.first_cpu; cpu < command_.first_cpu + command_.cpus; ++cpu) {
      if (cpus == std::to_string(cpu)) sum += involuntary;
    }
  }
  return sum;
}

// A thread may have been stopped between looking for a pace and looking for the pause: what it does next it
// does as if there was no pace. So it finds the pause there, and only then it is lifted.
void Contestant::begin_pace(const replay::Pace& pace) {
  replay::Page& source = *pages_.front();
  source.pace = pace;
  source.turn.fetch_add(1, std::memory_order_release);
  const std::vector<uint64_t> before = refused();
  kill(pid_, SIGCONT);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  const auto have_all_asked = [&] {
    const std::vector<uint64_t> now = refused();
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i] < before[i] + 2) return false;
    }
    return true;
  };
  while (!have_all_asked() && is_alive() && std::chrono::steady_clock::now() < end) usleep(100);
  hold(false);
}

std::string Contestant::ask(const std::string& question) {
  const std::string line = question + "\n";
  if (write(to_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return {};
  kill(pid_, SIGCONT);
  std::string answer;
  pollfd input{from_, POLLIN, 0};
  char byte = 0;
  while (poll(&input, 1, kAnswerSeconds * 1000) > 0 && read(from_, &byte, 1) == 1 && byte != '\n')
    answer += byte;
  stop();
  return answer;
}

Result<Contestant::FlowCounts> Contestant::flow_counts() {
  const std::string answer = ask("counters");
  FlowCounts counts;
  std::istringstream words(answer);
  std::string hits, misses;
  words >> hits >> counts.hits >> misses >> counts.misses;
  if (hits != "hits" || misses != "misses") return failed("it does not answer: \"" + answer + "\"");
  return counts;
}

std::string Contestant::first_wrong() const {
  for (const replay::Page* page : pages_) {
    if (page->first_wrong == 0) continue;
    std::string text = std::string(replay::text(static_cast<replay::Wrong>(page->first_wrong))) + ", " +
                       std::to_string(page->sample_length) + " bytes:";
    constexpr const char* kDigits = "0123456789abcdef";
    for (size_t i = 0; i < page->sample.size() && i < page->sample_length; ++i) {
      if (i % 4 == 0) text += ' ';
      text += kDigits[page->sample.at(i) >> 4];
      text += kDigits[page->sample.at(i) & 15];
    }
    return text;
  }
  return {};
}

}  // namespace fairlead::bench
