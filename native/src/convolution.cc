// A convolution and its two gradients: three maps between x (batch, *sizes, channels), the kernel
// (*window, channels / groups, filters) and y (batch, *positions, filters), to which a bias (filters,) is added. x and
// y are float32, or both bfloat16, and then the products are of halves; the kernel and the bias are float32.
#include "few_channels.h"

namespace lamina {
namespace {

constexpr int64_t kPairs = 8;
constexpr int64_t kInCache = 1 << 18;  // bytes

enum Map : int64_t { kForward, kInputGradient, kKernelGradient };

struct Convolution {
  dnnl::primitive run;
  dnnl::memory::desc x, y, kernel, bias, scratchpad;  // as the primitive wants them
  dnnl::memory::desc given;                           // the kernel as XLA has it
  dnnl::reorder reorder;                              // between both; empty where they are the same

  bool fast;

  bool reorders() const { return kernel != given; }
};

std::vector<int64_t> key_of(Map map, const Geometry& g) {
  std::vector<int64_t> key{map, g.groups, g.half, omp_get_max_threads()};  // for so many threads a primitive is made
  for (Sizes sizes : {Sizes(g.x), Sizes(g.kernel), Sizes(g.y), g.strides, g.before, g.after, g.dilation}) {
    append(key, sizes);
  }
  return key;
}

// (groups, filters / groups, channels / groups, *window) over (*window, channels / groups, filters)
dnnl::memory::desc kernel_given(const Geometry& g) {
  size_t window = g.axes();
  int64_t channels = g.kernel[window], filters = g.kernel[window + 1];
  Dims dims{g.groups, filters / g.groups, channels}, steps{filters / g.groups, 1, filters};
  dims.insert(dims.end(), g.kernel.begin(), g.kernel.begin() + window);
  steps.resize(dims.size());
  int64_t step = channels * filters;
  for (size_t axis = dims.size() - 1; axis >= 3; step *= dims[axis--]) steps[axis] = step;
  if (g.groups == 1) dims.erase(dims.begin()), steps.erase(steps.begin());
  return {dims, Type::f32, steps};
}

Convolution make(Map map, const Geometry& g) {
  using namespace dnnl;
  Convolution made;
  made.given = kernel_given(g);
  Type type = g.half ? Type::bf16 : Type::f32, of_kernel = map == kKernelGradient ? Type::f32 : type;
  auto any = memory::desc(made.given.get_dims(), type, memory::format_tag::any);
  auto to = memory::desc(made.given.get_dims(), of_kernel, memory::format_tag::any);
  auto x = channels_last(g.x, type), y = channels_last(g.y, type);
  memory::desc bias({g.y.back()}, Type::f32, Dims{1});
  Dims strides = plus(g.strides, 0), dilation = plus(g.dilation, -1), before = plus(g.before, 0),
       after = plus(g.after, 0);
  primitive_attr attr = with_own_scratchpad();
  auto kind = algorithm::convolution_direct;
  convolution_forward::primitive_desc forward(engine(), prop_kind::forward_training, kind, x, any, bias, y, strides,
                                              dilation, before, after, attr);
  auto keep = [&](const auto& desc, memory::desc kernel, auto run) {
    made.fast = std::strstr(desc.impl_info_str(), "ref") == nullptr;
    made.x = x, made.y = y, made.kernel = kernel, made.bias = bias, made.scratchpad = desc.scratchpad_desc(),
    made.run = run;
  };
  if (map == kForward) {
    keep(forward, forward.weights_desc(), convolution_forward(forward));
  } else if (map == kInputGradient) {
    convolution_backward_data::primitive_desc desc(engine(), kind, x, any, y, strides, dilation, before, after, forward,
                                                   attr);
    keep(desc, desc.weights_desc(), convolution_backward_data(desc));
  } else {
    convolution_backward_weights::primitive_desc desc(engine(), kind, x, to, bias, y, strides, dilation, before, after,
                                                      forward, attr);
    keep(desc, desc.diff_weights_desc(), convolution_backward_weights(desc));
  }
  if (made.reorders()) {
    auto& from = map == kKernelGradient ? made.kernel : made.given;
    auto& to = map == kKernelGradient ? made.given : made.kernel;
    made.reorder = reorder(reorder::primitive_desc(engine(), from, engine(), to));
  }
  return made;
}

std::shared_ptr<const Convolution> primitive(Map map, const Geometry& g) {
  static auto& cache = *new Cache<Convolution>;
  return cache.get(key_of(map, g), [&] { return make(map, g); });
}

// Halves as float32, and as halves again.
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

// A primitive and the kernel as it wants it.
class Computed {
 public:
  Computed(Map map, std::shared_ptr<const Convolution> made, float* kernel)
      : map_(map),
        made_(std::move(made)),
        room_(made_->reorders() ? made_->kernel.get_size() : 0),
        given_(made_->given, engine(), kernel),
        inside_(made_->reorders() ? dnnl::memory(made_->kernel, engine(), room_.data()) : given_) {
    if (made_->reorders() && map != kKernelGradient) made_->reorder.execute(stream(), given_, inside_);
  }

  void operator()(void* x, float* bias, void* y) {
    Room work(made_->scratchpad.get_size());
    dnnl::memory scratchpad(made_->scratchpad, engine(), work.data());
    dnnl::memory in(made_->x, engine(), x), out(made_->y, engine(), y), shift(made_->bias, engine(), bias);
    std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SCRATCHPAD, scratchpad}};
    if (map_ == kForward) {
      arguments.insert({{DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, inside_}, {DNNL_ARG_BIAS, shift}, {DNNL_ARG_DST, out}});
    } else if (map_ == kInputGradient) {
      arguments.insert({{DNNL_ARG_DIFF_SRC, in}, {DNNL_ARG_WEIGHTS, inside_}, {DNNL_ARG_DIFF_DST, out}});
    } else {
      arguments.insert({{DNNL_ARG_SRC, in},
                        {DNNL_ARG_DIFF_WEIGHTS, inside_},
                        {DNNL_ARG_DIFF_BIAS, shift},
                        {DNNL_ARG_DIFF_DST, out}});
    }
    made_->run.execute(stream(), arguments);
    if (made_->reorders() && map_ == kKernelGradient) made_->reorder.execute(stream(), inside_, given_);
    stream().wait();
  }

 private:
  Map map_;
  std::shared_ptr<const Convolution> made_;
  Room room_;
  dnnl::memory given_, inside_;
};

// The rows of a batch are shared out; where there are fewer of them than threads, oneDNN takes threads of its own.
void execute(Threads& threads, Map map, const Geometry& g, void* x, float* kernel, float* bias, void* y) {
  if (taken_as_sparse(threads, map, g, x, kernel, bias, y)) return;
  int64_t batch = g.x[0];
  if (batch < threads.count()) return Computed(map, primitive(map, g), kernel)(x, bias, y);
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

// The largest of the windows of relu(y): some rows at a time, so that y stays in the cache.
void execute_pooled(Threads& threads, const Geometry& g, const Pool& pool, void* x, float* kernel, float* bias, void* p,
                    Place* places) {
  int64_t batch = g.x[0], size = g.half ? sizeof(Half) : sizeof(float), windows = batch * pool.pooled_rows;
  auto place_in = [&](void* array, int64_t place) { return static_cast<char*>(array) + place * size; };
  if (FewChannels::serve(g, pool)) {
    threads.each_of(windows, 1, [&](int64_t first, int64_t end, int64_t) {
      FewChannels few(g, pool);
      for (int64_t n = first; n < end; ++n) {
        few.forward(static_cast<float*>(x) + n / pool.pooled_rows * g.x_row(), kernel, bias, n % pool.pooled_rows,
                    static_cast<float*>(p) + n * pool.row(), places + n * pool.row());
      }
    });
    return;
  }
  auto pool_rows = [&](void* y, int64_t first, int64_t end, int64_t before) {  // y begins behind so many rows
    for (int64_t n = first; n < end; ++n) {
      void* image = place_in(y, (n / pool.pooled_rows - before) * pool.image);
      void* to = place_in(p, n * pool.row());
      auto run = [&](auto* y, auto* p) { pool_row_of(pool, y, n % pool.pooled_rows, p, places + n * pool.row()); };
      if (g.half) {
        run(static_cast<Half*>(image), static_cast<Half*>(to));
      } else {
        run(static_cast<float*>(image), static_cast<float*>(to));
      }
    }
  };
  if (batch < threads.count()) {
    Room y(batch * pool.image * size);
    Computed(kForward, primitive(kForward, g), kernel)(x, bias, y.data());
    threads.each_of(windows, 1, [&](int64_t first, int64_t end, int64_t) { pool_rows(y.data(), first, end, 0); });
    return;
  }
  OneThread alone;
  int64_t most_rows = (batch + threads.count() - 1) / threads.count();
  int64_t rows = std::clamp<int64_t>(kInCache / (pool.image * size), 1, most_rows);
  int64_t parts = (batch + rows - 1) / rows;
  Computed most(kForward, primitive(kForward, g.of_rows(rows)), kernel),
      rest(kForward, primitive(kForward, g.of_rows(batch - rows * (parts - 1))), kernel);
  threads.each(parts, [&](int64_t part) {
    int64_t first = part * rows, end = std::min(first + rows, batch);
    Room y(rows * pool.image * size);
    (part + 1 < parts ? most : rest)(place_in(x, first * g.x_row()), bias, y.data());
    pool_rows(y.data(), first * pool.pooled_rows, end * pool.pooled_rows, first);
  });
}

// The gradients of the kernel and of the bias from the slopes of what few channels were pooled to.
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

using Any = ffi::AnyBuffer;
using Result = ffi::Result<Any>;

Dims dims(Any& array) { return plus(array.dimensions(), 0); }

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

// y between x and what it is pooled to, which no array holds.
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

ffi::Error pooled(ffi::ThreadPool threads, Any x, Any kernel, Any bias, Result p, ffi::Result<ffi::Buffer<ffi::U8>> to,
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

using Array = ffi::Buffer<ffi::F32>;

ffi::Error pooled_kernel_gradient(ffi::ThreadPool threads, Any x, Array dp, ffi::Buffer<ffi::U8> places, Result dkernel,
                                  ffi::Result<Array> dbias, Sizes strides, Sizes before, Sizes after, Sizes dilation,
                                  int64_t groups, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Dims y = y_of(x, *dkernel, strides, before, after, dilation);
    Geometry g{dims(x), dims(*dkernel), y, strides, before, after, dilation, groups, false};
    g.check();
    Pool windows(pool, y);
    windows.check(dp.dimensions(), places.dimensions(), y[0]);
    expect(FewChannels::serve(g, windows), "expected few channels");
    for (Any* each : {&x, &*dkernel}) expect(type_of(*each) == Type::f32, "expected arrays of float32");
    expect_shapes({{"bias", dbias->dimensions(), {y.back()}}});
    execute_few(threads, g, windows, static_cast<float*>(x.untyped_data()), dp.typed_data(), places.typed_data(),
                static_cast<float*>(dkernel->untyped_data()), dbias->typed_data());
  });
}

ffi::Error put_back(ffi::ThreadPool threads, Any dp, ffi::Buffer<ffi::U8> places, Result dy, Sizes pool) {
  return guarded(threads, [&](Threads& threads) {
    Dims y = dims(*dy);
    Pool windows(pool, y);
    windows.check(dp.dimensions(), places.dimensions(), y[0]);
    expect(type_of(dp) == type_of(*dy), "expected arrays of one type");
    threads.each_of(y[0] * windows.pooled_rows, 1, [&](int64_t first, int64_t end, int64_t) {
      for (int64_t n = first; n < end; ++n) {
        const Place* from = places.typed_data() + n * windows.row();
        void *slopes = at(dp, n * windows.row()), *to = at(*dy, n / windows.pooled_rows * windows.image);
        auto run = [&](auto* dp, auto* dy) { put_row_back_of(windows, dp, from, n % windows.pooled_rows, dy); };
        if (type_of(dp) == Type::bf16) {
          run(static_cast<Half*>(slopes), static_cast<Half*>(to));
        } else {
          run(static_cast<float*>(slopes), static_cast<float*>(to));
        }
      }
    });
  });
}

template <typename Binding>
auto with_window(Binding binding) {
  return std::move(binding)
      .template Attr<Sizes>("strides")
      .template Attr<Sizes>("before")
      .template Attr<Sizes>("after")
      .template Attr<Sizes>("dilation")
      .template Attr<int64_t>("groups");
}

// Whether oneDNN has more than its plain reference for this case. Halves are multiplied in pairs, one of an odd number
// with zero, so that NaN would spread; and it is fast for more than a few. The kernel's gradient is a sum over
// positions: there NaN may spread to more of its elements.
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

// The `count` sizes are x, kernel and y, each with `axes` + 2 numbers, then strides, before, after and dilation.
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
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    lamina_convolution_pooled, lamina::pooled,
    with_window(
        Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<Any>().Arg<Any>().Ret<Any>().Ret<xla::ffi::Buffer<xla::ffi::U8>>())
        .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_pooled_kernel_gradient, lamina::pooled_kernel_gradient,
                              with_window(Ffi::Bind()
                                              .Ctx<ThreadPool>()
                                              .Arg<Any>()
                                              .Arg<lamina::Array>()
                                              .Arg<xla::ffi::Buffer<xla::ffi::U8>>()
                                              .Ret<Any>()
                                              .Ret<lamina::Array>())
                                  .Attr<lamina::Sizes>("pool"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    lamina_put_back, lamina::put_back,
    Ffi::Bind().Ctx<ThreadPool>().Arg<Any>().Arg<xla::ffi::Buffer<xla::ffi::U8>>().Ret<Any>().Attr<lamina::Sizes>(
        "pool"));
