// A convolution, relu and max pooling in one pass, without an array for y, and their gradients.
#include "by_tiles.h"
#include "convolution.h"
#include "few_channels.h"

namespace lamina {
namespace {

constexpr int64_t kInCache = 1 << 18;                    // bytes
constexpr int64_t kWork = 1 << 21, kElements = 1 << 15;  // the fewest multiply-adds, or elements, for one more thread

// Pools rows `first` to `end` of the windows of a batch. y begins after its first `before` rows.
void pool_rows(const Pool& pool, bool half, void* y, int64_t before, int64_t first, int64_t end, void* p,
               Place* places) {
  by_lane(half, [&](auto of) {
    for (int64_t n = first; n < end; ++n) {
      pool_row_of(pool, of(y) + (n / pool.pooled_rows - before) * pool.image, n % pool.pooled_rows,
                  of(p) + n * pool.row(), places + n * pool.row());
    }
  });
}

// Calls compute(first, end, y) for runs of rows whose y stays in the cache.
template <typename Compute>
void pool_in_pieces(Threads& threads, const Geometry& g, const Pool& pool, int64_t rows, void* p, Place* places,
                    Compute compute) {
  int64_t batch = g.x[0];
  threads.each((batch + rows - 1) / rows, [&](int64_t part) {
    int64_t first = part * rows, end = std::min(first + rows, batch);
    Room y(rows * pool.image * (g.half ? sizeof(Half) : sizeof(float)));
    compute(first, end, y);
    pool_rows(pool, g.half, y.data(), first, first * pool.pooled_rows, end * pool.pooled_rows, p, places);
  });
}

// Computes only the elements of y in a window.
template <typename Lane>
bool pooled_by_tiles(Threads& threads, const Geometry& g, Pool pool, const Lane* x, const float* kernel,
                     const float* bias, Lane* p, Place* places) {
  if (!Plane::serves(g)) return false;
  Plane seen(g);
  seen.y.rows = (pool.pooled_rows - 1) * pool.down + pool.high;
  seen.y.columns = pool.columns = (pool.pooled_columns - 1) * pool.right + pool.wide;
  pool.image = seen.y.rows * seen.y.columns * seen.y.channels;
  return seen.with_tiles([&](auto tiles) {
    Room of_kernel = tiles.of_kernel(threads, kernel);
    int64_t each = tiles.tile().each(), rows = std::clamp<int64_t>((tiles.block() + each / 2) / each, 1, g.x[0]);
    std::atomic<bool> finite = true;
    pool_in_pieces(threads, g, pool, rows, p, places, [&](int64_t first, int64_t end, Room& y) {
      Lane* from_first = static_cast<Lane*>(y.data()) - first * pool.image;
      if (!tiles.forward(x, of_kernel.floats(), bias, from_first, first * each, end * each)) finite = false;
    });
    return finite.load();
  });
}

// Max pooling of relu(y).
void execute_pooled(Threads& threads, const Geometry& g, const Pool& pool, void* x, float* kernel, float* bias, void* p,
                    Place* places) {
  int64_t batch = g.x[0], size = g.half ? sizeof(Half) : sizeof(float), windows = batch * pool.pooled_rows;
  int64_t seen = pool.row() * pool.high * pool.wide;  // elements of y in a row of windows
  auto floats = [](void* array) { return static_cast<float*>(array); };
  bool fewer = batch < threads.count();
  bool taken = !fewer && by_lane(g.half, [&](auto of) {
    return pooled_by_tiles(threads, g, pool, of(x), kernel, bias, of(p), places);
  });
  if (taken) return;
  if (FewChannels::serve(g, pool)) {
    int64_t work = seen / g.y.back() * Geometry::product(g.kernel);
    threads.each_of(windows, kWork / work + 1, [&](int64_t first, int64_t end, int64_t) {
      FewChannels few(g, pool);
      for (int64_t n = first; n < end; ++n) {
        few.forward(floats(x) + n / pool.pooled_rows * g.x_row(), kernel, bias, n % pool.pooled_rows,
                    floats(p) + n * pool.row(), places + n * pool.row());
      }
    });
    return;
  }
  if (fewer) {
    Room y(batch * pool.image * size);
    execute(threads, kForward, g, x, kernel, bias, y.data());
    threads.each_of(windows, kElements / seen + 1, [&](int64_t first, int64_t end, int64_t) {
      pool_rows(pool, g.half, y.data(), 0, first, end, p, places);
    });
    return;
  }
  OneThread alone;
  int64_t most_rows = (batch + threads.count() - 1) / threads.count();
  int64_t rows = std::clamp<int64_t>(kInCache / (pool.image * size), 1, most_rows),
          last = batch - (batch - 1) / rows * rows;
  Computed most(kForward, primitive(kForward, g.of_rows(rows)), kernel),
      rest(kForward, primitive(kForward, g.of_rows(last)), kernel);
  pool_in_pieces(threads, g, pool, rows, p, places, [&](int64_t first, int64_t end, Room& y) {
    (end < batch ? most : rest)(static_cast<char*>(x) + first * g.x_row() * size, bias, y.data());
  });
}

// The gradients of the kernel and of the bias from the gradient of the pooled values, for few channels.
void execute_few(Threads& threads, const Geometry& g, const Pool& pool, const float* x, const float* dp,
                 const Place* places, float* kernel, float* bias) {
  int64_t batch = g.x[0], filters = g.y.back(), size = Geometry::product(g.kernel);
  std::vector<Room> sums;
  for (int64_t part = 0; part < threads.parts_of(batch, 1); ++part) sums.emplace_back((size + filters) * sizeof(float));
  threads.each_of(batch, 1, [&](int64_t first, int64_t end, int64_t part) {
    FewChannels few(g, pool);
    float* to = sums[part].floats();
    std::fill_n(to, size + filters, 0.0f);
    for (int64_t row = first; row < end; ++row) {
      few.kernel_gradient(x + row * g.x_row(), dp + row * pool.pooled(), places + row * pool.pooled(), to);
    }
  });
  for (size_t part = 1; part < sums.size(); ++part) add(size + filters, 1.0f, sums[part].floats(), sums[0].floats());
  std::copy_n(sums[0].floats(), size, kernel);
  std::copy_n(sums[0].floats() + size, filters, bias);
}

// The sizes of y, which is not stored.
Dims y_of(Any& x, Any& kernel, Sizes strides, Sizes before, Sizes after, Sizes dilation) {
  Dims y = dims(x), window = dims(kernel);
  size_t axes = strides.size();
  expect(y.size() == axes + 2 && window.size() == axes + 2, "expected arrays with two axes more than the window");
  for (Sizes each : {before, after, dilation}) expect(each.size() == axes, "expected the window's sizes for each axis");
  for (Sizes each : {strides, before, after, dilation}) Geometry::in_bounds(each, 0);
  Geometry::in_bounds(strides, 1);
  for (size_t axis = 0; axis < axes; ++axis) {
    int64_t reach = (window[axis] - 1) * dilation[axis] + 1;
    y[axis + 1] = (y[axis + 1] + before[axis] + after[axis] - reach) / strides[axis] + 1;
  }
  y.back() = window.back();
  return y;
}

ffi::Error pooled(ffi::ThreadPool threads, Any x, Any kernel, Any bias, Result p, ffi::Result<ffi::Buffer<ffi::S16>> to,
                  Sizes strides, Sizes before, Sizes after, Sizes dilation, int64_t groups, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    bool half = type_of(x) == Type::bf16;
    Dims y = y_of(x, kernel, strides, before, after, dilation);
    Geometry g{dims(x), dims(kernel), y, strides, before, after, dilation, groups, half};
    g.check();
    Pool windows(pool, y);
    windows.check(p->dimensions(), to->dimensions(), y[0]);
    expect(type_of(*p) == type_of(x), "expected arrays of one type");
    for (Any* each : {&kernel, &bias}) expect(type_of(*each) == Type::f32, "expected weights of float32");
    expect_shapes({{"bias", bias.dimensions(), {y.back()}}});
    execute_pooled(threads, g, windows, x.untyped_data(), static_cast<float*>(kernel.untyped_data()),
                   static_cast<float*>(bias.untyped_data()), p->untyped_data(), to->typed_data());
  });
}

// dy: the gradient of the pooled values at their places, and zeros.
void put_rows_back(Threads& threads, const Pool& pool, bool half, int64_t batch, void* dp, const Place* places,
                   void* dy) {
  by_lane(half, [&](auto of) {
    threads.each_of(batch * pool.pooled_rows, 1, [&](int64_t first, int64_t end, int64_t) {
      for (int64_t n = first; n < end; ++n) {
        put_row_back_of(pool, of(dp) + n * pool.row(), places + n * pool.row(), n % pool.pooled_rows,
                        of(dy) + n / pool.pooled_rows * pool.image);
      }
    });
  });
}

// From the gradient of the pooled values and their places: the gradient of x, or those of the kernel and the bias.
void execute_back(Threads& threads, Map map, const Geometry& g, const Pool& pool, float* x, float* kernel, float* bias,
                  float* dp, const Place* places) {
  bool to_input = map == kInputGradient;
  if (!to_input && FewChannels::serve(g, pool) && pool.high * pool.wide <= Sparse::kFew) {
    return execute_few(threads, g, pool, x, dp, places, kernel, bias);
  }
  Sparse sparse(threads, dp, places, g, pool);
  if (g.groups == 1 && sparse.serves(to_input ? kernel : x, to_input ? g.kernel : g.x)) {
    if (to_input) return sparse.input_gradient(kernel, x);
    sparse.kernel_gradient(x, kernel);
    return sparse.bias_gradient(bias);
  }
  Room dy(g.y[0] * pool.image * sizeof(float));
  put_rows_back(threads, pool, false, g.y[0], dp, places, dy.data());
  execute(threads, map, g, x, kernel, bias, dy.data());
}

using Array = ffi::Buffer<ffi::F32>;
using PlaceArray = ffi::Buffer<ffi::S16>;

ffi::Error back(ffi::ThreadPool threads, Map map, Any& x, Any& kernel, float* bias, Array& dp, PlaceArray& places,
                Sizes strides, Sizes before, Sizes after, Sizes dilation, int64_t groups, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Dims y = y_of(x, kernel, strides, before, after, dilation);
    Geometry g{dims(x), dims(kernel), y, strides, before, after, dilation, groups, false};
    g.check();
    Pool windows(pool, y);
    windows.check(dp.dimensions(), places.dimensions(), y[0]);
    for (Any* each : {&x, &kernel}) expect(type_of(*each) == Type::f32, "expected arrays of float32");
    execute_back(threads, map, g, windows, static_cast<float*>(x.untyped_data()),
                 static_cast<float*>(kernel.untyped_data()), bias, dp.typed_data(), places.typed_data());
  });
}

ffi::Error pooled_input_gradient(ffi::ThreadPool threads, Array dp, Any kernel, PlaceArray places, Result dx,
                                 Sizes strides, Sizes before, Sizes after, Sizes dilation, int64_t groups, Sizes pool) {
  return back(threads, kInputGradient, *dx, kernel, nullptr, dp, places, strides, before, after, dilation, groups,
              pool);
}

ffi::Error pooled_kernel_gradient(ffi::ThreadPool threads, Any x, Array dp, PlaceArray places, Result dkernel,
                                  ffi::Result<Array> dbias, Sizes strides, Sizes before, Sizes after, Sizes dilation,
                                  int64_t groups, Sizes pool) {
  auto shape = dkernel->dimensions();
  bool fits = shape.size() && dbias->dimensions().size() == 1 && dbias->dimensions()[0] == shape.back();
  if (!fits) return ffi::Error::InvalidArgument("expected a bias with an element for each filter");
  return back(threads, kKernelGradient, x, *dkernel, dbias->typed_data(), dp, places, strides, before, after, dilation,
              groups, pool);
}

ffi::Error put_back(ffi::ThreadPool threads, Any dp, PlaceArray places, Result dy, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Dims y = dims(*dy);
    Pool windows(pool, y);
    windows.check(dp.dimensions(), places.dimensions(), y[0]);
    expect(type_of(dp) == type_of(*dy), "expected arrays of one type");
    put_rows_back(threads, windows, type_of(dp) == Type::bf16, y[0], dp.untyped_data(), places.typed_data(),
                  dy->untyped_data());
  });
}

}  // namespace
}  // namespace lamina

using lamina::Any;
using lamina::with_window;
using xla::ffi::Ffi;
using xla::ffi::ThreadPool;

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    lamina_convolution_pooled, lamina::pooled,
    with_window(Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<Any>().Arg<Any>().Ret<Any>().Ret<lamina::PlaceArray>())
        .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    lamina_convolution_pooled_input_gradient, lamina::pooled_input_gradient,
    with_window(Ffi::Bind().Ctx<ThreadPool>().Arg<lamina::Array>().Arg<Any>().Arg<lamina::PlaceArray>().Ret<Any>())
        .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_pooled_kernel_gradient, lamina::pooled_kernel_gradient,
                              with_window(Ffi::Bind()
                                              .Ctx<ThreadPool>()
                                              .Arg<Any>()
                                              .Arg<lamina::Array>()
                                              .Arg<lamina::PlaceArray>()
                                              .Ret<Any>()
                                              .Ret<lamina::Array>())
                                  .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    lamina_put_back, lamina::put_back,
    Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<lamina::PlaceArray>().Ret<Any>().Attr<lamina::Sizes>("pool"));
