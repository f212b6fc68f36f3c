#include "pg/watch.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>

namespace strandline::pg {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::seconds shortened(std::chrono::seconds within) {
  static const char* const asked = std::getenv("STRANDLINE_ANSWER_WITHIN");
  return asked == nullptr ? within : std::min(within, std::chrono::seconds{std::strtol(asked, nullptr, 10)});
}

// One for the process, with a thread that starts with the first answer. Neither is ever destroyed: an answer may be awaited while
// the process ends.
class Watch {
 public:
  static Watch& of_this_process() {
    static std::mutex guard;
    static auto* watch = new Watch;
    static pid_t owner = getpid();
    const std::lock_guard<std::mutex> held{guard};
    // NOLINTBEGIN(clang-analyzer-cplusplus.NewDeleteLeaks): see below
    if (owner != getpid()) {  // a forked child has no thread
      watch = new Watch;      // the parent's cannot be destroyed: its thread is not here
      owner = getpid();
    }
    // NOLINTEND(clang-analyzer-cplusplus.NewDeleteLeaks)
    return *watch;
  }

  void begin(const Awaited* who, int socket, std::chrono::seconds within) {
    const std::lock_guard<std::mutex> held{mutex_};
    awaited_[who] = {socket, Clock::now() + within};
    if (!started_) {
      std::thread{[this] { look(); }}.detach();
      started_ = true;
    }
    if (idle_) wake_.notify_one();
  }

  void end(const Awaited* who) {
    const std::lock_guard<std::mutex> held{mutex_};
    awaited_.erase(who);
  }

 private:
  struct Answer {
    int socket = -1;
    Clock::time_point until;
  };

  [[noreturn]] void look() {
    for (std::unique_lock<std::mutex> lock{mutex_};;) {
      // Seconds are fine enough, and a statement costs no wake-up.
      wake_.wait_for(lock, std::chrono::seconds{1}, [] { return false; });
      const auto now = Clock::now();
      for (auto& [who, answer] : awaited_) {
        if (answer.until > now) continue;
        shutdown(answer.socket, SHUT_RDWR);
        answer.until = Clock::time_point::max();
      }
      idle_ = awaited_.empty();
      if (idle_) wake_.wait(lock, [this] { return !awaited_.empty(); });
      idle_ = false;
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<const Awaited*, Answer> awaited_;
  bool started_ = false;
  bool idle_ = false;
};

}  // namespace

Awaited::Awaited(int socket, std::chrono::seconds within) {
  Watch::of_this_process().begin(this, socket, shortened(within));
}

Awaited::~Awaited() { Watch::of_this_process().end(this); }

}  // namespace strandline::pg
