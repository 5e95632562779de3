// A convolution and its two gradients: three maps between x (batch, *sizes, channels), the kernel
// (*window, channels / groups, filters) and y (batch, *positions, filters), to which a bias (filters,) is added. x and
// y are both float32 or both bfloat16; in the latter case the products are of halves. The kernel and the bias are
// float32.
#include "convolution.h"

#include "by_tiles.h"
#include "few_images.h"

namespace lamina {
namespace {

constexpr int64_t kPairs = 8;

// Converts halves to float32 and back.
Room wide(Threads& threads, const void* halves, int64_t size) {
  Room room(size * sizeof(float));
  threads.each_of(size, Sparse::kSpan, [&](int64_t first, int64_t end, int64_t) {
    widen(end - first, static_cast<const Half*>(halves) + first, room.floats() + first);
  });
  return room;
}

bool taken_as_sparse(Threads& threads, Map map, const Geometry& g, void* x, float* kernel, float* bias, void* y) {
  if (map == kForward || g.groups != 1) return false;
  bool to_input = map == kInputGradient;
  int64_t size = Geometry::product(g.x);
  Sparse dy(threads, y, g);
  if (!dy.few()) return false;
  Room of_x = g.half ? (to_input ? Room(size * sizeof(float)) : wide(threads, x, size)) : Room(0);
  float* floats = g.half ? of_x.floats() : static_cast<float*>(x);
  if (!dy.serves(to_input ? kernel : floats, to_input ? g.kernel : g.x)) return false;
  if (to_input) {
    dy.input_gradient(kernel, floats);
    if (g.half) {
      threads.each_of(size, Sparse::kSpan, [&](int64_t first, int64_t end, int64_t) {
        narrow(end - first, floats + first, static_cast<Half*>(x) + first);
      });
    }
  } else {
    dy.kernel_gradient(floats, kernel);
    dy.bias_gradient(bias);
  }
  return true;
}

template <typename Lane>
bool taken_by_tiles(Threads& threads, Map map, const Geometry& g, Lane* x, float* kernel, float* bias, Lane* y) {
  if (!Plane::serves(g)) return false;
  if (map == kInputGradient) {
    int64_t channels = g.x.back(), filters = g.y.back(), window = Geometry::product(g.kernel) / (channels * filters);
    return Plane(g).turned().with_tiles([&](auto tiles) {
      Room turned(Geometry::product(g.kernel) * sizeof(float));
      threads.each_of(window, 1, [&](int64_t first, int64_t end, int64_t) {
        for (int64_t k = first; k < end; ++k) {
          transpose(kernel + k * channels * filters, channels, filters,
                    turned.floats() + (window - 1 - k) * channels * filters);
        }
      });
      return forward_by(threads, tiles, y, turned.floats(), nullptr, x, g.x[0]);
    });
  }
  return Plane(g).with_tiles([&](auto tiles) {
    return map == kForward ? forward_by(threads, tiles, x, kernel, bias, y, g.x[0])
                           : gradient_by(threads, tiles, x, kernel, bias, y, g.x[0]);
  });
}

}  // namespace

// The rows of a batch are divided among the threads. If there are fewer rows than threads, the rows of y are divided,
// or oneDNN uses threads of its own.
void execute(Threads& threads, Map map, const Geometry& g, void* x, float* kernel, float* bias, void* y) {
  if (taken_as_sparse(threads, map, g, x, kernel, bias, y)) return;
  auto floats = [](void* array) { return static_cast<float*>(array); };
  bool taken = by_lane(g.half, [&](auto of) { return taken_by_tiles(threads, map, g, of(x), kernel, bias, of(y)); });
  if (taken) return;
  int64_t batch = g.x[0];
  if (batch < threads.count()) {
    if (map == kForward && few_images_served(g)) return few_images(threads, g, floats(x), kernel, bias, floats(y));
    return Computed(map, primitive(map, g), kernel)(x, bias, y);
  }
  OneThread alone;
  int64_t rows = (batch + threads.count() - 1) / threads.count(), parts = (batch + rows - 1) / rows;
  auto made = primitive(map, g.of_rows(rows)), last = primitive(map, g.of_rows(batch - rows * (parts - 1)));
  auto run = [&](Computed& computed, int64_t part, float* to_bias) {
    int64_t size = g.half ? sizeof(Half) : sizeof(float);
    computed(static_cast<char*>(x) + part * rows * g.x_row() * size, to_bias,
             static_cast<char*>(y) + part * rows * g.y_row() * size);
  };
  if (map != kKernelGradient) {
    Computed most(map, made, kernel), rest(map, last, kernel);
    threads.each(parts, [&](int64_t part) { run(part + 1 < parts ? most : rest, part, bias); });
    return;
  }
  int64_t size = Geometry::product(g.kernel), filters = g.y.back();
  std::vector<Room> others;  // the gradients of all parts but the first one
  for (int64_t part = 1; part < parts; ++part) others.emplace_back((size + filters) * sizeof(float));
  threads.each(parts, [&](int64_t part) {
    float* to = part ? others[part - 1].floats() : kernel;
    Computed computed(map, part + 1 < parts ? made : last, to);
    run(computed, part, part ? to + size : bias);
  });
  threads.each_of(size, 1 << 14, [&](int64_t first, int64_t end, int64_t) {
    for (Room& other : others) add(end - first, 1.0f, other.floats() + first, kernel + first);
  });
  for (Room& other : others) add(filters, 1.0f, other.floats() + size, bias);
}

namespace {

ffi::Error run(ffi::ThreadPool pool, Map map, Any& x, Any& kernel, Any* bias, Any& y, Sizes strides, Sizes before,
               Sizes after, Sizes dilation, int64_t groups) {
  return guarded(pool, [&](Threads& threads) {
    bool half = type_of(x) == Type::bf16;
    Geometry g{dims(x), dims(kernel), dims(y), strides, before, after, dilation, groups, half};
    g.check();
    expect(type_of(y) == type_of(x), "expected x and y of one type");
    for (Any* each : {&kernel, bias}) expect(!each || type_of(*each) == Type::f32, "expected weights of float32");
    if (bias) expect_shapes({{"bias", bias->dimensions(), {g.kernel.back()}}});
    auto floats = [](Any& array) { return static_cast<float*>(array.untyped_data()); };
    execute(threads, map, g, x.untyped_data(), floats(kernel), bias ? floats(*bias) : nullptr, y.untyped_data());
  });
}

ffi::Error forward(ffi::ThreadPool pool, Any x, Any kernel, Any bias, Result y, Sizes strides, Sizes before,
                   Sizes after, Sizes dilation, int64_t groups) {
  return run(pool, kForward, x, kernel, &bias, *y, strides, before, after, dilation, groups);
}

ffi::Error input_gradient(ffi::ThreadPool pool, Any dy, Any kernel, Result dx, Sizes strides, Sizes before, Sizes after,
                          Sizes dilation, int64_t groups) {
  return run(pool, kInputGradient, *dx, kernel, nullptr, dy, strides, before, after, dilation, groups);
}

ffi::Error kernel_gradient(ffi::ThreadPool pool, Any x, Any dy, Result dkernel, Result dbias, Sizes strides,
                           Sizes before, Sizes after, Sizes dilation, int64_t groups) {
  return run(pool, kKernelGradient, x, *dkernel, &*dbias, dy, strides, before, after, dilation, groups);
}

// Whether oneDNN has a fast implementation for this case. It multiplies halves in pairs and pads an odd number with
// zero, so that NaN would spread; and it is fast only for more than a few channels. The kernel's gradient is a sum over
// positions, in which NaN may spread to more elements.
bool supported(Map map, const Geometry& g) try {
  g.check();
  int64_t pairs = map == kInputGradient ? g.kernel.back() / g.groups : g.kernel[g.axes()];
  if (g.half && (pairs % 2 || pairs < kPairs)) return false;
  return primitive(map, g)->fast;
} catch (const std::exception&) {
  return false;
}

}  // namespace
}  // namespace lamina

// The `count` sizes are those of x, kernel and y, each with `axes` + 2 numbers, then strides, before, after, dilation.
extern "C" bool lamina_convolution_supported(int64_t map, bool half, int64_t axes, int64_t groups, const int64_t* sizes,
                                             int64_t count) {
  bool known = map >= lamina::kForward && map <= lamina::kKernelGradient && axes >= 1 && axes <= 3;
  if (!known || count != 3 * (axes + 2) + 4 * axes) return false;
  auto next = [&](int64_t count) { return lamina::Sizes(std::exchange(sizes, sizes + count), count); };
  auto x = lamina::plus(next(axes + 2), 0), kernel = lamina::plus(next(axes + 2), 0),
       y = lamina::plus(next(axes + 2), 0);
  auto strides = next(axes), before = next(axes), after = next(axes), dilation = next(axes);
  return lamina::supported(static_cast<lamina::Map>(map),
                           {x, kernel, y, strides, before, after, dilation, groups, half});
}

using lamina::Any;
using lamina::with_window;
using xla::ffi::Ffi;
using xla::ffi::ThreadPool;

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution, lamina::forward,
                              with_window(Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<Any>().Arg<Any>().Ret<Any>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_input_gradient, lamina::input_gradient,
                              with_window(Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<Any>().Ret<Any>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_kernel_gradient, lamina::kernel_gradient,
                              with_window(Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<Any>().Ret<Any>().Ret<Any>()));
