// Whether this processor multiplies halves faster. This is measured once, since on some the instruction is slow.
#include "half.h"

#include <chrono>

namespace lamina {
namespace {

// The least time of several products on one thread.
double seconds(Type type, bool& fast) {
  constexpr int64_t rows = 128, inner = 512, columns = 512;
  using Desc = dnnl::memory::desc;
  Desc a({rows, inner}, type, Dims{inner, 1}), b({inner, columns}, type, Dims{columns, 1}),
      y({rows, columns}, Type::f32, Dims{columns, 1});
  dnnl::matmul::primitive_desc desc(engine(), a, b, y);
  fast = std::strstr(desc.impl_info_str(), "ref") == nullptr;
  dnnl::matmul run(desc);
  dnnl::memory in_a(a, engine()), in_b(b, engine()), in_y(y, engine());
  for (auto* each : {&in_a, &in_b}) std::memset(each->get_data_handle(), 0, each->get_desc().get_size());
  double best = 1;
  for (int trial = 0; fast && trial < 12; ++trial) {
    auto start = std::chrono::steady_clock::now();
    run.execute(stream(), {{DNNL_ARG_SRC, in_a}, {DNNL_ARG_WEIGHTS, in_b}, {DNNL_ARG_DST, in_y}});
    stream().wait();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double measured() try {
  OneThread alone;
  bool fast = false, fast_wide = false;
  double half = seconds(Type::bf16, fast), whole = seconds(Type::f32, fast_wide);
  return fast ? whole / half : 0;
} catch (const std::exception&) {
  return 0;
}

}  // namespace

double half_speed() {
  static const double speed = measured();
  return speed;
}

}  // namespace lamina

extern "C" double lamina_half_speed() { return lamina::half_speed(); }
