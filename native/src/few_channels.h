// A convolution of few channels, relu and max pooling in one pass, and the gradient of the kernel. Each element of the
// kernel, a vector of filters, is multiplied by one element of x. kAtOnce elements of a pooling window are computed
// together, so that the kernel is read once for them. Only elements of y in a pooling window are computed. If many are
// in none, as in 11 x 11 with windows of 2 x 2, this is faster for more channels too.
#pragma once

#include "pooling.h"
#include "sparse.h"

namespace lamina {

class FewChannels {
 public:
  static bool serve(const Geometry& g, const Pool& pool) {
    bool padded = false;  // by more than a window covers
    for (size_t axis = 0; axis < g.axes(); ++axis) {
      padded |= std::max(g.before[axis], g.after[axis]) > (g.kernel[axis] - 1) * g.dilation[axis];
    }
    if (g.axes() != 2 || g.groups != 1 || g.half || padded) return false;
    int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2], filters = g.y[3];
    bool registers = filters % (2 * kLanes) == 0 && __builtin_cpu_supports("avx512f");
    int64_t seen = pool.pooled_rows * pool.pooled_columns * pool.high * pool.wide;
    bool many_unseen = 10 * seen <= 9 * g.y[1] * g.y[2];  // elements of y that only oneDNN would compute
    return filters % kLanes == 0 && taps <= (registers && many_unseen ? kMostTaps : kTaps);
  }

  FewChannels(const Geometry& g, const Pool& pool)
      : pool_(pool),
        filters_(g.y[3]),
        rows_(g.x[1]),
        columns_(g.x[2] * g.x[3]),
        width_((g.x[2] + g.before[1] + g.after[1]) * g.x[3]),
        start_(g.before[0] * width_ + g.before[1] * g.x[3]),
        down_(g.strides[0] * width_),
        right_(g.strides[1] * g.x[3]),
        padded_((g.x[1] + g.before[0] + g.after[0]) * width_, 0.0f) {
    for (int64_t i = 0; i < g.kernel[0]; ++i) {
      for (int64_t j = 0; j < g.kernel[1]; ++j) {
        for (int64_t c = 0; c < g.x[3]; ++c) {
          taps_.push_back(i * g.dilation[0] * width_ + j * g.dilation[1] * g.x[3] + c);
        }
      }
    }
    for (int64_t i = 0; i < pool.high; ++i) {
      for (int64_t j = 0; j < pool.wide; ++j) places_.push_back(i * down_ + j * right_);
    }
    count_ = filled(taps_, kTapsAtOnce);
    elements_ = filled(places_, kAtOnce);
  }

  // Computes one row of windows. x is the whole image; p and places begin with this row.
  void forward(const float* x, const float* kernel, const float* bias, int64_t row, float* p, Place* places) {
    if (x != image_) pad(x);
    forward_of(*this, padded_.data(), kernel, bias, row, p, places);
  }

  // The gradients of the kernel and of the bias, which follows it, for one row of the batch.
  void kernel_gradient(const float* x, const float* dp, const Place* places, float* to) {
    pad(x);
    kernel_gradient_of(*this, padded_.data(), dp, places, to);
  }

 private:
  static constexpr int64_t kAtOnce = 4, kTapsAtOnce = 9, kTaps = 27, kMostTaps = 600;

  // Repeats the last element, so that all groups have the same size. Returns the number before.
  static int64_t filled(std::vector<int64_t>& list, int64_t group) {
    int64_t before = static_cast<int64_t>(list.size());
    list.resize((before + group - 1) / group * group, list.back());
    return before;
  }

  void pad(const float* x) {
    image_ = x;
    for (int64_t row = 0; row < rows_; ++row) {
      std::copy_n(x + row * columns_, columns_, &padded_[start_ + row * width_]);
    }
  }

  // Computes several vectors of filters together. Their sums are independent, which uses the processor better.
  template <int64_t kVectors>
  LAMINA_INLINE void forward_by(const float* x, const float* kernel, const float* bias, int64_t row, float* p,
                                Place* places) const {
    for (int64_t n = 0; n < filters_; n += kVectors * kLanes) {
      each_window(row, [&](int64_t at, int64_t pooled) LAMINA_INLINE {
        Largest largest[kVectors];
        for (int64_t k = 0; k < elements_; k += kAtOnce) {
          Floats y[kVectors][kAtOnce];
          const float* seen[kAtOnce];
          for (int64_t q = 0; q < kAtOnce; ++q) {
            seen[q] = x + at + places_[k + q];
            for (int64_t v = 0; v < kVectors; ++v) {
              y[v][q] = floats_at(bias + n + v * kLanes);
            }
          }
          for (int64_t tap = 0; tap < count_; ++tap) {
            for (int64_t v = 0; v < kVectors; ++v) {
              Floats times = floats_at(kernel + tap * filters_ + n + v * kLanes);
              for (int64_t q = 0; q < kAtOnce; ++q) y[v][q] += seen[q][taps_[tap]] * times;
            }
          }
          for (int64_t v = 0; v < kVectors; ++v) {
            for (int64_t q = 0; q < kAtOnce; ++q) largest[v].take(reinterpret_cast<Ints>(y[v][q]), k + q);
          }
        }
        for (int64_t v = 0; v < kVectors; ++v) {
          int64_t to = pooled + n + v * kLanes;
          largest[v].store_at(p + to, places + to);
        }
      });
    }
  }
  LAMINA_VECTORS static void forward_of(const FewChannels& g, const float* x, const float* kernel, const float* bias,
                                        int64_t row, float* p, Place* places) {
    if (g.count_ < 2 * kTapsAtOnce || g.filters_ % (2 * kLanes)) {
      g.forward_by<1>(x, kernel, bias, row, p, places);
    } else {
      g.forward_by<2>(x, kernel, bias, row, p, places);
    }
  }

  LAMINA_VECTORS static void kernel_gradient_of(const FewChannels& g, const float* x, const float* dp,
                                                const Place* places, float* to) {
    in_lanes(g.filters_, [&](int64_t n) LAMINA_INLINE {
      for (int64_t first = 0; first < g.count_; first += kTapsAtOnce) {
        Floats sums[kTapsAtOnce]{}, all{};
        const int64_t* taps = &g.taps_[first];
        const float* from = dp + n;
        const Place* of = places + n;
        for (int64_t row = 0; row < g.pool_.pooled_rows; ++row, from += g.pool_.row(), of += g.pool_.row()) {
          g.each_window(row, [&](int64_t at, int64_t pooled) LAMINA_INLINE {
            Ints slope = loaded(from + pooled), place = loaded(of + pooled);
            all += reinterpret_cast<Floats>(place == kNone ? Ints{} : slope);
            for (int64_t k = 0; k < g.elements_; k += kAtOnce) {
              Floats dy[kAtOnce];
              const float* seen[kAtOnce];
              for (int64_t q = 0; q < kAtOnce; ++q) {
                seen[q] = x + at + g.places_[k + q];
                dy[q] = reinterpret_cast<Floats>(place == static_cast<int32_t>(k + q) ? slope : Ints{});
              }
              for (int64_t tap = 0; tap < kTapsAtOnce; ++tap) {
                int64_t there = taps[tap];
                for (int64_t q = 0; q < kAtOnce; ++q) sums[tap] += seen[q][there] * dy[q];
              }
            }
          });
        }
        auto add = [&](Floats& sum, float* to) LAMINA_INLINE {
          sum += floats_at(to);
          put(sum, to);
        };
        for (int64_t tap = first; tap < std::min(first + kTapsAtOnce, g.count_); ++tap) {
          add(sums[tap - first], to + tap * g.filters_ + n);
        }
        if (first == 0) add(all, to + g.count_ * g.filters_ + n);
      }
    });
  }

  // Calls run(start of the window in the padded x, index of its maximum in this row of p).
  template <typename Run>
  LAMINA_INLINE void each_window(int64_t row, Run run) const {
    for (int64_t column = 0; column < pool_.pooled_columns; ++column) {
      run(row * pool_.down * down_ + column * pool_.right * right_, column * filters_);
    }
  }

  Pool pool_;
  int64_t filters_, rows_, columns_, width_, start_, down_, right_, count_, elements_;
  std::vector<float> padded_;
  const float* image_ = nullptr;        // the image that is padded now
  std::vector<int64_t> taps_, places_;  // their offsets from the start of a window
};

}  // namespace lamina
