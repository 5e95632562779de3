// A convolution of fewer images than threads. The rows of y are divided among the threads. Each position of the kernel
// is multiplied by a part of a row of x, and neither is copied first. Data with one spatial axis have a single row.
#pragma once

#include "cached_product.h"
#include "sparse.h"

namespace lamina {

inline bool few_images_served(const Geometry& g) {
  return g.axes() <= 2 && g.groups == 1 && !g.half && g.y.back() % kLanes == 0 && has_512();
}

inline void few_images(Threads& threads, const Geometry& g, const float* x, const float* kernel, const float* bias,
                       float* y) {
  constexpr int64_t kColumns = 4 * kRowsAtOnce;  // of y, in one part of a row
  size_t last = g.axes() - 1;
  bool flat = last == 0;
  int64_t channels = g.x.back(), filters = g.y.back(), size = g.x[last + 1], wide = g.y[last + 1];
  int64_t high = flat ? 1 : g.y[1], from_high = flat ? 1 : g.x[1], down = flat ? 1 : g.kernel[0];
  int64_t step = flat ? 1 : g.strides[0], rate = flat ? 1 : g.dilation[0], up = flat ? 0 : g.before[0];
  int64_t right = g.kernel[last], stride = g.strides[last], dilation = g.dilation[last], left = g.before[last];
  int64_t parts = (wide + kColumns - 1) / kColumns;
  double work = static_cast<double>(g.y[0] * high * wide * channels) * static_cast<double>(down * right * filters);
  threads.each_worth(work, g.y[0] * high * parts, [&](int64_t unit) {
    int64_t n = unit / parts, image = n / high, row = n % high;
    int64_t begin = unit % parts * kColumns, end = std::min(begin + kColumns, wide);
    float* to = y + n * wide * filters;
    for (int64_t column = begin; column < end; ++column) {
      if (bias) {
        std::copy_n(bias, filters, to + column * filters);
      } else {
        std::fill_n(to + column * filters, filters, 0.0f);
      }
    }
    for (int64_t i = 0; i < down; ++i) {
      int64_t from = row * step - up + i * rate;
      if (from < 0 || from >= from_high) continue;
      for (int64_t j = 0; j < right; ++j) {
        int64_t shift = j * dilation - left;  // of x's columns against y's
        int64_t first = std::max(begin, shift < 0 ? (-shift + stride - 1) / stride : 0);
        int64_t past = size > shift ? std::min(end, (size - 1 - shift) / stride + 1) : 0;
        if (first >= past) continue;
        const float* seen = x + ((image * from_high + from) * size + first * stride + shift) * channels;
        product({seen, stride * channels, 1, kernel + (i * right + j) * channels * filters, filters}, past - first,
                channels, filters, to + first * filters, filters, true);
      }
    }
  });
}

}  // namespace lamina
