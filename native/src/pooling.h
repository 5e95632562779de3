// Max pooling of relu(y), and its gradient. The windows do not overlap. A place is the index of the maximum in its
// window, of the first one if several are equal. It is kNone if no gradient flows: no element is above zero, or one is
// NaN.
#pragma once

#include "lanes.h"
#include "shapes.h"

namespace lamina {

using Place = int16_t;
constexpr int32_t kNone = -1, kMost = INT16_MAX, kInfinity = 0x7f800000;

// Windows over the two spatial axes of y (batch, rows, columns, channels): their sizes and their strides.
struct Pool {
  int64_t high, wide, down, right;
  int64_t columns, channels;  // of y
  int64_t image;              // elements of y for each row of the batch
  int64_t pooled_rows, pooled_columns;

  Pool(Sizes pool, const Dims& y) {
    expect(pool.size() == 4 && y.size() == 4, "expected windows over two axes");
    high = pool[0], wide = pool[1], down = pool[2], right = pool[3];
    expect(high > 0 && wide > 0 && high <= y[1] && wide <= y[2], "expected windows within y");
    expect(high <= kMost && wide <= kMost && high * wide <= kMost, "expected windows of fewer elements");
    expect(down >= high && right >= wide, "expected windows that do not overlap");
    expect(y[3] >= kLanes, "expected at least 16 channels");
    columns = y[2], channels = y[3], image = y[1] * y[2] * y[3];
    pooled_rows = (y[1] - high) / down + 1, pooled_columns = (y[2] - wide) / right + 1;
  }

  int64_t row() const { return pooled_columns * channels; }  // elements of p
  int64_t pooled() const { return pooled_rows * row(); }     // for each row of the batch
  void check(Sizes p, Sizes places, int64_t batch) const {
    Dims expected{batch, pooled_rows, pooled_columns, channels};
    expect_shapes({{"the pooled array", p, expected}, {"places", places, expected}});
  }
};

// The maximum so far. As integers, the bits of positive floats and of NaN without its sign are in the right order.
struct Largest {
  Ints bits{}, place = Ints{} + kNone;

  LAMINA_INLINE void take(Ints value, int32_t k) {
    Ints size = value & 0x7fffffff;
    value = size > kInfinity ? size : value;
    place = value > bits ? Ints{} + k : place;
    bits = value > bits ? value : bits;
  }
  template <typename Lane>
  LAMINA_INLINE void store_at(Lane* p, Place* places) {
    store(bits, p);
    store(bits > kInfinity ? Ints{} + kNone : place, places);
  }
};

// Pools one row of windows. value(lanes, n) maps the values of the channels from n on. y is the whole image; p and
// places begin with this row.
template <typename Lane, typename Value>
LAMINA_INLINE inline void pool_row(const Pool& g, const Lane* y, int64_t row, Lane* p, Place* places, Value value) {
  for (int64_t column = 0; column < g.pooled_columns; ++column, p += g.channels, places += g.channels) {
    const Lane* window = y + (row * g.down * g.columns + column * g.right) * g.channels;
    in_lanes(g.channels, [&](int64_t n) LAMINA_INLINE {
      Largest largest;
      int32_t k = 0;
      for (int64_t i = 0; i < g.high; ++i) {
        for (int64_t j = 0; j < g.wide; ++j, ++k) {
          largest.take(value(loaded(window + (i * g.columns + j) * g.channels + n), n), k);
        }
      }
      largest.store_at(p + n, places + n);
    });
  }
}

// The reverse, for the gradient: dy is the whole image, and the part up to the next row of windows is filled.
template <typename Lane>
LAMINA_INLINE inline void put_row_back(const Pool& g, const Lane* dp, const Place* places, int64_t row, Lane* dy) {
  int64_t line = g.columns * g.channels, first = row * g.down * line;
  int64_t end = row + 1 < g.pooled_rows ? first + g.down * line : g.image;
  std::fill(dy + first, dy + end, Lane{0});
  for (int64_t column = 0; column < g.pooled_columns; ++column, dp += g.channels, places += g.channels) {
    Lane* window = dy + first + column * g.right * g.channels;
    in_lanes(g.channels, [&](int64_t n) LAMINA_INLINE {
      Ints slope = loaded(dp + n), place = loaded(places + n);
      int32_t k = 0;
      for (int64_t i = 0; i < g.high; ++i) {
        for (int64_t j = 0; j < g.wide; ++j, ++k) {
          store(place == k ? slope : Ints{}, window + i * line + j * g.channels + n);
        }
      }
    });
  }
}

LAMINA_VECTORS static inline void pool_row_of(const Pool& g, const float* y, int64_t row, float* p, Place* places) {
  pool_row(g, y, row, p, places, [](Ints value, int64_t) LAMINA_INLINE { return value; });
}
LAMINA_VECTORS static inline void pool_row_of(const Pool& g, const Half* y, int64_t row, Half* p, Place* places) {
  pool_row(g, y, row, p, places, [](Ints value, int64_t) LAMINA_INLINE { return value; });
}
LAMINA_VECTORS static inline void put_row_back_of(const Pool& g, const float* dp, const Place* from, int64_t row,
                                                  float* dy) {
  put_row_back(g, dp, from, row, dy);
}
LAMINA_VECTORS static inline void put_row_back_of(const Pool& g, const Half* dp, const Place* from, int64_t row,
                                                  Half* dy) {
  put_row_back(g, dp, from, row, dy);
}

}  // namespace lamina
