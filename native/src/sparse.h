// The gradients of a convolution from a dy with almost only zeros, as below a global max pooling. Only products with
// elements that are not zero are computed: a window of x, or the kernel of one filter, times such an element.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>

#include "pooling.h"

namespace lamina {

// The sizes of a convolution. The spatial axes are between the batch and the channels.
struct Geometry {
  Dims x, kernel, y;
  Sizes strides, before, after, dilation;
  int64_t groups;
  bool half;  // x and y are bfloat16

  size_t axes() const { return strides.size(); }

  // The same sizes for another number of rows.
  Geometry of_rows(int64_t rows) const {
    Geometry part = *this;
    part.x[0] = part.y[0] = rows;
    return part;
  }
  // The number of elements in a row.
  int64_t x_row() const { return product(x) / x[0]; }
  int64_t y_row() const { return product(y) / y[0]; }

  static int64_t product(const Dims& sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  }

  static void in_bounds(Sizes sizes, int64_t least) {
    for (int64_t size : sizes) {
      expect(size >= least && size <= INT32_MAX, "expected at least " + std::to_string(least));
    }
  }

  // Whether all sizes are given and positive, and each window is inside of the padded x.
  void check() const {
    size_t n = axes();
    expect(n >= 1 && n <= 3, "expected a window over 1 to 3 axes");
    for (const Dims& shape : {x, kernel, y}) {
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
};

LAMINA_VECTORS static inline int64_t count(const float* data, int64_t size) {  // elements that are not zero
  int32_t found = 0;
#pragma omp simd reduction(+ : found)
  for (int64_t n = 0; n < size; ++n) found += data[n] != 0;
  return found;
}

LAMINA_VECTORS static inline int64_t count(const Half* data, int64_t size) {
  int32_t found = 0;
#pragma omp simd reduction(+ : found)
  for (int64_t n = 0; n < size; ++n) found += (data[n] & 0x7fff) != 0;
  return found;
}

LAMINA_VECTORS static inline bool finite(const float* data, int64_t size) {
  float sum = 0;  // stays 0 unless an element is infinite or NaN
#pragma omp simd reduction(+ : sum)
  for (int64_t n = 0; n < size; ++n) sum += data[n] * 0;
  return sum == 0;
}

class Sparse {
 public:
  // These kernels serve if at most one element in kFew is not zero: each product of oneDNN is faster by this factor.
  static constexpr int64_t kFew = 16;
  static constexpr int64_t kSpan = 1 << 14;

  Sparse(Threads& threads, const void* dy, const Geometry& g)
      : threads_(threads), g_(g), parts_(static_cast<size_t>(threads.parts_of(g.y[0], 1))) {
    g.half ? read(static_cast<const Half*>(dy)) : read(static_cast<const float*>(dy));
  }

  // Makes the entries from the gradient of the pooled values and their places.
  Sparse(Threads& threads, const float* dp, const Place* places, const Geometry& g, const Pool& pool)
      : threads_(threads), g_(g), parts_(static_cast<size_t>(threads.parts_of(g.y[0], 1))) {
    threads_.each_of(g.y[0], 1, [&](int64_t first, int64_t end, int64_t part) {
      auto& found = parts_[static_cast<size_t>(part)];
      for (int64_t n = first * pool.pooled(); n < end * pool.pooled(); ++n) {
        if (places[n] == kNone || dp[n] == 0) continue;
        int64_t row = n / pool.row() % pool.pooled_rows, column = n % pool.row() / pool.channels;
        found.push_back({n / pool.pooled(),
                         n % pool.channels,
                         {row * pool.down + places[n] / pool.wide, column * pool.right + places[n] % pool.wide},
                         dp[n]});
      }
    });
  }

  bool few() const { return few_; }
  // Whether the omitted products are zeros. A product with infinity or NaN is not.
  bool serves(const float* other, const Dims& shape) const {
    std::atomic<bool> zeros = true;
    threads_.each_of(Geometry::product(shape), kSpan, [&](int64_t first, int64_t end, int64_t) {
      for (; zeros && first < end; first += kSpan) {
        if (!finite(other + first, std::min(kSpan, end - first))) zeros = false;
      }
    });
    return zeros;
  }

  // dx (batch, *sizes, channels) from the kernel (*window, channels, filters)
  void input_gradient(const float* kernel, float* dx) const {
    auto by_filter = transposed(kernel, window() * channels(), filters());
    int64_t sample = g_.x_row(), places = window();
    threads_.each_of(g_.x[0], 1, [&](int64_t first, int64_t end, int64_t part) {
      std::fill(dx + first * sample, dx + end * sample, 0.0f);
      for (const Entry& entry : parts_[static_cast<size_t>(part)]) {
        each_run(entry, [&](int64_t at, int64_t place, int64_t count) {
          add(count * channels(), entry.value, &by_filter[(entry.filter * places + place) * channels()], dx + at);
        });
      }
    });
  }

  // dk (*window, channels, filters) from x (batch, *sizes, channels)
  void kernel_gradient(const float* x, float* dk) const {
    int64_t one = window() * channels();
    std::vector<float> sum(one * filters(), 0.0f);  // (filters, *window, channels)
    // The filters are divided among the threads. Each thread reads all entries, and uses those of its filters.
    threads_.each_of(filters(), 1, [&](int64_t first, int64_t end, int64_t) {
      for (auto& part : parts_) {
        for (const Entry& entry : part) {
          if (entry.filter < first || entry.filter >= end) continue;
          each_run(entry, [&](int64_t at, int64_t place, int64_t count) {
            add(count * channels(), entry.value, x + at, &sum[entry.filter * one + place * channels()]);
          });
        }
      }
    });
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

  template <typename Element>
  void read(const Element* dy) {
    int64_t size = g_.y_row();
    threads_.each_of(g_.y[0], 1, [&](int64_t first, int64_t end, int64_t part) {
      for (int64_t n = first; few_ && n < end; ++n) {
        const Element* sample = dy + n * size;
        if (count(sample, size) * kFew > size) {
          few_ = false;
        } else {
          collect(sample, n, parts_[static_cast<size_t>(part)]);
        }
      }
    });
  }

  int64_t filters() const { return g_.y.back(); }
  int64_t channels() const { return g_.x.back(); }
  int64_t window() const { return Geometry::product(g_.kernel) / channels() / filters(); }

  static float value(float element) { return element; }
  static float value(Half element) { return widened(element); }

  template <typename Element>
  void collect(const Element* sample, int64_t n, std::vector<Entry>& found) const {
    int64_t rows = 1;
    for (size_t axis = 0; axis < g_.axes(); ++axis) rows *= g_.y[axis + 1];
    for (int64_t p = 0; p < rows; ++p, sample += filters()) {
      if (!count(sample, filters())) continue;
      Entry entry{n, 0, {}, 0};
      int64_t left = p;
      for (size_t axis = g_.axes(); axis-- > 0; left /= g_.y[axis + 1]) entry.position[axis] = left % g_.y[axis + 1];
      for (; entry.filter < filters(); ++entry.filter) {
        entry.value = value(sample[entry.filter]);
        if (entry.value != 0) found.push_back(entry);
      }
    }
  }

  // Calls run(start of the channels in x, position in the window, number of positions) for the positions of an entry's
  // window inside of x. Positions along the last axis are adjacent in x too, so they come in one call.
  template <typename Run>
  void each_run(const Entry& entry, Run run) const {
    size_t last = g_.axes() - 1;
    int64_t length = g_.kernel[last], rate = g_.dilation[last], size = g_.x[last + 1];
    int64_t start = entry.position[last] * g_.strides[last] - g_.before[last];
    for (int64_t row = 0, rows = window() / length; row < rows; ++row) {
      int64_t at = 0, left = row, step = channels() * size;
      bool inside = true;
      for (size_t axis = last; axis-- > 0; left /= g_.kernel[axis]) {
        int64_t index =
            entry.position[axis] * g_.strides[axis] - g_.before[axis] + left % g_.kernel[axis] * g_.dilation[axis];
        inside = inside && index >= 0 && index < g_.x[axis + 1];
        at += index * step;
        step *= g_.x[axis + 1];
      }
      if (!inside) continue;
      at += entry.sample * step + start * channels();
      if (rate == 1) {
        int64_t first = std::max<int64_t>(-start, 0), end = std::min(length, size - start);
        if (first < end) run(at + first * channels(), row * length + first, end - first);
        continue;
      }
      for (int64_t k = 0; k < length; ++k) {
        int64_t index = start + k * rate;
        if (index >= 0 && index < size) run(at + k * rate * channels(), row * length + k, 1);
      }
    }
  }

  static std::vector<float> transposed(const float* data, int64_t rows, int64_t columns) {
    std::vector<float> turned(rows * columns);
    transpose(data, rows, columns, turned.data());
    return turned;
  }

  Threads& threads_;
  const Geometry& g_;
  std::vector<std::vector<Entry>> parts_;  // the entries of each thread's samples
  std::atomic<bool> few_ = true;
};

}  // namespace lamina
