// A sequence of short steps, whose parts several threads compute. A sleeping thread needs 20 microseconds to wake up,
// and a step may take 2. So a thread that has woken up spins until the next step begins.
#pragma once

#include <vector>

#include "threads.h"

namespace lamina {

class Lockstep {
 public:
  // The parts of each step are run(part).
  Lockstep(Threads& threads, int64_t parts, std::function<void(int64_t)> run)
      : state_(std::make_shared<State>(parts, std::move(run))) {
    for (int64_t part = 1; part < parts; ++part) threads.also([state = state_, part] { state->help(part); });
  }
  ~Lockstep() { state_->step = kEnd; }

  // Computes the next step. This thread computes the parts that no other thread has begun, since none may come.
  void step() { state_->lead(); }

 private:
  static constexpr int64_t kEnd = -1;
  static constexpr int kSpins = 2000;  // about 50 microseconds: a leader that takes longer does not run

  struct State {
    State(int64_t parts, std::function<void(int64_t)> run) : run(std::move(run)), taken(parts) {}

    void lead() {
      int64_t now = ++step, parts = static_cast<int64_t>(taken.size());
      for (int64_t part = 0; part < parts; ++part) take(part, now);
      while (done < now * parts) __builtin_ia32_pause();
    }

    void help(int64_t part) {
      int64_t now = 0;
      for (int spins = 0; spins < kSpins; ++spins) {
        int64_t latest = step;
        if (latest == kEnd) return;
        if (latest == now) {
          __builtin_ia32_pause();
        } else {
          take(part, now = latest);
          spins = 0;
        }
      }
    }

    // The thread that sets the counter of a part to this step computes the part.
    void take(int64_t part, int64_t now) {
      int64_t before = now - 1;
      if (!taken[part].compare_exchange_strong(before, now)) return;
      run(part);
      ++done;
    }

    const std::function<void(int64_t)> run;  // never called after the leader has returned
    std::vector<std::atomic<int64_t>> taken;
    alignas(64) std::atomic<int64_t> step{0};
    alignas(64) std::atomic<int64_t> done{0};
  };

  std::shared_ptr<State> state_;
};

}  // namespace lamina
