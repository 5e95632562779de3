// Work is shared out to XLA's own threads. With threads of OpenMP's, both wait for the processor in turn.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace lamina {

// Within it oneDNN, on this thread, makes and runs primitives for one thread.
struct OneThread {
  int before = omp_get_max_threads();
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before); }
};

class Threads {
 public:
  explicit Threads(xla::ffi::ThreadPool pool)
      : pool_(pool), count_(std::max<int64_t>(pool.num_threads() / programs, 1)) {}

  int64_t count() const { return count_; }

  // Wakes a thread up for work that comes soon: a sleeping one takes 20 microseconds to come, in which this one goes
  // on.
  void rouse() {
    if (count_ > 1) pool_.Schedule([] {});
  }

  // Another thread runs this too, if one comes.
  void also(std::function<void()> run) { pool_.Schedule(std::move(run)); }

  // So many programs run at a time, and each call takes its part of the threads: a call that hands work to a thread
  // which another program keeps busy, or waits for, loses more than it gains.
  static inline std::atomic<int64_t> programs{1};

  // run(part) for each of so many parts. The thread that calls takes parts too, until none is left, so it never waits
  // for a part that no thread has begun: all of them may be within such calls.
  template <typename Run>
  void each(int64_t parts, Run run) {
    auto work = std::make_shared<Work>(parts, run);
    for (int64_t helper = 1; helper < std::min(parts, count_); ++helper) pool_.Schedule([work] { work->take(); });
    work->take();
    work->wait();
  }

  // The same for work of so many multiply-adds in all: of few, by this thread alone, which is done before another one
  // has come and has the data in its cache. That one wakes up for the next call.
  template <typename Run>
  void each_worth(double work, int64_t parts, Run run) {
    if (work >= kWorthTwo) return each(parts, run);
    rouse();
    for (int64_t part = 0; part < parts; ++part) run(part);
  }

  // run(first, end, part) for runs of `size` things, at most one for each thread, and each of `least` things at least.
  template <typename Run>
  void each_of(int64_t size, int64_t least, Run run) {
    int64_t parts = parts_of(size, least);
    each(parts, [&](int64_t part) { run(size * part / parts, size * (part + 1) / parts, part); });
  }
  int64_t parts_of(int64_t size, int64_t least) const {
    return std::clamp<int64_t>((size + least - 1) / least, size ? 1 : 0, count_);
  }

 private:
  class Work {
   public:
    Work(int64_t parts, std::function<void(int64_t)> run) : parts_(parts), run_(std::move(run)) {}

    void take() {
      OneThread alone;
      for (int64_t part; (part = next_++) < parts_;) {
        try {
          run_(part);
        } catch (...) {
          std::lock_guard<std::mutex> guard(lock_);
          failed_ = std::current_exception();
        }
        if (++done_ == parts_) {
          std::lock_guard<std::mutex> guard(lock_);
          finished_.notify_one();
        }
      }
    }

    void wait() {
      for (int spins = 0; spins < kSpins && done_ < parts_; ++spins) __builtin_ia32_pause();
      std::unique_lock<std::mutex> guard(lock_);
      finished_.wait(guard, [&] { return done_ == parts_; });
      if (failed_) std::rethrow_exception(failed_);
    }

   private:
    static constexpr int kSpins = 2000;  // some 50 microseconds, which a sleeping thread takes to wake up
    const int64_t parts_;
    const std::function<void(int64_t)> run_;
    std::atomic<int64_t> next_{0}, done_{0};
    std::mutex lock_;
    std::condition_variable finished_;
    std::exception_ptr failed_;
  };

  static constexpr double kWorthTwo = 1 << 22;

  xla::ffi::ThreadPool pool_;
  int64_t count_;
};

}  // namespace lamina
