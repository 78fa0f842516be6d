#pragma once

#include "controlplane/ipam/attachment.hpp"

#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace fairlead::control {

// One operation at a time per attachment, in the order they came; different attachments do not wait for each
// other. Threads: one.
class KeyQueue {
 public:
  using Finished = std::function<void()>;
  using Operation = std::function<void(Finished finished)>;  // calls finished exactly once

  void run(const AttachmentKey& key, Operation operation) {
    std::deque<Operation>& waiting = waiting_[key];
    waiting.push_back(std::move(operation));
    if (waiting.size() == 1) start(key);
  }
  // Forgets everything; what runs may still call finished.
  void clear() { waiting_.clear(); }

 private:
  void start(const AttachmentKey& key) {
    // A copy: the operation may finish at once and take itself out of the queue.
    const Operation operation = waiting_.at(key).front();
    operation([this, key] { next(key); });
  }
  void next(const AttachmentKey& key) {
    const auto it = waiting_.find(key);
    if (it == waiting_.end()) return;  // cleared meanwhile
    it->second.pop_front();
    if (it->second.empty())
      waiting_.erase(it);
    else
      start(key);
  }

  std::map<AttachmentKey, std::deque<Operation>> waiting_;  // the front one runs
};

}  // namespace fairlead::control
