// Steps that follow each other, each of them in parts that several threads take. A thread that sleeps needs 20
// microseconds to come, and a step may take 2: so a thread that has come stays, and looks for the next step.
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

  // The next step, until all of its parts are done. What no other thread has begun is done here: none may come.
  void step() { state_->lead(); }

 private:
  static constexpr int64_t kEnd = -1;
  static constexpr int kSpins = 2000;  // some 50 microseconds: a leader that takes longer is not running

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

    // Whoever counts a part up to this step, in which nobody has begun it, does it.
    void take(int64_t part, int64_t now) {
      int64_t before = now - 1;
      if (!taken[part].compare_exchange_strong(before, now)) return;
      run(part);
      ++done;
    }

    const std::function<void(int64_t)> run;  // not called once the leader is gone
    std::vector<std::atomic<int64_t>> taken;
    alignas(64) std::atomic<int64_t> step{0};
    alignas(64) std::atomic<int64_t> done{0};
  };

  std::shared_ptr<State> state_;
};

}  // namespace lamina
