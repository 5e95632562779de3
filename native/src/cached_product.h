// Products of float32 on one thread, for arrays that fit its cache. Nothing is packed, and a call has no overhead.
#pragma once

#include "lanes.h"

namespace lamina {

// The layout of a and b: element (i, k) of a is at `a` + i * row + k * inner, row k of b at `b` + k * step.
struct Factors {
  const float* a;
  int64_t row, inner;
  const float* b;
  int64_t step;
};

// Keeps the sums of a few rows and vectors of columns in registers.
template <int kRows, int kVectors>
LAMINA_512 void product_tile(Factors f, int64_t inner, float* y, int64_t y_step, bool added) {
  Floats sums[kRows][kVectors] = {};
  if (added) {
    for (int i = 0; i < kRows; ++i) {
      for (int n = 0; n < kVectors; ++n) sums[i][n] = floats_at(y + i * y_step + n * kLanes);
    }
  }
  for (int64_t k = 0; k < inner; ++k, f.a += f.inner, f.b += f.step) {
    Floats taken[kVectors];
    for (int n = 0; n < kVectors; ++n) taken[n] = floats_at(f.b + n * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      for (int n = 0; n < kVectors; ++n) sums[i][n] += f.a[i * f.row] * taken[n];
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int n = 0; n < kVectors; ++n) put(sums[i][n], y + i * y_step + n * kLanes);
  }
}
constexpr int64_t kRowsAtOnce = 6;
template <int kVectors>
LAMINA_512 void product_of_columns(Factors f, int64_t rows, int64_t inner, float* y, int64_t y_step, bool added) {
  auto run = [&](auto tile, int64_t count) {
    for (; rows >= count; rows -= count, f.a += count * f.row, y += count * y_step) tile(f, inner, y, y_step, added);
  };
  run(product_tile<kRowsAtOnce, kVectors>, kRowsAtOnce);
  run(product_tile<4, kVectors>, 4);
  run(product_tile<2, kVectors>, 2);
  run(product_tile<1, kVectors>, 1);
}
// y (rows, columns) = a b, or y += a b. The rows of y are `y_step` apart; columns are a multiple of kLanes.
LAMINA_512 inline void product(Factors f, int64_t rows, int64_t inner, int64_t columns, float* y, int64_t y_step,
                               bool added) {
  auto run = [&](auto of_columns, int64_t width) {
    for (; columns >= width; columns -= width, f.b += width, y += width) of_columns(f, rows, inner, y, y_step, added);
  };
  run(product_of_columns<4>, 4 * kLanes);
  run(product_of_columns<2>, 2 * kLanes);
  run(product_of_columns<1>, kLanes);
}

// Whether this is faster than oneDNN's product for these sizes.
inline bool cached_product_serves(int64_t rows, int64_t inner, int64_t columns) {
  return has_512() && columns % kLanes == 0 && rows <= 128 && inner * columns <= (rows < 8 ? 1 << 16 : 1 << 14);
}

}  // namespace lamina
