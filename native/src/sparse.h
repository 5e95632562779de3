// The gradients of a convolution from a dy that is almost all zeros, as behind a global maximum: of the products only
// those with an element that is not zero, each a window of x, or the kernel of one filter, times that element.
#pragma once

#include <omp.h>

#include <algorithm>

#include "onednn.h"

namespace lamina {

// What moves over what; the axes lie between the batch and the channels.
struct Geometry {
  Sizes x, kernel, y, strides, before, after, dilation;
  int64_t groups;

  size_t axes() const { return strides.size(); }
};

LAMINA_VECTORS static inline int64_t count(const float* data, int64_t size) {  // of those that are not zero
  int32_t found = 0;
#pragma omp simd reduction(+ : found)
  for (int64_t n = 0; n < size; ++n) found += data[n] != 0;
  return found;
}

class Sparse {
 public:
  // Whether at most one element in so many differs from zero; oneDNN's products are that much faster, each.
  static constexpr int64_t kFew = 16;

  Sparse(const float* dy, const Geometry& g) : g_(g), parts_(static_cast<size_t>(omp_get_max_threads())) {
    int64_t size = 1;
    for (size_t axis = 1; axis < g.y.size(); ++axis) size *= g.y[axis];
    bool few = true;
#pragma omp parallel reduction(&& : few)
    {
      int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
      int64_t end = g.y[0] * (thread + 1) / threads;
      for (int64_t n = g.y[0] * thread / threads; few && n < end; ++n) {
        const float* sample = dy + n * size;
        few = count(sample, size) * kFew <= size;
        if (few) collect(sample, n, parts_[thread]);
      }
    }
    few_ = few;
  }

  bool few() const { return few_; }

  // dx (batch, *sizes, channels) from the kernel (*window, channels, filters)
  void input_gradient(const float* kernel, float* dx) const {
    auto by_filter = transposed(kernel, window() * channels(), filters());
    int64_t sample = 1, places = window();
    for (size_t axis = 1; axis < g_.x.size(); ++axis) sample *= g_.x[axis];
#pragma omp parallel
    {
      int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads(), batch = g_.x[0];
      std::fill(dx + batch * thread / threads * sample, dx + batch * (thread + 1) / threads * sample, 0.0f);
      for (const Entry& entry : parts_[thread]) {
        each_place(entry, [&](int64_t at, int64_t place) {
          add(channels(), entry.value, &by_filter[(entry.filter * places + place) * channels()], dx + at);
        });
      }
    }
  }

  // dk (*window, channels, filters) from x (batch, *sizes, channels)
  void kernel_gradient(const float* x, float* dk) const {
    int64_t one = window() * channels();
    std::vector<float> sum(one * filters(), 0.0f);  // (filters, *window, channels)
    // Filters are shared out: each thread reads all entries and takes its own.
#pragma omp parallel
    {
      int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
      int64_t first = filters() * thread / threads, end = filters() * (thread + 1) / threads;
      for (auto& part : parts_) {
        for (const Entry& entry : part) {
          if (entry.filter < first || entry.filter >= end) continue;
          each_place(entry, [&](int64_t at, int64_t place) {
            add(channels(), entry.value, x + at, &sum[entry.filter * one + place * channels()]);
          });
        }
      }
    }
    auto in_order = transposed(sum.data(), filters(), one);
    std::copy(in_order.begin(), in_order.end(), dk);
  }

  void bias_gradient(float* dbias) const {
    std::fill_n(dbias, filters(), 0.0f);
    for (auto& part : parts_) {
      for (const Entry& entry : part) dbias[entry.filter] += entry.value;
    }
  }

 private:
  struct Entry {
    int64_t sample, filter;
    int64_t position[3];  // on each axis
    float value;
  };

  int64_t filters() const { return g_.y.back(); }
  int64_t channels() const { return g_.x.back(); }
  int64_t window() const {
    int64_t places = 1;
    for (size_t axis = 0; axis < g_.axes(); ++axis) places *= g_.kernel[axis];
    return places;
  }

  void collect(const float* sample, int64_t n, std::vector<Entry>& found) const {
    int64_t rows = 1;
    for (size_t axis = 0; axis < g_.axes(); ++axis) rows *= g_.y[axis + 1];
    for (int64_t p = 0; p < rows; ++p, sample += filters()) {
      if (!count(sample, filters())) continue;
      Entry entry{n, 0, {}, 0};
      int64_t left = p;
      for (size_t axis = g_.axes(); axis-- > 0; left /= g_.y[axis + 1]) entry.position[axis] = left % g_.y[axis + 1];
      for (; entry.filter < filters(); ++entry.filter) {
        entry.value = sample[entry.filter];
        if (entry.value != 0) found.push_back(entry);
      }
    }
  }

  // run(where in x the channels begin, place in the window) for each place of an entry's window that lies on x
  template <typename Run>
  void each_place(const Entry& entry, Run run) const {
    for (int64_t place = 0, places = window(); place < places; ++place) {
      int64_t at = 0, left = place, step = channels();
      bool inside = true;
      for (size_t axis = g_.axes(); axis-- > 0; left /= g_.kernel[axis]) {
        int64_t index =
            entry.position[axis] * g_.strides[axis] - g_.before[axis] + left % g_.kernel[axis] * g_.dilation[axis];
        inside = inside && index >= 0 && index < g_.x[axis + 1];
        at += index * step;
        step *= g_.x[axis + 1];
      }
      if (inside) run(entry.sample * step + at, place);
    }
  }

  static std::vector<float> transposed(const float* data, int64_t rows, int64_t columns) {
    std::vector<float> turned(rows * columns);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) turned[column * rows + row] = data[row * columns + column];
    return turned;
  }

  const Geometry& g_;
  std::vector<std::vector<Entry>> parts_;  // each thread's samples
  bool few_;
};

}  // namespace lamina
