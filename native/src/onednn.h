// Shared by all custom calls: oneDNN's engine, scratch memory, cached primitives, and XLA's arrays as oneDNN's.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "threads.h"
#include "xla/ffi/api/ffi.h"

// A function that is compiled for each width of vectors. The processor decides which one runs.
#if defined(__GNUC__) && !defined(__clang__)
#ifdef __SANITIZE_THREAD__  // the sanitizer is not loaded yet when the loader chooses the function
#define LAMINA_VECTORS
#else
#define LAMINA_VECTORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#define LAMINA_512 __attribute__((target("arch=x86-64-v4")))  // only where `has_512`
inline bool has_512() { return __builtin_cpu_supports("x86-64-v4"); }
#else
#define LAMINA_VECTORS
#define LAMINA_512
inline bool has_512() { return false; }
#endif

namespace lamina {

namespace ffi = xla::ffi;
using Dims = dnnl::memory::dims;
using Sizes = ffi::Span<const int64_t>;
using Type = dnnl::memory::data_type;

// Objects that outlive a call are never destroyed, because XLA's threads may still run when the process ends.
inline dnnl::engine& engine() {
  static auto& cpu = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return cpu;
}

inline dnnl::stream& stream() {
  thread_local dnnl::stream own(engine());
  return own;
}

inline dnnl::primitive_attr with_own_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// Memory for one call. The thread keeps it for its next calls.
class Room {
 public:
  explicit Room(size_t bytes) {
    auto& kept = free();
    auto fits = std::find_if(kept.begin(), kept.end(), [&](const Block& block) { return block.size >= bytes; });
    if (fits != kept.end()) {
      block_ = std::move(*fits);
      kept.erase(fits);
    } else {
      block_.size = (bytes + 63) / 64 * 64;
      block_.data.reset(std::aligned_alloc(64, block_.size));
      if (!block_.data && block_.size) throw std::bad_alloc();
    }
  }
  Room(Room&&) = default;
  Room& operator=(Room&&) = default;
  ~Room() {
    if (!block_.data) return;
    auto& kept = free();
    kept.push_back(std::move(block_));
    std::sort(kept.begin(), kept.end(), [](const Block& a, const Block& b) { return a.size < b.size; });
    if (kept.size() > kMost) kept.erase(kept.begin());
  }

  void* data() const { return block_.data.get(); }
  float* floats() const { return static_cast<float*>(data()); }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  struct Block {
    std::unique_ptr<void, Free> data;
    size_t size = 0;
  };
  static constexpr size_t kMost = 16;
  static std::vector<Block>& free() {
    thread_local std::vector<Block> kept;
    return kept;
  }
  Block block_;
};

// Primitives are made once for each combination of kind, sizes and settings. All threads share them.
template <typename Made>
class Cache {
 public:
  template <typename Make>
  std::shared_ptr<const Made> get(const std::vector<int64_t>& key, Make make) {
    std::string bytes(reinterpret_cast<const char*>(key.data()), key.size() * sizeof(int64_t));
    std::lock_guard<std::mutex> guard(lock_);
    auto found = made_.find(bytes);
    if (found != made_.end()) return found->second;
    if (made_.size() >= kMost) made_.clear();
    return made_[bytes] = std::make_shared<const Made>(make());
  }

 private:
  static constexpr size_t kMost = 512;
  std::mutex lock_;
  std::unordered_map<std::string, std::shared_ptr<const Made>> made_;
};

// oneDNN numbers axes as (batch, channels, *sizes). XLA's arrays are stored as (batch, *sizes, channels).
inline dnnl::memory::desc channels_last(Sizes shape, Type type) {
  Dims dims{shape.front(), shape.back()}, steps(shape.size());
  for (size_t axis = 1; axis + 1 < shape.size(); ++axis) dims.push_back(shape[axis]);
  int64_t step = shape.back();
  for (size_t axis = dims.size() - 1; axis >= 2; step *= dims[axis--]) steps[axis] = step;
  steps[0] = step;
  steps[1] = 1;
  return {dims, type, steps};
}

inline Dims plus(Sizes sizes, int64_t more) {
  Dims dims(sizes.begin(), sizes.end());
  for (auto& size : dims) size += more;
  return dims;
}

inline void append(std::vector<int64_t>& key, Sizes sizes) {
  key.push_back(static_cast<int64_t>(sizes.size()));
  key.insert(key.end(), sizes.begin(), sizes.end());
}

inline void transpose(const float* from, int64_t rows, int64_t columns, float* to) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
}

// to += times * from
LAMINA_VECTORS static inline void add(int64_t count, float times, const float* from, float* to) {
#pragma omp simd
  for (int64_t n = 0; n < count; ++n) to[n] += times * from[n];
}

// The end of a process frees memory that a call in another thread still reads. So the exit waits for running calls, and
// a thread that begins a new call then blocks until the process has ended.
class UnderWay {
 public:
  UnderWay() {
    static const bool registered = (process = getpid(), std::atexit(wait) == 0);
    static_cast<void>(registered);
    ++calls;
    if (!ending) return;
    --calls;
    for (;;) pause();
  }
  ~UnderWay() { --calls; }

 private:
  static void wait() {
    if (process != getpid()) return;  // a forked child: the counted threads belong to its parent
    ending = true;
    while (calls > 0) usleep(1000);
  }

  static inline pid_t process;
  static inline std::atomic<int64_t> calls{0};
  static inline std::atomic<bool> ending{false};
};

// An exception must not cross into XLA.
template <typename Run>
ffi::Error guarded(ffi::ThreadPool pool, Run run) {
  UnderWay call;
  try {
    omp_set_dynamic(false);  // oneDNN's threads wait for each other, so all that it requests must exist
    Threads threads(pool);
    run(threads);
    return ffi::Error::Success();
  } catch (const std::invalid_argument& error) {
    return ffi::Error(ffi::ErrorCode::kInvalidArgument, std::string("lamina-onednn: ") + error.what());
  } catch (const dnnl::error& error) {
    return ffi::Error(ffi::ErrorCode::kInternal, std::string("oneDNN: ") + error.what());
  } catch (const std::exception& error) {
    return ffi::Error(ffi::ErrorCode::kInternal, std::string("lamina-onednn: ") + error.what());
  }
}

}  // namespace lamina
