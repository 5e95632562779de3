// A recurrent net over sequences in few rows. The units are divided among the threads, and each thread computes the
// gates of its units. It reads only its part of the kernel. All threads wait for each other once in each step, because
// each needs the whole state.
#pragma once

#include "cached_product.h"
#include "lockstep.h"
#include "sequence.h"

namespace lamina {

class ByUnits {
 public:
  ByUnits(Threads& threads, const Net& net, bool half)
      : threads_(threads), net_(net), parts_(half || !has_512() || net.batch > kMostRows ? 1 : of_size()) {}

  bool serves() const { return parts_ > 1; }

  // Calls advance(step, z, a, from, to) for all steps. z is the part of the gates from the input and a the part from
  // the state, both (rows, width). Units `from` to `to` are computed.
  template <typename Advance>
  void run(Part part, Array& x, const float* kernel, Array& h, const float* recurrent, Out& y, Advance advance) const {
    int64_t rows = part.rows, width = net_.width, units = net_.units, features = net_.features;
    part.span = least(part.time, kSpan / rows);
    Room inputs(part.span * rows * features * sizeof(float)), zs(part.span * rows * width * sizeof(float)),
        as(rows * width * sizeof(float));
    float* a = as.floats();
    for (int64_t start = 0; start < part.time; start += part.span) {
      gather_inputs(part, x, start, inputs.floats());
      int64_t all = part.steps(start) * rows;
      threads_.each_of(all, kRowsAtOnce, [&](int64_t first, int64_t end, int64_t) {
        product({inputs.floats() + first * features, features, 1, kernel, width}, end - first, features, width,
                zs.floats() + first * width, width, false);
      });
      int64_t step = start;
      Lockstep lockstep(threads_, parts_, [&](int64_t n) {
        int64_t vectors = units / kLanes, from = vectors * n / parts_ * kLanes,
                to = vectors * (n + 1) / parts_ * kLanes;
        const float* before = part.before(*y, h, step);
        for (int64_t gate = from; gate < width; gate += units) {
          product({before, units, 1, recurrent + gate, width}, rows, units, to - from, a + gate, width, false);
        }
        advance(step, zs.floats() + (step - start) * rows * width, a, from, to);
      });
      for (; step < start + part.steps(start); ++step) lockstep.step();
    }
  }

 private:
  static constexpr int64_t kMostRows = 4, kSpan = 512;
  static constexpr int64_t kLeastOfKernel = 1 << 14;  // the fewest elements of the kernel for one more thread

  int64_t of_size() const {
    if (net_.units % kLanes) return 1;
    return std::clamp<int64_t>(net_.units * net_.width / kLeastOfKernel, 1,
                               std::min(threads_.count(), net_.units / kLanes));
  }

  Threads& threads_;
  const Net& net_;
  int64_t parts_;
};

// Computes y for all steps with advance(part, step, z, a, from, to).
template <typename Advance>
void forward(Threads& threads, const Net& net, Mask& mask, Array& x, const float* kernel, Array& h,
             const float* recurrent, Out& y, bool reverse, bool half, Advance advance) {
  ByUnits by_units(threads, net, half);
  if (by_units.serves()) {
    Part part(net.time, net.batch, 0, net.batch, reverse, mask);
    return by_units.run(part, x, kernel, h, recurrent, y, [&](auto... at) { advance(part, at...); });
  }
  threads.each_of(net.batch, kLeast, [&](int64_t first, int64_t end, int64_t) {
    int64_t rows = end - first;
    Part part(net.time, net.batch, first, rows, reverse, mask);
    Product across(part.span * rows, net.features, net.width, kernel, false, half);
    Product along(rows, net.units, net.width, recurrent, false, half);
    Room inputs(part.span * rows * net.features * sizeof(float));
    for (int64_t start = 0; start < net.time; start += part.span) {
      gather_inputs(part, x, start, inputs.floats());
      const float* z = across(inputs.floats());
      for (int64_t step = start; step < start + part.steps(start); ++step, z += rows * net.width) {
        advance(part, step, z, along(part.before(*y, h, step)), 0, net.units);
      }
    }
  });
}

}  // namespace lamina
