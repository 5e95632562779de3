// LSTM: c = f c + i g, h = o tanh(c).
#include "by_units.h"

namespace lamina {
namespace {

// One step for `count` units of some rows, at which all arrays begin. z is the part of the gates from the input, a the
// part from the state. Each row of z, a and gates has 4 parts of `units`: i, f, g, o.
LAMINA_VECTORS void lstm_step(int64_t rows, int64_t units, int64_t count, const float* z, const float* a,
                              const float* bias, const float* before, float* gates, float* c, float* y) {
  for (int64_t row = 0; row < rows; ++row, z += 4 * units, a += 4 * units, gates += 4 * units) {
#pragma omp simd
    for (int64_t u = 0; u < count; ++u) {
      auto sum = [&](int64_t at) { return z[at] + a[at] + bias[at]; };
      float i = sigmoid(sum(u)), f = sigmoid(sum(units + u));
      float g = tanh_of(sum(2 * units + u)), o = sigmoid(sum(3 * units + u));
      float now = f * before[row * units + u] + i * g;
      gates[u] = i, gates[units + u] = f, gates[2 * units + u] = g, gates[3 * units + u] = o;
      c[row * units + u] = now;
      y[row * units + u] = o * tanh_of(now);
    }
  }
}

// The gradients dz of the gates and dc of the state before; dh is the gradient of the output.
LAMINA_VECTORS void lstm_step_back(int64_t rows, int64_t units, const float* gates, const float* c, const float* before,
                                   const float* dy, const float* dh, float* dc, float* dz) {
  for (int64_t row = 0; row < rows; ++row, gates += 4 * units, dz += 4 * units) {
#pragma omp simd
    for (int64_t u = 0; u < units; ++u) {
      int64_t at = row * units + u;
      float i = gates[u], f = gates[units + u], g = gates[2 * units + u], o = gates[3 * units + u];
      float slope = dy[at] + dh[at], t = tanh_of(c[at]);
      float to_c = dc[at] + slope * o * (1 - t * t);
      dz[u] = to_c * g * i * (1 - i);
      dz[units + u] = to_c * before[at] * f * (1 - f);
      dz[2 * units + u] = to_c * i * (1 - g * g);
      dz[3 * units + u] = slope * t * o * (1 - o);
      dc[at] = to_c * f;
    }
  }
}

// x (batch, time, features), kernel (features, 4 units), bias (4 units,), h and c (batch, units),
// recurrent (units, 4 units) -> y, the carries cs (time, batch, units) and gates (time, batch, 4 units)
ffi::Error lstm(ffi::ThreadPool pool, Mask mask, Array x, Array kernel, Array bias, Array h, Array c, Array recurrent,
                Out y, Out cs, Out gates, bool reverse, bool half) {
  return guarded(pool, [&](Threads& threads) {
    Net net(x, h, 4, mask);
    int64_t batch = net.batch, time = net.time, features = net.features, units = net.units, width = net.width;
    expect_shapes({{"kernel", kernel.dimensions(), {features, width}},
                   {"bias", bias.dimensions(), {width}},
                   {"c", c.dimensions(), {batch, units}},
                   {"recurrent", recurrent.dimensions(), {units, width}},
                   {"y", y->dimensions(), {time, batch, units}},
                   {"cs", cs->dimensions(), net.kept(cs, units)},
                   {"gates", gates->dimensions(), net.kept(gates, width)}});
    // The units `from` to `to` of some rows at a step.
    auto advance = [&](const Part& part, int64_t step, const float* z, const float* a, int64_t from, int64_t to) {
      int64_t rows = part.rows, count = to - from;
      const float *h_before = part.before(*y, h, step) + from, *c_before = part.before(*cs, c, step) + from;
      float *h_now = part.in(*y, step) + from, *c_now = part.in(*cs, step) + from;
      std::vector<float> kept(part.mask ? rows * count : 0);
      part.each_masked(step, [&](int64_t row) {  // c_now may be c_before
        std::copy_n(c_before + row * units, count, &kept[row * count]);
      });
      lstm_step(rows, units, count, z + from, a + from, bias.typed_data() + from, c_before,
                part.in(*gates, step) + from, c_now, h_now);
      part.each_masked(step, [&](int64_t row) {
        std::copy_n(&kept[row * count], count, c_now + row * units);
        std::copy_n(h_before + row * units, count, h_now + row * units);
      });
    };
    forward(threads, net, mask, x, kernel.typed_data(), h, recurrent.typed_data(), y, reverse, half, advance);
  });
}

// The gradients of all arguments of `lstm`, from those of the outputs and of the last h and c.
ffi::Error lstm_gradient(ffi::ThreadPool pool, Mask mask, Array dy, Array dh, Array dc, Array x, Array kernel, Array h,
                         Array c, Array recurrent, Array y, Array cs, Array gates, Out dx, Out dkernel, Out dbias,
                         Out dh0, Out dc0, Out drecurrent, bool reverse, bool half) {
  return guarded(pool, [&](Threads& threads) {
    Net net(x, h, 4, mask);
    int64_t batch = net.batch, time = net.time, features = net.features, units = net.units, width = net.width;
    net.expect_slopes(dx);
    Dims state{batch, units}, outputs{time, batch, units}, across_input{features, width}, across_state{units, width};
    expect_shapes({{"dy", dy.dimensions(), outputs},
                   {"dh", dh.dimensions(), state},
                   {"dc", dc.dimensions(), state},
                   {"kernel", kernel.dimensions(), across_input},
                   {"c", c.dimensions(), state},
                   {"recurrent", recurrent.dimensions(), across_state},
                   {"y", y.dimensions(), outputs},
                   {"cs", cs.dimensions(), outputs},
                   {"gates", gates.dimensions(), {time, batch, width}},
                   {"dkernel", dkernel->dimensions(), across_input},
                   {"dbias", dbias->dimensions(), {width}},
                   {"dh0", dh0->dimensions(), state},
                   {"dc0", dc0->dimensions(), state},
                   {"drecurrent", drecurrent->dimensions(), across_state}});
    Totals totals(threads.parts_of(batch, kLeast), {&dkernel, &dbias, &drecurrent});
    threads.each_of(batch, kLeast, [&](int64_t first, int64_t end, int64_t part_number) {
      int64_t rows = end - first;
      Part part(time, batch, first, rows, reverse, mask);
      int64_t all = part.span * rows, from = first * units, count = rows * units;
      Product across(all, width, features, kernel.typed_data(), true, half);
      Product along(rows, width, units, recurrent.typed_data(), true, half);
      Sum to_kernel(all, features, width, half), to_recurrent(all, units, width, half);
      std::vector<float> to_bias(width, 0.0f), dc_kept(count), dh_kept(count);
      Room slopes(all * width * sizeof(float)), inputs(all * std::max(features, units) * sizeof(float));
      float* dc_now = dc0->typed_data() + from;
      std::copy_n(dc.typed_data() + from, count, dc_now);
      const float* dh_now = dh.typed_data() + from;
      for (int64_t start = part.last_span(); start >= 0; start -= part.span) {
        int64_t steps = part.steps(start);
        std::fill(slopes.floats() + steps * rows * width, slopes.floats() + all * width, 0.0f);
        for (int64_t n = steps - 1; n >= 0; --n) {
          int64_t step = start + n;
          float* dz = slopes.floats() + n * rows * width;
          const float* dy_now = part.in(dy, step);
          part.each_masked(step, [&](int64_t row) {
            for (int64_t at = row * units; at < (row + 1) * units; ++at) {
              dc_kept[at] = dc_now[at];
              dh_kept[at] = dy_now[at] + dh_now[at];
            }
          });
          lstm_step_back(rows, units, part.in(gates, step), part.in(cs, step), part.before(cs, c, step), dy_now, dh_now,
                         dc_now, dz);
          part.each_masked(step, [&](int64_t row) {
            std::fill_n(dz + row * width, width, 0.0f);
            std::copy_n(&dc_kept[row * units], units, dc_now + row * units);
          });
          float* back = along(dz);
          part.each_masked(step, [&](int64_t row) { std::copy_n(&dh_kept[row * units], units, back + row * units); });
          dh_now = back;
        }
        add_rows(all, width, slopes.floats(), to_bias.data());
        gather_states(part, y, h, start, inputs.floats());
        to_recurrent.add(inputs.floats(), slopes.floats());
        gather_inputs(part, x, start, inputs.floats());
        to_kernel.add(inputs.floats(), slopes.floats());
        if (dx->element_count()) scatter_slopes(part, across(slopes.floats()), start, dx);
      }
      std::copy_n(dh_now, count, dh0->typed_data() + from);
      totals.put(part_number, {to_kernel.result(), to_bias.data(), to_recurrent.result()});
    });
    totals.finish();
  });
}

}  // namespace
}  // namespace lamina

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_lstm, lamina::lstm,
                              (lamina::arrays<6, 3>().Attr<bool>("reverse").Attr<bool>("half")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_lstm_gradient, lamina::lstm_gradient,
                              (lamina::arrays<11, 6>().Attr<bool>("reverse").Attr<bool>("half")));
