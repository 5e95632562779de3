// Batch normalization, relu and max pooling in one pass, and their gradients, without arrays for the normalized values
// and their gradient. x is (batch, rows, columns, channels), and the channels are whole vectors.
#include "onednn.h"
#include "pooling.h"

namespace lamina {
namespace {

using Array = ffi::Buffer<ffi::F32>;
using PlaceArray = ffi::Buffer<ffi::S16>;
using Out = ffi::Result<Array>;

// Pools one row of windows of relu(x * factor + shift).
LAMINA_VECTORS void pool_normalized(const Pool& g, const float* x, const float* factor, const float* shift, int64_t row,
                                    float* p, Place* places) {
  pool_row(g, x, row, p, places, [&](Ints value, int64_t n) LAMINA_INLINE {
    return reinterpret_cast<Ints>(reinterpret_cast<Floats>(value) * floats_at(factor + n) + floats_at(shift + n));
  });
}

// Adds the sums of dy and of dy * (x - mean) over one row of windows. dy is dp at its places, and 0 elsewhere.
LAMINA_VECTORS void add_slopes(const Pool& g, const float* x, const float* dp, const Place* places, const float* mean,
                               int64_t row, float* first, float* second) {
  for (int64_t n = 0; n < g.channels; n += kLanes) {
    Floats one = floats_at(first + n), two = floats_at(second + n), middle = floats_at(mean + n);
    for (int64_t column = 0; column < g.pooled_columns; ++column) {
      const float* window = x + (row * g.down * g.columns + column * g.right) * g.channels + n;
      Ints slope = loaded(dp + column * g.channels + n), place = loaded(places + column * g.channels + n);
      Floats picked{};
      int32_t k = 0;
      for (int64_t i = 0; i < g.high; ++i) {
        for (int64_t j = 0; j < g.wide; ++j, ++k) {
          Ints value = reinterpret_cast<Ints>(floats_at(window + (i * g.columns + j) * g.channels) - middle);
          picked = reinterpret_cast<Floats>(place == k ? value : reinterpret_cast<Ints>(picked));
        }
      }
      Floats taken = reinterpret_cast<Floats>(place == kNone ? Ints{} : slope);
      one += taken;
      two += taken * picked;
    }
    put(one, first + n);
    put(two, second + n);
  }
}

// dx = dy * factor + x * slope + offset, from a row of windows up to the next one.
LAMINA_VECTORS void slopes_of_row(const Pool& g, const float* x, const float* dp, const Place* places,
                                  const float* factor, const float* slope, const float* offset, int64_t row,
                                  float* dx) {
  int64_t line = g.columns * g.channels, begin = row * g.down * line;
  int64_t end = row + 1 < g.pooled_rows ? begin + g.down * line : g.image;
  for (int64_t at = begin; at < end; at += g.channels) {
    for (int64_t n = 0; n < g.channels; n += kLanes) {
      put(floats_at(x + at + n) * floats_at(slope + n) + floats_at(offset + n), dx + at + n);
    }
  }
  for (int64_t column = 0; column < g.pooled_columns; ++column, dp += g.channels, places += g.channels) {
    float* window = dx + begin + column * g.right * g.channels;
    for (int64_t n = 0; n < g.channels; n += kLanes) {
      Ints more = reinterpret_cast<Ints>(floats_at(dp + n) * floats_at(factor + n)), place = loaded(places + n);
      int32_t k = 0;
      for (int64_t i = 0; i < g.high; ++i) {
        for (int64_t j = 0; j < g.wide; ++j, ++k) {
          float* to = window + i * line + j * g.channels + n;
          put(floats_at(to) + reinterpret_cast<Floats>(place == k ? more : Ints{}), to);
        }
      }
    }
  }
}

Pool pool_of(Array& x, Sizes pool, Sizes p, Sizes places, std::initializer_list<Shape> of_channels) {
  auto shape = x.dimensions();
  Pool windows(pool, Dims(shape.begin(), shape.end()));
  windows.check(p, places, shape[0]);
  expect(windows.channels % kLanes == 0, "expected whole vectors of channels");
  for (const Shape& each : of_channels) expect_shapes({{each.name, each.given, {windows.channels}}});
  return windows;
}

ffi::Error pooled(ffi::ThreadPool threads, Array x, Array factor, Array shift, Out p, ffi::Result<PlaceArray> places,
                  Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Pool g = pool_of(x, pool, p->dimensions(), places->dimensions(),
                     {{"factor", factor.dimensions(), {}}, {"shift", shift.dimensions(), {}}});
    threads.each_of(x.dimensions()[0] * g.pooled_rows, 1, [&](int64_t first, int64_t end, int64_t) {
      for (int64_t n = first; n < end; ++n) {
        pool_normalized(g, x.typed_data() + n / g.pooled_rows * g.image, factor.typed_data(), shift.typed_data(),
                        n % g.pooled_rows, p->typed_data() + n * g.row(), places->typed_data() + n * g.row());
      }
    });
  });
}

// The gradients for the gradient dp of the pooled values. With h = (x - mean) * inverse and means over the first `rows`
// rows of the batch: dx = gamma * inverse * (dy - mean(dy) - h * mean(dy * h)).
ffi::Error gradient(ffi::ThreadPool threads, Array dp, PlaceArray places, Array x, Array mean, Array inverse,
                    Array gamma, ffi::Buffer<ffi::S32> rows, Out dx, Out dgamma, Out dbeta, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Pool g = pool_of(x, pool, dp.dimensions(), places.dimensions(),
                     {{"mean", mean.dimensions(), {}},
                      {"inverse", inverse.dimensions(), {}},
                      {"gamma", gamma.dimensions(), {}},
                      {"dgamma", dgamma->dimensions(), {}},
                      {"dbeta", dbeta->dimensions(), {}}});
    auto shape = x.dimensions();
    expect_shapes({{"dx", dx->dimensions(), Dims(shape.begin(), shape.end())}, {"rows", rows.dimensions(), {}}});
    int64_t batch = shape[0], channels = g.channels, counted = std::clamp<int64_t>(rows.typed_data()[0], 0, batch);
    auto of_row = [&](auto* array, int64_t n) { return array + n * g.row(); };
    auto image = [&](auto* array, int64_t n) { return array + n / g.pooled_rows * g.image; };
    std::vector<double> sums(2 * channels * threads.parts_of(counted, 1), 0.0);
    threads.each_of(counted, 1, [&](int64_t first, int64_t end, int64_t part) {
      std::vector<float> of_image(2 * channels);
      for (int64_t n = first; n < end; ++n) {
        std::fill(of_image.begin(), of_image.end(), 0.0f);
        for (int64_t row = 0; row < g.pooled_rows; ++row) {
          int64_t at = n * g.pooled_rows + row;
          add_slopes(g, image(x.typed_data(), at), of_row(dp.typed_data(), at), of_row(places.typed_data(), at),
                     mean.typed_data(), row, of_image.data(), of_image.data() + channels);
        }
        for (int64_t i = 0; i < 2 * channels; ++i) sums[part * 2 * channels + i] += of_image[i];
      }
    });
    std::vector<float> factor(channels), slope(channels), offset(channels);
    double size = static_cast<double>(counted * g.image / channels);
    for (int64_t n = 0; n < channels; ++n) {
      double first = 0, second = 0;
      for (size_t part = 0; part < sums.size(); part += 2 * channels) {
        first += sums[part + n], second += sums[part + channels + n];
      }
      float scale = inverse.typed_data()[n], middle = mean.typed_data()[n];
      dbeta->typed_data()[n] = static_cast<float>(first);
      dgamma->typed_data()[n] = static_cast<float>(second) * scale + 0.0f * middle;  // NaN if the mean is NaN
      factor[n] = gamma.typed_data()[n] * scale;
      slope[n] = -factor[n] * scale * static_cast<float>(dgamma->typed_data()[n] / size);
      offset[n] = -factor[n] * static_cast<float>(first / size) - slope[n] * middle;
    }
    threads.each_of(batch * g.pooled_rows, 1, [&](int64_t first, int64_t end, int64_t) {
      for (int64_t n = first; n < end; ++n) {
        if (n / g.pooled_rows >= counted) {
          if (n % g.pooled_rows == 0) std::fill_n(image(dx->typed_data(), n), g.image, 0.0f);
          continue;
        }
        slopes_of_row(g, image(x.typed_data(), n), of_row(dp.typed_data(), n), of_row(places.typed_data(), n),
                      factor.data(), slope.data(), offset.data(), n % g.pooled_rows, image(dx->typed_data(), n));
      }
    });
  });
}

}  // namespace
}  // namespace lamina

using lamina::Array;
using lamina::PlaceArray;
using xla::ffi::Ffi;
using xla::ffi::ThreadPool;

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_normalization_pooled, lamina::pooled,
                              Ffi::Bind()
                                  .Ctx<ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Ret<Array>()
                                  .Ret<PlaceArray>()
                                  .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_normalization_pooled_gradient, lamina::gradient,
                              Ffi::Bind()
                                  .Ctx<ThreadPool>()
                                  .Arg<Array>()
                                  .Arg<PlaceArray>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<Array>()
                                  .Arg<xla::ffi::Buffer<xla::ffi::S32>>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Ret<Array>()
                                  .Attr<lamina::Sizes>("pool"));
