// GRU with reset_after: h = u h + (1 - u) g.
#include "by_units.h"

namespace lamina {
namespace {

// One step for `count` units of each row, at which all arrays begin. Each row of z and a has 3 parts: u, r, g. `gates`
// stores u, r, g and the values that r multiplies.
LAMINA_VECTORS void gru_step(int64_t rows, int64_t units, int64_t count, const float* z, const float* a,
                             const float* bias, const float* inner_bias, const float* before, float* gates, float* y) {
  for (int64_t row = 0; row < rows; ++row, z += 3 * units, a += 3 * units, gates += 4 * units) {
#pragma omp simd
    for (int64_t n = 0; n < count; ++n) {
      auto sum = [&](int64_t at) { return z[at] + bias[at] + (a[at] + inner_bias[at]); };
      float u = sigmoid(sum(n)), r = sigmoid(sum(units + n));
      float inner = a[2 * units + n] + inner_bias[2 * units + n];
      float g = tanh_of(z[2 * units + n] + bias[2 * units + n] + r * inner);
      gates[n] = u, gates[units + n] = r, gates[2 * units + n] = g, gates[3 * units + n] = inner;
      y[row * units + n] = u * before[row * units + n] + (1 - u) * g;
    }
  }
}

// The gradients dz of z and da of a. `through` is the part of the gradient of the state before that passes the product.
LAMINA_VECTORS void gru_step_back(int64_t rows, int64_t units, const float* gates, const float* before, const float* dy,
                                  const float* through, float* dh, float* dz, float* da) {
  for (int64_t row = 0; row < rows; ++row, gates += 4 * units, dz += 3 * units, da += 3 * units) {
#pragma omp simd
    for (int64_t n = 0; n < units; ++n) {
      int64_t at = row * units + n;
      float u = gates[n], r = gates[units + n], g = gates[2 * units + n], inner = gates[3 * units + n];
      float slope = dy[at] + dh[at] + through[at];
      float du = slope * (before[at] - g) * u * (1 - u), dg = slope * (1 - u) * (1 - g * g);
      float dr = dg * inner * r * (1 - r);
      dz[n] = da[n] = du, dz[units + n] = da[units + n] = dr;
      dz[2 * units + n] = dg, da[2 * units + n] = dg * r;
      dh[at] = slope * u;
    }
  }
}

// Like `lstm`, with 3 parts instead of 4 and a second bias, for the product with the state.
ffi::Error gru(ffi::ThreadPool pool, Mask mask, Array x, Array kernel, Array bias, Array h, Array recurrent,
               Array inner_bias, Out y, Out gates, bool reverse, bool half) {
  return guarded(pool, [&](Threads& threads) {
    Net net(x, h, 3, mask);
    int64_t batch = net.batch, time = net.time, features = net.features, units = net.units, width = net.width;
    expect_shapes({{"kernel", kernel.dimensions(), {features, width}},
                   {"bias", bias.dimensions(), {width}},
                   {"recurrent", recurrent.dimensions(), {units, width}},
                   {"inner_bias", inner_bias.dimensions(), {width}},
                   {"y", y->dimensions(), {time, batch, units}},
                   {"gates", gates->dimensions(), net.kept(gates, 4 * units)}});
    // The units `from` to `to` of some rows at a step.
    auto advance = [&](const Part& part, int64_t step, const float* z, const float* a, int64_t from, int64_t to) {
      const float* before = part.before(*y, h, step) + from;
      float* now = part.in(*y, step) + from;
      gru_step(part.rows, units, to - from, z + from, a + from, bias.typed_data() + from,
               inner_bias.typed_data() + from, before, part.in(*gates, step) + from, now);
      part.each_masked(step, [&](int64_t row) { std::copy_n(before + row * units, to - from, now + row * units); });
    };
    forward(threads, net, mask, x, kernel.typed_data(), h, recurrent.typed_data(), y, reverse, half, advance);
  });
}

ffi::Error gru_gradient(ffi::ThreadPool pool, Mask mask, Array dy, Array dh, Array x, Array kernel, Array h,
                        Array recurrent, Array y, Array gates, Out dx, Out dkernel, Out dbias, Out dh0, Out drecurrent,
                        Out dinner, bool reverse, bool half) {
  return guarded(pool, [&](Threads& threads) {
    Net net(x, h, 3, mask);
    int64_t batch = net.batch, time = net.time, features = net.features, units = net.units, width = net.width;
    net.expect_slopes(dx);
    Dims state{batch, units}, outputs{time, batch, units}, across_input{features, width}, across_state{units, width};
    expect_shapes({{"dy", dy.dimensions(), outputs},
                   {"dh", dh.dimensions(), state},
                   {"kernel", kernel.dimensions(), across_input},
                   {"recurrent", recurrent.dimensions(), across_state},
                   {"y", y.dimensions(), outputs},
                   {"gates", gates.dimensions(), {time, batch, 4 * units}},
                   {"dkernel", dkernel->dimensions(), across_input},
                   {"dbias", dbias->dimensions(), {width}},
                   {"dh0", dh0->dimensions(), state},
                   {"drecurrent", drecurrent->dimensions(), across_state},
                   {"dinner", dinner->dimensions(), {width}}});
    Totals totals(threads.parts_of(batch, kLeast), {&dkernel, &dbias, &drecurrent, &dinner});
    threads.each_of(batch, kLeast, [&](int64_t first, int64_t end, int64_t part_number) {
      int64_t rows = end - first;
      Part part(time, batch, first, rows, reverse, mask);
      int64_t all = part.span * rows, count = rows * units;
      Product across(all, width, features, kernel.typed_data(), true, half);
      Product along(rows, width, units, recurrent.typed_data(), true, half);
      Sum to_kernel(all, features, width, half), to_recurrent(all, units, width, half);
      std::vector<float> to_bias(width, 0.0f), to_inner(width, 0.0f), none(count, 0.0f), dh_kept(count);
      Room slopes(all * width * sizeof(float)), inner(all * width * sizeof(float));
      Room inputs(all * std::max(features, units) * sizeof(float));
      float* dh_now = dh0->typed_data() + first * units;
      std::copy_n(dh.typed_data() + first * units, count, dh_now);
      const float* through = none.data();
      for (int64_t start = part.last_span(); start >= 0; start -= part.span) {
        int64_t steps = part.steps(start);
        for (float* each : {slopes.floats(), inner.floats()}) {
          std::fill(each + steps * rows * width, each + all * width, 0.0f);
        }
        for (int64_t n = steps - 1; n >= 0; --n) {
          int64_t step = start + n, at = n * rows * width;
          const float* dy_now = part.in(dy, step);
          part.each_masked(step, [&](int64_t row) {
            for (int64_t u = row * units; u < (row + 1) * units; ++u) dh_kept[u] = dy_now[u] + dh_now[u] + through[u];
          });
          gru_step_back(rows, units, part.in(gates, step), part.before(y, h, step), dy_now, through, dh_now,
                        slopes.floats() + at, inner.floats() + at);
          part.each_masked(step, [&](int64_t row) {
            std::fill_n(slopes.floats() + at + row * width, width, 0.0f);
            std::fill_n(inner.floats() + at + row * width, width, 0.0f);
            std::copy_n(&dh_kept[row * units], units, dh_now + row * units);
          });
          float* back = along(inner.floats() + at);
          part.each_masked(step, [&](int64_t row) { std::fill_n(back + row * units, units, 0.0f); });
          through = back;
        }
        add_rows(all, width, slopes.floats(), to_bias.data());
        add_rows(all, width, inner.floats(), to_inner.data());
        gather_states(part, y, h, start, inputs.floats());
        to_recurrent.add(inputs.floats(), inner.floats());
        gather_inputs(part, x, start, inputs.floats());
        to_kernel.add(inputs.floats(), slopes.floats());
        if (dx->element_count()) scatter_slopes(part, across(slopes.floats()), start, dx);
      }
      add(count, 1.0f, through, dh_now);
      totals.put(part_number, {to_kernel.result(), to_bias.data(), to_recurrent.result(), to_inner.data()});
    });
    totals.finish();
  });
}

}  // namespace
}  // namespace lamina

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_gru, lamina::gru,
                              (lamina::arrays<6, 2>().Attr<bool>("reverse").Attr<bool>("half")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_gru_gradient, lamina::gru_gradient,
                              (lamina::arrays<8, 6>().Attr<bool>("reverse").Attr<bool>("half")));
