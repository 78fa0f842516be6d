#include "dataplane/daemon/state_file.hpp"

#include "dataplane/base/crc32c.hpp"
#include "dataplane/rpc/convert.hpp"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fairlead::daemon {
namespace {

constexpr std::string_view kMagic = "FLSTATE1";
constexpr uint32_t kVersion = 2;
constexpr size_t kHeaderBytes = 8 + 3 * 4;
constexpr size_t kMaxFileBytes = 1u << 30;

void append_be32(std::string& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xff));
}

uint32_t read_be32(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

Error damaged(const std::string& why) {
  return {"FL2112", "the saved state is not used: " + why,
          "nothing to do: the agent publishes the state anew"};
}

Error failed(const std::string& doing, const std::string& path) {
  return {"FL2113", "cannot " + doing + " " + path + ": " + std::strerror(errno),
          "check its file system, or choose another --state-dir"};
}

// Closes at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// Afterwards `path` holds all of `bytes`, also after a power failure, or what it held before.
Result<void> replace_file(const std::string& path, const std::string& bytes) {
  const std::string fresh = path + ".new";
  const Descriptor file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return failed("create", fresh);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(file.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno != EINTR) return failed("write", fresh);
    if (n > 0) done += static_cast<size_t>(n);
  }
  if (fsync(file.get()) != 0) return failed("sync", fresh);
  if (rename(fresh.c_str(), path.c_str()) != 0) return failed("put in place", path);
  const Descriptor directory(
      open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || fsync(directory.get()) != 0) return failed("sync the directory of", path);
  return {};
}

}  // namespace

std::string encode_state(const core::NodeState& state) {
  const std::string body = ipc::to_message(state).SerializeAsString();
  std::string bytes(kMagic);
  append_be32(bytes, kVersion);
  append_be32(bytes, static_cast<uint32_t>(body.size()));
  append_be32(bytes, crc32c(body));
  return bytes + body;
}

Result<core::NodeState> decode_state(const std::string& bytes) {
  if (bytes.size() < kHeaderBytes) return damaged("it ends after " + std::to_string(bytes.size()) + " bytes");
  if (std::string_view(bytes).substr(0, kMagic.size()) != kMagic) return damaged("it is no state file");
  if (const uint32_t version = read_be32(bytes, 8); version != kVersion) {
    return damaged("it has version " + std::to_string(version) + ", this program reads version " +
                   std::to_string(kVersion));
  }
  const std::string_view body = std::string_view(bytes).substr(kHeaderBytes);
  if (body.size() != read_be32(bytes, 12)) return damaged("its length is not what its header says");
  if (crc32c(body) != read_be32(bytes, 16)) return damaged("its checksum is wrong");
  rpc::NodeState message;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size())))
    return damaged("it does not decode");
  Result<core::NodeState> state = ipc::from_message(message);
  if (!state) return damaged(state.error().what);
  if (const std::string wrong = core::validate(*state); !wrong.empty()) return damaged(wrong);
  return state;
}

struct StateFile::Writer {
  explicit Writer(std::string file_path) : path(std::move(file_path)), thread([this] { run(); }) {}

  void run() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return !waiting.empty() || ending; });
      if (waiting.empty()) return;
      changed.wait_until(lock, next_write, [this] { return ending || flushing > 0; });
      std::vector<core::NodeStateDelta> changes = std::exchange(waiting, {});
      writing = true;
      lock.unlock();
      const auto began = std::chrono::steady_clock::now();
      const Result<void> written = write(changes);
      changes.clear();
      next_write = std::chrono::steady_clock::now() + 10 * (std::chrono::steady_clock::now() - began);
      lock.lock();
      error.reset();
      if (!written) error = written.error();
      writing = false;
      changed.notify_all();
    }
  }

  Result<void> write(const std::vector<core::NodeStateDelta>& changes) {
    for (const core::NodeStateDelta& change : changes) {
      // What the engine took fits together; a gap would be a defect of the caller.
      if (const std::string wrong = core::apply(state, change); !wrong.empty())
        return Error{"FL2113", "cannot keep " + path + " up to date: " + wrong, "restart the dataplane"};
    }
    return replace_file(path, encode_state(state));
  }

  const std::string path;
  core::NodeState state;  // the thread's own, but in assume()
  std::chrono::steady_clock::time_point next_write;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<core::NodeStateDelta> waiting;
  std::optional<Error> error;
  bool writing = false;
  bool ending = false;
  int flushing = 0;
  std::thread thread;  // last: it uses all of the above
};

StateFile::StateFile(const std::string& state_dir)
    : path_(state_dir + "/node_state.v1"), writer_(std::make_unique<Writer>(path_)) {}

StateFile::~StateFile() {
  {
    const std::lock_guard<std::mutex> lock(writer_->mutex);
    writer_->ending = true;
  }
  writer_->changed.notify_all();
  writer_->thread.join();
}

Result<std::optional<core::NodeState>> StateFile::load() const {
  std::string bytes;
  {
    const Descriptor file(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() < 0) {
      if (errno == ENOENT) return std::optional<core::NodeState>();
      return failed("open", path_);
    }
    char piece[65536];
    for (ssize_t n = 1; n != 0 && bytes.size() <= kMaxFileBytes;) {
      n = read(file.get(), piece, sizeof(piece));
      if (n < 0 && errno != EINTR) return failed("read", path_);
      if (n > 0) bytes.append(piece, static_cast<size_t>(n));
    }
  }
  Result<core::NodeState> state = decode_state(bytes);
  if (state) return std::optional<core::NodeState>(std::move(*state));
  const std::string aside = path_ + ".refused";
  const bool moved = rename(path_.c_str(), aside.c_str()) == 0;
  return Error{state.error().code, path_ + ": " + state.error().what + (moved ? "; kept as " + aside : ""),
               state.error().fix};
}

void StateFile::assume(core::NodeState state) {
  flush();
  const std::lock_guard<std::mutex> lock(writer_->mutex);
  writer_->state = std::move(state);
}

void StateFile::save(core::NodeStateDelta change) {
  {
    const std::lock_guard<std::mutex> lock(writer_->mutex);
    writer_->waiting.push_back(std::move(change));
  }
  writer_->changed.notify_all();
}

void StateFile::flush() {
  std::unique_lock<std::mutex> lock(writer_->mutex);
  ++writer_->flushing;
  writer_->changed.notify_all();
  writer_->changed.wait(lock, [this] { return writer_->waiting.empty() && !writer_->writing; });
  --writer_->flushing;
}

std::optional<Error> StateFile::last_error() const {
  const std::lock_guard<std::mutex> lock(writer_->mutex);
  return writer_->error;
}

}  // namespace fairlead::daemon
