#pragma once

// Board: where the newest Snapshot hangs, and who waits for a newer one. Any thread.
//
//   Board::Watcher watcher(&board);
//   while (!board.stopped()) {
//     Use(*board.current());
//     co_await watcher.Wait();         // until something is published, Stop() or Wake()
//   }

#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "libs/base/task.h"
#include "services/acme/issuer.h"

namespace godwit::acme {

class Board {
 public:
  class Watcher {
   public:
    explicit Watcher(Board* board);
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

    // Resumes at once when there was a reason since the last time. One at a time.
    base::Task<void> Wait();
    void Wake();

   private:
    friend class Board;
    void WakeLocked();
    Board* const board_;
    bool woken_ = false;                           // guarded by board_->mutex_
    std::optional<base::Completion<bool>> wakes_;  // guarded by board_->mutex_
  };

  // Null before the first.
  std::shared_ptr<const Snapshot> current() const;
  // Wakes all when it is another one.
  void Publish(std::shared_ptr<const Snapshot> snapshot);
  void Stop();
  bool stopped() const;
  size_t watchers() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> current_;  // guarded by mutex_, as all below
  std::set<Watcher*> watchers_;
  bool stopped_ = false;
};

}  // namespace godwit::acme
