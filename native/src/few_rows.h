// The product a (rows, inner) x b^T for few rows, as in the gradient of a small batch; b is (columns, inner). oneDNN
// transposes b first, which takes as long as the product. Here a, which is small, is transposed, and b is read once.
#pragma once

#include "onednn.h"

namespace lamina {

constexpr int64_t kFewest = 9, kMostRows = 64;  // with fewer or more rows oneDNN's product is faster
constexpr int64_t kTile = 12;                   // columns whose sums, two vectors each, fit the registers
constexpr int64_t kWidth = 32;                  // rows at once: two vectors

#if defined(__GNUC__) && !defined(__clang__)
typedef float Vector __attribute__((vector_size(64)));

// Computes columns `first` to `end` of `width` rows of y, (rows, columns), from the transposed rows of a, `turned`,
// (inner, 16 * vectors).
template <int vectors>
LAMINA_512 void tiles(int64_t width, int64_t inner, int64_t columns, const float* turned, const float* b, float* y,
                      int64_t first, int64_t end) {
  for (; first < end; first += kTile) {
    int64_t count = std::min(kTile, end - first);
    const float* rows[kTile];
    for (int64_t i = 0; i < kTile; ++i) rows[i] = b + (first + std::min(i, count - 1)) * inner;
    Vector sums[kTile][vectors] = {};
    const float* values = turned;
    auto add = [&](const float* near, int64_t step) LAMINA_512 __attribute__((always_inline)) {
#pragma GCC unroll 12
      for (int i = 0; i < kTile; ++i) {
#pragma GCC unroll 2
        for (int n = 0; n < vectors; ++n) sums[i][n] += near[i * step] * reinterpret_cast<const Vector*>(values)[n];
      }
      values += 16 * vectors;
    };
    int64_t k = 0;
    // Elements of b are copied, for 16 k at a time, because rows of a power of two elements share few cache lines.
    for (; k + 16 <= inner; k += 16) {
      alignas(64) float near[kTile][16];
      for (int i = 0; i < kTile; ++i) std::memcpy(near[i], rows[i] + k, sizeof near[i]);
      for (int each = 0; each < 16; ++each) add(&near[0][each], 16);
    }
    for (; k < inner; ++k) {
      float near[kTile];
      for (int i = 0; i < kTile; ++i) near[i] = rows[i][k];
      add(near, 1);
    }
    alignas(64) float found[kTile][16 * vectors];
    std::memcpy(found, sums, sizeof found);
    for (int64_t n = 0; n < width; ++n) {
      for (int64_t i = 0; i < count; ++i) y[n * columns + first + i] = found[i][n];
    }
  }
}

#else
template <int vectors>
void tiles(int64_t, int64_t, int64_t, const float*, const float*, float*, int64_t, int64_t) {}
#endif

// The parts are small, so that a thread that wakes up late still finds some work.
inline void few_rows(Threads& threads, int64_t rows, int64_t inner, int64_t columns, const float* a, const float* b,
                     float* y) {
  constexpr int64_t kWork = 1 << 17;  // the fewest multiply-adds of a part
  int64_t size = std::max<int64_t>(kWork / (kWidth * inner * kTile), 1) * kTile, parts = (columns + size - 1) / size;
  for (int64_t start = 0; start < rows; start += kWidth) {
    int64_t width = std::min(kWidth, rows - start), whole = width > 16 ? 32 : 16;
    Room room(inner * whole * sizeof(float));
    float* turned = room.floats();
    for (int64_t k = 0; k < inner; ++k) {
      for (int64_t n = 0; n < whole; ++n) turned[k * whole + n] = n < width ? a[(start + n) * inner + k] : 0.0f;
    }
    auto run = whole == 32 ? tiles<2> : tiles<1>;
    threads.each(parts, [&](int64_t part) {
      run(width, inner, columns, turned, b, y + start * columns, part * size, std::min((part + 1) * size, columns));
    });
  }
}

}  // namespace lamina
