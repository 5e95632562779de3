// One step of an optimizer for all weights in one pass: each number is read once and written once.
#include <omp.h>

#include <cmath>

#include "onednn.h"

namespace lamina {
namespace {

// Of one weight: its gradient, itself and what the optimizer remembers of it; and where the new values go.
struct Arrays {
  const float *g, *p, *slots[3];
  float *new_p, *new_slots[3];
};

// What is the same for all numbers of a weight: it decays by `decay`, and moves by `rate`.
struct Step {
  bool decays;
  float decay, rate;
  const float* settings;

  // Without decay an infinite weight stays so.
  float decayed(float p) const { return decays ? p - p * decay : p; }
};

LAMINA_VECTORS void adam(int64_t first, int64_t end, const Arrays& a, Step step) {
  float to_m = step.settings[0], to_v = step.settings[1], epsilon = step.settings[2];
  const float *g = a.g, *p = a.p, *m = a.slots[0], *v = a.slots[1];
  float *new_p = a.new_p, *new_m = a.new_slots[0], *new_v = a.new_slots[1];
#pragma omp simd
  for (int64_t n = first; n < end; ++n) {
    float next_m = m[n] + (g[n] - m[n]) * to_m, next_v = v[n] + (g[n] * g[n] - v[n]) * to_v;
    new_m[n] = next_m, new_v[n] = next_v;
    new_p[n] = step.decayed(p[n]) - next_m * step.rate / (std::sqrt(next_v) + epsilon);
  }
}

// With the largest v so far.
LAMINA_VECTORS void amsgrad(int64_t first, int64_t end, const Arrays& a, Step step) {
  float to_m = step.settings[0], to_v = step.settings[1], epsilon = step.settings[2];
  const float *g = a.g, *p = a.p, *m = a.slots[0], *v = a.slots[1], *most = a.slots[2];
  float *new_p = a.new_p, *new_m = a.new_slots[0], *new_v = a.new_slots[1], *new_most = a.new_slots[2];
#pragma omp simd
  for (int64_t n = first; n < end; ++n) {
    float next_m = m[n] + (g[n] - m[n]) * to_m, next_v = v[n] + (g[n] * g[n] - v[n]) * to_v;
    float largest = most[n] > next_v || most[n] != most[n] ? most[n] : next_v;  // NaN where one is
    new_m[n] = next_m, new_v[n] = next_v, new_most[n] = largest;
    new_p[n] = step.decayed(p[n]) - next_m * step.rate / (std::sqrt(largest) + epsilon);
  }
}

LAMINA_VECTORS void descent(int64_t first, int64_t end, const Arrays& a, Step step) {
  const float *g = a.g, *p = a.p;
  float* new_p = a.new_p;
#pragma omp simd
  for (int64_t n = first; n < end; ++n) new_p[n] = step.decayed(p[n]) - step.rate * g[n];
}

LAMINA_VECTORS void momentum(int64_t first, int64_t end, const Arrays& a, Step step) {
  float share = step.settings[0];
  bool nesterov = step.settings[1] != 0;
  const float *g = a.g, *p = a.p, *m = a.slots[0];
  float *new_p = a.new_p, *new_m = a.new_slots[0];
#pragma omp simd
  for (int64_t n = first; n < end; ++n) {
    float next = share * m[n] - step.rate * g[n];
    new_m[n] = next;
    new_p[n] = step.decayed(p[n]) + (nesterov ? share * next - step.rate * g[n] : next);
  }
}

LAMINA_VECTORS void rmsprop(int64_t first, int64_t end, const Arrays& a, Step step) {
  float rho = step.settings[0], rest = step.settings[1], epsilon = step.settings[2];
  const float *g = a.g, *p = a.p, *v = a.slots[0];
  float *new_p = a.new_p, *new_v = a.new_slots[0];
#pragma omp simd
  for (int64_t n = first; n < end; ++n) {
    float next = rho * v[n] + rest * g[n] * g[n];
    new_v[n] = next;
    new_p[n] = step.decayed(p[n]) - step.rate * g[n] * (1 / std::sqrt(next + epsilon));
  }
}

struct Formula {
  void (*run)(int64_t, int64_t, const Arrays&, Step);
  size_t slots, settings;
};
constexpr Formula kFormulas[] = {{adam, 2, 3}, {amsgrad, 3, 3}, {descent, 0, 0}, {momentum, 1, 2}, {rmsprop, 1, 3}};
constexpr int64_t kWorthAThread = 16384;

using Floats = ffi::Buffer<ffi::F32>;

// For each weight come its gradient, itself and its slots, and go itself and its slots. `numbers` are the learning rate,
// what a weight moves by, the formula's settings, and for each weight the share that decays, times the learning rate.
ffi::Error update(Floats numbers, ffi::RemainingArgs taken, ffi::RemainingRets given, int64_t formula) {
  using Failed = ffi::Error;
  if (formula < 0 || formula >= static_cast<int64_t>(std::size(kFormulas))) return Failed::InvalidArgument("formula");
  auto [run, slots, settings] = kFormulas[formula];
  size_t count = taken.size() / (slots + 2);
  if (taken.size() != count * (slots + 2) || given.size() != count * (slots + 1) ||
      numbers.element_count() != 2 + settings + count) {
    return Failed::InvalidArgument("lamina_update: not as many arrays or numbers as the formula has");
  }
  std::vector<Arrays> arrays(count);
  std::vector<int64_t> ends(count);
  int64_t total = 0;
  for (size_t n = 0; n < count; ++n) {
    auto g = taken.get<Floats>(n * (slots + 2));
    if (!g) return g.error();
    total += static_cast<int64_t>(g->element_count());
    ends[n] = total;
    arrays[n].g = g->typed_data();
    for (size_t k = 0; k <= slots; ++k) {
      auto from = taken.get<Floats>(n * (slots + 2) + 1 + k);
      auto to = given.get<Floats>(n * (slots + 1) + k);
      if (!from) return from.error();
      if (!to) return to.error();
      if (from->element_count() != g->element_count() || (*to)->element_count() != g->element_count()) {
        return Failed::InvalidArgument("lamina_update: the arrays of one weight differ in size");
      }
      (k ? arrays[n].slots[k - 1] : arrays[n].p) = from->typed_data();
      (k ? arrays[n].new_slots[k - 1] : arrays[n].new_p) = (*to)->typed_data();
    }
  }
  const float *number = numbers.typed_data(), *decay = number + 2 + settings;
  int64_t threads = std::min<int64_t>(omp_get_max_threads(), total / kWorthAThread + 1);
#pragma omp parallel num_threads(static_cast<int>(threads)) if (threads > 1)
  {
    int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
    int64_t first = total * part / parts, end = total * (part + 1) / parts;
    for (size_t n = 0; n < count; ++n) {
      int64_t start = n ? ends[n - 1] : 0, from = std::max(first, start), to = std::min(end, ends[n]);
      if (from < to) run(from - start, to - start, arrays[n], {decay[n] != 0, decay[n] * number[0], number[1], number + 2});
    }
  }
  return Failed::Success();
}

}  // namespace
}  // namespace lamina

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_update, lamina::update,
                              xla::ffi::Ffi::Bind()
                                  .Arg<lamina::Floats>()
                                  .RemainingArgs()
                                  .RemainingRets()
                                  .Attr<int64_t>("formula"));
