// A convolution and its two gradients: three maps between x (batch, *sizes, channels), the kernel
// (*window, channels / groups, filters) and y (batch, *positions, filters), to which a bias (filters,) is added. x and
// y are float32, or both bfloat16, and then the products are of halves; the kernel and the bias are float32.
#include "onednn.h"
#include "sparse.h"

namespace lamina {
namespace {

constexpr int64_t kPairs = 8;

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
