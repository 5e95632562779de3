// oneDNN's primitives of a convolution, and functions for all custom calls of convolutions.
#pragma once

#include "sparse.h"

namespace lamina {

enum Map : int64_t { kForward, kInputGradient, kKernelGradient };

struct Convolution {
  dnnl::primitive run;
  dnnl::memory::desc x, y, kernel, bias, scratchpad;  // as the primitive wants them
  dnnl::memory::desc given;                           // the kernel as XLA has it
  dnnl::reorder reorder;                              // between both; empty where they are the same

  bool fast;

  bool reorders() const { return kernel != given; }
};

inline std::vector<int64_t> key_of(Map map, const Geometry& g) {
  std::vector<int64_t> key{map, g.groups, g.half, omp_get_max_threads()};  // for so many threads a primitive is made
  for (Sizes sizes : {Sizes(g.x), Sizes(g.kernel), Sizes(g.y), g.strides, g.before, g.after, g.dilation}) {
    append(key, sizes);
  }
  return key;
}

// (groups, filters / groups, channels / groups, *window) over (*window, channels / groups, filters)
inline dnnl::memory::desc kernel_given(const Geometry& g) {
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

// Whether oneDNN may write beyond its memory. For windows of one element with strides it first gathers elements, 16
// channels at a time, but it reserves memory only for the existing channels.
inline bool overruns(const Geometry& g) {
  int64_t channels = g.kernel[g.axes()], window = Geometry::product(g.kernel) / (channels * g.kernel.back());
  return window == 1 && *std::max_element(g.strides.begin(), g.strides.end()) > 1 && channels % 16 != 0;
}

inline Convolution make(Map map, const Geometry& g) {
  using namespace dnnl;
  expect(!overruns(g), "expected channels that 16 divides, for windows of one element with strides");
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

inline std::shared_ptr<const Convolution> primitive(Map map, const Geometry& g) {
  static auto& cache = *new Cache<Convolution>;
  return cache.get(key_of(map, g), [&] { return make(map, g); });
}

// A primitive, and the kernel in the layout that it needs.
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

// In convolution.cc: computes one of x, the kernel and y from the other two.
void execute(Threads& threads, Map map, const Geometry& g, void* x, float* kernel, float* bias, void* y);

using Any = ffi::AnyBuffer;
using Result = ffi::Result<Any>;

inline Dims dims(Any& array) { return plus(array.dimensions(), 0); }

template <typename Binding>
auto with_window(Binding binding) {
  return std::move(binding)
      .template Attr<Sizes>("strides")
      .template Attr<Sizes>("before")
      .template Attr<Sizes>("after")
      .template Attr<Sizes>("dilation")
      .template Attr<int64_t>("groups");
}

}  // namespace lamina
