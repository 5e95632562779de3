// The gradients of a convolution from a dy that is almost all zeros, as behind a global maximum: of the products only
// those with an element that is not zero, each a window of x, or the kernel of one filter, times that element.
#pragma once

#include <omp.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "shapes.h"

namespace lamina {

// What moves over what; the axes lie between the batch and the channels.
struct Geometry {
  Sizes x, kernel, y, strides, before, after, dilation;
  int64_t groups;

  size_t axes() const { return strides.size(); }

  // All sizes are there, positive, and such that each window lies on the padded x.
  void check() const {
    size_t n = axes();
    expect(n >= 1 && n <= 3, "expected a window over 1 to 3 axes");
    for (Sizes shape : {x, kernel, y}) {
      expect(shape.size() == n + 2, "expected arrays with two axes more than the window");
      in_bounds(shape, 1);
      expect(std::accumulate(shape.begin(), shape.end(), 1.0, std::multiplies<>()) < 1e15, "expected fewer elements");
    }
    for (Sizes each : {strides, dilation, before, after}) {
      expect(each.size() == n, "expected strides, dilation and padding for each axis");
    }
    in_bounds(strides, 1), in_bounds(dilation, 1), in_bounds(before, 0), in_bounds(after, 0);
    expect(groups > 0 && groups <= x[n + 1] && groups * kernel[n] == x[n + 1] && kernel[n + 1] % groups == 0,
           "expected as many channels, in groups, as the kernel has");
    expect(x[0] == y[0] && kernel[n + 1] == y[n + 1], "expected y with x's rows and the kernel's filters");
    for (size_t axis = 0; axis < n; ++axis) {
      int64_t reach = (kernel[axis] - 1) * dilation[axis] + 1;
      int64_t moves = x[axis + 1] + before[axis] + after[axis] - reach;
      expect(moves >= 0 && moves / strides[axis] + 1 == y[axis + 1], "expected y with one position for each window");
    }
  }

 private:
  static void in_bounds(Sizes sizes, int64_t least) {
    for (int64_t size : sizes) {
      expect(size >= least && size <= INT32_MAX, "expected at least " + std::to_string(least));
    }
  }
};

LAMINA_VECTORS static inline int64_t count(const float* data, int64_t size) {  // of those that are not zero
  int32_t found = 0;
#pragma omp simd reduction(+ : found)
  for (int64_t n = 0; n < size; ++n) found += data[n] != 0;
  return found;
}

LAMINA_VECTORS static inline bool finite(const float* data, int64_t size) {
  float sum = 0;  // of zeros, but for infinity and NaN
#pragma omp simd reduction(+ : sum)
  for (int64_t n = 0; n < size; ++n) sum += data[n] * 0;
  return sum == 0;
}

class Sparse {
 public:
  // Whether at most one element in so many differs from zero; oneDNN's products are that much faster, each.
  static constexpr int64_t kFew = 16;
  static constexpr int64_t kSpan = 1 << 14;

  Sparse(const float* dy, const Geometry& g) : g_(g), parts_(static_cast<size_t>(omp_get_max_threads())) {
    int64_t size = 1;
    for (size_t axis = 1; axis < g.y.size(); ++axis) size *= g.y[axis];
    bool few = true;
#pragma omp parallel for reduction(&& : few)
    for (size_t part = 0; part < parts_.size(); ++part) {
      for (int64_t n = first_of(part); few && n < first_of(part + 1); ++n) {
        const float* sample = dy + n * size;
        few = count(sample, size) * kFew <= size;
        if (few) collect(sample, n, parts_[part]);
      }
    }
    few_ = few;
  }

  // Whether the products that are left out are zeros: one with infinity or NaN is none.
  bool serves(const float* other, Sizes shape) const {
    int64_t size = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    if (!few_) return false;
    bool zeros = true;
#pragma omp parallel for reduction(&& : zeros)
    for (int64_t start = 0; start < size; start += kSpan) {
      zeros = zeros && finite(other + start, std::min(kSpan, size - start));
    }
    return zeros;
  }

  // dx (batch, *sizes, channels) from the kernel (*window, channels, filters)
  void input_gradient(const float* kernel, float* dx) const {
    auto by_filter = transposed(kernel, window() * channels(), filters());
    int64_t sample = 1, places = window();
    for (size_t axis = 1; axis < g_.x.size(); ++axis) sample *= g_.x[axis];
#pragma omp parallel for
    for (size_t part = 0; part < parts_.size(); ++part) {
      std::fill(dx + first_of(part) * sample, dx + first_of(part + 1) * sample, 0.0f);
      for (const Entry& entry : parts_[part]) {
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

  int64_t first_of(size_t part) const {
    return static_cast<int64_t>(static_cast<size_t>(g_.y[0]) * part / parts_.size());
  }
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
  std::vector<std::vector<Entry>> parts_;  // of the samples, one for each thread, where OpenMP gives as many
  bool few_;
};

}  // namespace lamina
