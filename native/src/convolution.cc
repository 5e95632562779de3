// A convolution and its two gradients: three maps between x (batch, *sizes, channels), the kernel
// (*window, channels / groups, filters) and y (batch, *positions, filters), to which a bias (filters,) is added.
#include "onednn.h"
#include "sparse.h"

namespace lamina {
namespace {

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
  std::vector<int64_t> key{map, g.groups};
  for (Sizes sizes : {g.x, g.kernel, g.y, g.strides, g.before, g.after, g.dilation}) append(key, sizes);
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
  auto any = memory::desc(made.given.get_dims(), Type::f32, memory::format_tag::any);
  auto x = channels_last(g.x, Type::f32), y = channels_last(g.y, Type::f32);
  memory::desc bias({g.y.back()}, Type::f32, Dims{1});
  Dims strides = plus(g.strides, 0), dilation = plus(g.dilation, -1), before = plus(g.before, 0),
       after = plus(g.after, 0);
  primitive_attr attr;
  attr.set_scratchpad_mode(scratchpad_mode::user);
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
    convolution_backward_weights::primitive_desc desc(engine(), kind, x, any, bias, y, strides, dilation, before, after,
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

bool taken_as_sparse(Map map, const Geometry& g, void* x, void* kernel, void* bias, void* y) {
  if (map == kForward || g.groups != 1) return false;
  Sparse dy(static_cast<const float*>(y), g);
  bool to_input = map == kInputGradient;
  if (!dy.serves(static_cast<const float*>(to_input ? kernel : x), to_input ? g.kernel : g.x)) return false;
  if (to_input) {
    dy.input_gradient(static_cast<const float*>(kernel), static_cast<float*>(x));
  } else {
    dy.kernel_gradient(static_cast<const float*>(x), static_cast<float*>(kernel));
    dy.bias_gradient(static_cast<float*>(bias));
  }
  return true;
}

void execute(Map map, const Geometry& g, void* x, void* kernel, void* bias, void* y) {
  if (taken_as_sparse(map, g, x, kernel, bias, y)) return;
  auto made = primitive(map, g);
  Room work(made->scratchpad.get_size()), packed(made->reorders() ? made->kernel.get_size() : 0);
  dnnl::memory scratchpad(made->scratchpad, engine(), work.data());
  dnnl::memory given(made->given, engine(), kernel);
  dnnl::memory inside = made->reorders() ? dnnl::memory(made->kernel, engine(), packed.data()) : given;
  dnnl::memory in(made->x, engine(), x), out(made->y, engine(), y), shift(made->bias, engine(), bias);
  if (made->reorders() && map != kKernelGradient) made->reorder.execute(stream(), given, inside);
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SCRATCHPAD, scratchpad}};
  if (map == kForward) {
    arguments.insert({{DNNL_ARG_SRC, in}, {DNNL_ARG_WEIGHTS, inside}, {DNNL_ARG_BIAS, shift}, {DNNL_ARG_DST, out}});
  } else if (map == kInputGradient) {
    arguments.insert({{DNNL_ARG_DIFF_SRC, in}, {DNNL_ARG_WEIGHTS, inside}, {DNNL_ARG_DIFF_DST, out}});
  } else {
    arguments.insert(
        {{DNNL_ARG_SRC, in}, {DNNL_ARG_DIFF_WEIGHTS, inside}, {DNNL_ARG_DIFF_BIAS, shift}, {DNNL_ARG_DIFF_DST, out}});
  }
  made->run.execute(stream(), arguments);
  if (made->reorders() && map == kKernelGradient) made->reorder.execute(stream(), inside, given);
  stream().wait();
}

using Any = ffi::AnyBuffer;
using Result = ffi::Result<Any>;

ffi::Error run(Map map, Any& x, Any& kernel, Any* bias, Any& y, Sizes strides, Sizes before, Sizes after,
               Sizes dilation, int64_t groups) {
  return guarded([&] {
    Geometry g{x.dimensions(), kernel.dimensions(), y.dimensions(), strides, before, after, dilation, groups};
    g.check();
    // In bfloat16 oneDNN adds in pairs, and NaN spreads to neighbours; Lamina computes it in float32.
    for (Any* each : {&x, &kernel, bias, &y}) {
      expect(!each || each->element_type() == ffi::DataType::F32, "expected arrays of float32");
    }
    if (bias) expect_shapes({{"bias", bias->dimensions(), {g.kernel.back()}}});
    execute(map, g, x.untyped_data(), kernel.untyped_data(), bias ? bias->untyped_data() : nullptr, y.untyped_data());
  });
}

ffi::Error forward(Any x, Any kernel, Any bias, Result y, Sizes strides, Sizes before, Sizes after, Sizes dilation,
                   int64_t groups) {
  return run(kForward, x, kernel, &bias, *y, strides, before, after, dilation, groups);
}

ffi::Error input_gradient(Any dy, Any kernel, Result dx, Sizes strides, Sizes before, Sizes after, Sizes dilation,
                          int64_t groups) {
  return run(kInputGradient, *dx, kernel, nullptr, dy, strides, before, after, dilation, groups);
}

ffi::Error kernel_gradient(Any x, Any dy, Result dkernel, Result dbias, Sizes strides, Sizes before, Sizes after,
                           Sizes dilation, int64_t groups) {
  return run(kKernelGradient, x, *dkernel, &*dbias, dy, strides, before, after, dilation, groups);
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

// Whether oneDNN has more than its plain reference for this case.
bool supported(Map map, const Geometry& g) try {
  g.check();
  return primitive(map, g)->fast;
} catch (const std::exception&) {
  return false;
}

}  // namespace
}  // namespace lamina

// The `count` sizes are x, kernel and y, each with `axes` + 2 numbers, then strides, before, after and dilation.
extern "C" bool lamina_convolution_supported(int64_t map, int64_t axes, int64_t groups, const int64_t* sizes,
                                             int64_t count) {
  bool known = map >= lamina::kForward && map <= lamina::kKernelGradient && axes >= 1 && axes <= 3;
  if (!known || count != 3 * (axes + 2) + 4 * axes) return false;
  auto next = [&](int64_t count) { return lamina::Sizes(std::exchange(sizes, sizes + count), count); };
  auto x = next(axes + 2), kernel = next(axes + 2), y = next(axes + 2);
  auto strides = next(axes), before = next(axes), after = next(axes), dilation = next(axes);
  return lamina::supported(static_cast<lamina::Map>(map), {x, kernel, y, strides, before, after, dilation, groups});
}

using lamina::Any;
using lamina::with_window;
using xla::ffi::Ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution, lamina::forward,
                              with_window(Ffi::Bind().Arg<Any>().Arg<Any>().Arg<Any>().Ret<Any>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_input_gradient, lamina::input_gradient,
                              with_window(Ffi::Bind().Arg<Any>().Arg<Any>().Ret<Any>()));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_convolution_kernel_gradient, lamina::kernel_gradient,
                              with_window(Ffi::Bind().Arg<Any>().Arg<Any>().Ret<Any>().Ret<Any>()));
