// Products of float32 by one thread whose arrays stay in its cache: nothing is packed, and a call costs nothing
// besides.
#pragma once

#include "lanes.h"

namespace lamina {

// y (rows, columns) = a b, or added to y; a's element (i, k) lies at i * a_row + k * a_inner; b and y lie row by row.
// rows are a multiple of kRowsAtOnce, columns of kLanes.
constexpr int64_t kRowsAtOnce = 8;
template <int kVectors>
LAMINA_512 void product_tile(const float* a, int64_t a_row, int64_t a_inner, const float* b, int64_t b_step,
                             int64_t inner, float* y, int64_t y_step, bool added) {
  Floats sums[kRowsAtOnce][kVectors] = {};
  if (added) {
    for (int i = 0; i < kRowsAtOnce; ++i) {
      for (int n = 0; n < kVectors; ++n) sums[i][n] = floats_at(y + i * y_step + n * kLanes);
    }
  }
  for (int64_t k = 0; k < inner; ++k, a += a_inner, b += b_step) {
    Floats taken[kVectors];
    for (int n = 0; n < kVectors; ++n) taken[n] = floats_at(b + n * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRowsAtOnce; ++i) {
      for (int n = 0; n < kVectors; ++n) sums[i][n] += a[i * a_row] * taken[n];
    }
  }
  for (int i = 0; i < kRowsAtOnce; ++i) {
    for (int n = 0; n < kVectors; ++n) put(sums[i][n], y + i * y_step + n * kLanes);
  }
}
LAMINA_512 inline void product(int64_t rows, int64_t inner, int64_t columns, const float* a, int64_t a_row,
                               int64_t a_inner, const float* b, float* y, bool added) {
  for (int64_t n = 0; n < columns; n += 2 * kLanes) {
    auto tile = columns - n > kLanes ? product_tile<2> : product_tile<1>;
    for (int64_t i = 0; i < rows; i += kRowsAtOnce) {
      tile(a + i * a_row, a_row, a_inner, b + n, columns, inner, y + i * columns + n, columns, added);
    }
  }
}

// Whether it is faster than oneDNN's for sizes of such a product.
inline bool cached_product_serves(int64_t rows, int64_t inner, int64_t columns) {
  return has_512() && rows % kRowsAtOnce == 0 && columns % kLanes == 0 && rows <= 128 && inner * columns <= 1 << 14;
}

}  // namespace lamina
