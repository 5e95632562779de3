// Winograd's convolution, which needs fewer products: y is computed in tiles, each as the interpolation of a polynomial
// from its values at a few points. A tile of 4 x 4 with a window of 3 x 3 takes 36 products instead of 144 (A. Lavin,
// S. Gray: Fast Algorithms for Convolutional Neural Networks, 2015; the points: B. Barabasz et al.: Error Analysis and
// Improving the Accuracy of Winograd Convolution, 2018). Infinity or NaN spreads in its tile; `to_y` reports this.
#pragma once

#include "cached_product.h"

namespace lamina {

// The points for n values: 0, 1, -1; for 6 values also 1/2 and -2; for 8 values all. The last value is at infinity.
template <int n>
struct Points {
  static_assert(n == 1 || n == 4 || n == 6 || n == 8);
  static constexpr double kPoints[] = {0, 1, -1, 0.5, -2, 2, -0.5};

  static constexpr double power(int i, int k) {
    double value = 1;
    for (; k > 0; --k) value *= kPoints[i];
    return value;
  }
  // The k-th coefficient of the product of (x - point) over all points except the i-th; over all points for i = n - 1.
  static constexpr double coefficient(int i, int k) {
    double product[n + 1] = {1};
    for (int j = 0, degree = 0; j < n - 1; ++j) {
      if (j == i) continue;
      ++degree;
      for (int m = degree; m >= 0; --m) product[m] = (m ? product[m - 1] : 0) - kPoints[j] * product[m];
    }
    return product[k];
  }
  static constexpr double divisor(int i) {
    double product = 1;
    for (int j = 0; j < n - 1; ++j) product *= j == i ? 1 : kPoints[i] - kPoints[j];
    return product;
  }
};

// Matrices with elements known at compile time: for the values of x, of the kernel, and of a tile of y.
template <int n>
struct OfX {
  static constexpr int rows = n, columns = n;
  static constexpr float at(int i, int k) { return static_cast<float>(Points<n>::coefficient(i, k)); }
};
template <int n, int r>
struct OfKernel {
  static constexpr int rows = n, columns = r;
  static constexpr float at(int i, int k) {
    return i == n - 1 ? k == r - 1 : static_cast<float>(Points<n>::power(i, k) / Points<n>::divisor(i));
  }
};
template <int n, int m>
struct OfY {
  static constexpr int rows = n, columns = m;
  static constexpr float at(int i, int k) {
    return i == n - 1 ? k == m - 1 : static_cast<float>(Points<n>::power(i, k));
  }
};
template <typename Matrix>
struct Turned {
  static constexpr int rows = Matrix::columns, columns = Matrix::rows;
  static constexpr float at(int i, int k) { return Matrix::at(k, i); }
};

template <typename Matrix, int i, int k = 0>
LAMINA_INLINE inline Floats row_times(const Floats* in, int step) {
  if constexpr (k == Matrix::columns) {
    return Floats{};
  } else {
    constexpr float c = Matrix::at(i, k);
    Floats rest = row_times<Matrix, i, k + 1>(in, step);
    if constexpr (c == 0) return rest;
    return c == 1 ? rest + in[k * step] : c == -1 ? rest - in[k * step] : rest + c * in[k * step];
  }
}
template <typename Matrix, int i = 0>
LAMINA_INLINE inline void times(const Floats* in, int step, Floats* out, int to) {
  if constexpr (i < Matrix::rows) {
    out[i * to] = row_times<Matrix, i>(in, step);
    times<Matrix, i + 1>(in, step, out, to);
  }
}
// out = down in right^T
template <typename Down, typename Right>
LAMINA_INLINE inline void transform(const Floats* in, Floats* out) {
  Floats half[Down::rows * Right::columns];
  for (int j = 0; j < Right::columns; ++j) times<Down>(in + j, Right::columns, half + j, Right::columns);
  for (int i = 0; i < Down::rows; ++i) times<Right>(half + i * Right::columns, 1, out + i * Right::rows, 1);
}

// Images (count, rows, columns, channels). Data with one spatial axis are images with one row.
struct Images {
  int64_t rows, columns, channels;
};

// Tiles of kHigh x kWide elements of y, for a window of kDown x kRight.
template <int kHigh, int kWide, int kDown, int kRight>
class Tiles {
  static constexpr int kN = kHigh + kDown - 1, kM = kWide + kRight - 1;

 public:
  static constexpr int kValues = kN * kM;
  static constexpr int kSum = (kN > 1 ? kM : 0) + 1;  // of the values, the one at point 1 on both axes: of y its sum

  // x moves by `up` and `left` against y.
  Tiles(Images x, Images y, int64_t up, int64_t left)
      : x_(x),
        y_(y),
        up_(up),
        left_(left),
        down_((y.rows + kHigh - 1) / kHigh),
        right_((y.columns + kWide - 1) / kWide) {}

  int64_t each() const { return down_ * right_; }  // tiles of an image
  // The distance between the values at two points. It is no power of two, which would use few lines of the cache.
  static int64_t step(int64_t tiles, int64_t channels) { return tiles * channels + kLanes; }
  int64_t kernel_step() const { return x_.channels * y_.channels; }

  // Computes the values at each point for channels `first` to `end` of the kernel (kDown, kRight, channels, filters).
  LAMINA_512 void of_kernel(const float* kernel, float* to, int64_t first, int64_t end) const {
    int64_t one = kernel_step();
    for (int64_t at = first * y_.channels; at < end * y_.channels; at += kLanes) {
      Floats in[kDown * kRight], out[kValues];
      for (int k = 0; k < kDown * kRight; ++k) in[k] = floats_at(kernel + k * one + at);
      transform<OfKernel<kN, kDown>, OfKernel<kM, kRight>>(in, out);
      for (int k = 0; k < kValues; ++k) put(out[k], to + k * one + at);
    }
  }
  // The reverse, for a gradient.
  LAMINA_512 void to_kernel(const float* values, float* kernel, int64_t first, int64_t end) const {
    int64_t one = kernel_step();
    for (int64_t at = first * y_.channels; at < end * y_.channels; at += kLanes) {
      Floats in[kValues], out[kDown * kRight];
      for (int k = 0; k < kValues; ++k) in[k] = floats_at(values + k * one + at);
      transform<Turned<OfKernel<kN, kDown>>, Turned<OfKernel<kM, kRight>>>(in, out);
      for (int k = 0; k < kDown * kRight; ++k) put(out[k], kernel + k * one + at);
    }
  }

  template <typename Lane>
  LAMINA_512 void of_x(const Lane* x, float* to, int64_t first, int64_t count) const {
    values<OfX<kN>, OfX<kM>>(x, x_, up_, left_, to, first, count);
  }
  template <typename Lane>
  LAMINA_512 void of_y(const Lane* y, float* to, int64_t first, int64_t count) const {
    values<OfY<kN, kHigh>, OfY<kM, kWide>>(y, y_, 0, 0, to, first, count);
  }

  // Computes y from the values and adds the bias. Returns whether all of y is finite.
  template <typename Lane>
  LAMINA_512 bool to_y(const float* values, const float* bias, Lane* y, int64_t first, int64_t count) const {
    int64_t size = y_.channels, one = step(count, size);
    Floats zeros{};
    for (int64_t t = 0; t < count; ++t) {
      auto [image, row, column] = place(first + t);
      int64_t high = std::min<int64_t>(kHigh, y_.rows - row), wide = std::min<int64_t>(kWide, y_.columns - column);
      Lane* to = y + ((image * y_.rows + row) * y_.columns + column) * size;
      for (int64_t n = 0; n < size; n += kLanes) {
        Floats in[kValues], out[kHigh * kWide];
        for (int k = 0; k < kValues; ++k) in[k] = floats_at(values + k * one + t * size + n);
        transform<Turned<OfY<kN, kHigh>>, Turned<OfY<kM, kWide>>>(in, out);
        Floats shift = bias ? floats_at(bias + n) : Floats{};
        for (int i = 0; i < kHigh; ++i) {
          for (int j = 0; j < kWide; ++j) {
            out[i * kWide + j] += shift;
            zeros += out[i * kWide + j] * 0.0f;
            if (i < high && j < wide) put(out[i * kWide + j], to + (i * y_.columns + j) * size + n);
          }
        }
      }
    }
    for (int n = 0; n < kLanes; ++n) {
      if (zeros[n] != 0) return false;
    }
    return true;
  }

 private:
  struct Place {
    int64_t image, row, column;
  };
  Place place(int64_t tile) const { return {tile / each(), tile % each() / right_ * kHigh, tile % right_ * kWide}; }

  template <typename Down, typename Right, typename Lane>
  LAMINA_INLINE void values(const Lane* array, Images of, int64_t up, int64_t left, float* to, int64_t first,
                            int64_t count) const {
    int64_t size = of.channels, one = step(count, size);
    for (int64_t t = 0; t < count; ++t) {
      auto [image, row, column] = place(first + t);
      row -= up, column -= left;
      bool inside = row >= 0 && column >= 0 && row + Down::columns <= of.rows && column + Right::columns <= of.columns;
      const Lane* from = array + ((image * of.rows + row) * of.columns + column) * size;
      for (int64_t n = 0; n < size; n += kLanes) {
        Floats in[Down::columns * Right::columns], out[Down::rows * Right::rows];
        for (int i = 0; i < Down::columns; ++i) {
          for (int j = 0; j < Right::columns; ++j) {
            bool there = inside || (row + i >= 0 && row + i < of.rows && column + j >= 0 && column + j < of.columns);
            in[i * Right::columns + j] = there ? floats_at(from + (i * of.columns + j) * size + n) : Floats{};
          }
        }
        transform<Down, Right>(in, out);
        for (int k = 0; k < kValues; ++k) put(out[k], to + k * one + t * size + n);
      }
    }
  }

  Images x_, y_;
  int64_t up_, left_, down_, right_;
};

}  // namespace lamina
