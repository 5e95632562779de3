// Divides work among XLA's own threads. Threads of OpenMP would compete with them for the processor.
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

// While such an object lives, oneDNN makes and runs primitives for one thread in this thread.
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

  // Wakes up a thread for work that comes soon. A thread needs 20 microseconds for it, while this one continues.
  void rouse() {
    if (count_ > 1) pool_.Schedule([] {});
  }

  // Lets another thread run this too, if one is free.
  void also(std::function<void()> run) { pool_.Schedule(std::move(run)); }

  // The number of programs that run at the same time. Each call uses its share of the threads, because waiting for a
  // thread that another program keeps busy costs more time than it saves.
  static inline std::atomic<int64_t> programs{1};

  // Calls run(part) for each part. The calling thread computes parts too, until none is left. So it never waits for a
  // part that no thread has begun, even if all threads are within such calls.
  template <typename Run>
  void each(int64_t parts, Run run) {
    auto work = std::make_shared<Work>(parts, run);
    for (int64_t helper = 1; helper < std::min(parts, count_); ++helper) pool_.Schedule([work] { work->take(); });
    work->take();
    work->wait();
  }

  // Like `each`, for work of this many multiply-adds. This thread does little work alone: it is done before another
  // thread has woken up, and has the data in its cache. The other thread wakes up for the next call.
  template <typename Run>
  void each_worth(double work, int64_t parts, Run run) {
    if (work >= kWorthTwo) return each(parts, run);
    rouse();
    for (int64_t part = 0; part < parts; ++part) run(part);
  }

  // Calls run(first, end, part) for ranges of `size` elements: one for a thread at most, of at least `least` elements.
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
    static constexpr int kSpins = 2000;  // about 50 microseconds, the time that a sleeping thread needs to wake up
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
