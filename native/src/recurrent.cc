// LSTM and GRU over whole sequences. Rows of a batch do not meet: each thread takes its part of them through all steps
// with products of its own, and no thread waits for another. What is not sequential, the products with the input and
// with its kernel, is done for a span of steps at once, while their rows are in the cache.
#include <exception>

#include "gates.h"
#include "onednn.h"
#include "product.h"

namespace lamina {
namespace {

using Array = ffi::Buffer<ffi::F32>;
using Out = ffi::Result<Array>;

constexpr int64_t kRows = 128;  // so many rows make a product efficient

int64_t least(int64_t a, int64_t b) { return std::min(a, b); }

// One thread's rows of a sequence.
struct Part {
  int64_t time, batch, first, rows, span;
  bool reverse;

  Part(int64_t time, int64_t batch, int64_t first, int64_t rows, bool reverse)
      : time(time),
        batch(batch),
        first(first),
        rows(rows),
        span(least(time, (kRows + rows - 1) / rows)),
        reverse(reverse) {}

  int64_t at(int64_t step) const { return reverse ? time - 1 - step : step; }
  int64_t steps(int64_t start) const { return least(span, time - start); }  // of the span that begins there
  int64_t last_span() const { return (time - 1) / span * span; }

  // The rows at a step of data (time, batch, width). Where one step alone is kept, the data are (1, batch, width).
  template <typename Buffer>
  float* in(Buffer& data, int64_t step) const {
    auto shape = data.dimensions();
    return data.typed_data() + ((shape[0] > 1 ? at(step) * batch : 0) + first) * shape[2];
  }
  // Those before a step; before the first one they are start's, (batch, width).
  template <typename Buffer>
  float* before(Buffer& data, Array& start, int64_t step) const {
    return step ? in(data, step - 1) : start.typed_data() + first * start.dimensions()[1];
  }
};

// What goes into the steps of a span, (span * rows, features), zeros where the span has no step; x is (batch, time,
// features).
void gather_inputs(const Part& part, Array& x, int64_t start, float* to) {
  int64_t features = x.dimensions()[2], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n) {
    const float* from = x.typed_data() + (part.first * part.time + part.at(start + n)) * features;
    for (int64_t row = 0; row < part.rows; ++row, to += features) {
      std::copy_n(from + row * part.time * features, features, to);
    }
  }
  std::fill_n(to, (part.span - steps) * part.rows * features, 0.0f);
}

// The way back, into dx of x's shape.
void scatter_slopes(const Part& part, const float* from, int64_t start, Out& dx) {
  int64_t features = dx->dimensions()[2], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n) {
    float* to = dx->typed_data() + (part.first * part.time + part.at(start + n)) * features;
    for (int64_t row = 0; row < part.rows; ++row, from += features) {
      std::copy_n(from, features, to + row * part.time * features);
    }
  }
}

// The states before the steps of a span, (span * rows, units).
void gather_states(const Part& part, Array& y, Array& h, int64_t start, float* to) {
  int64_t size = part.rows * h.dimensions()[1], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n, to += size) std::copy_n(part.before(y, h, start + n), size, to);
  std::fill_n(to, (part.span - steps) * size, 0.0f);
}

void add_rows(int64_t rows, int64_t width, const float* from, float* to) {
  for (int64_t row = 0; row < rows; ++row, from += width) add(width, 1.0f, from, to);
}

// run(first, rows, part) for parts of the batch, one a thread; at most `threads_for(batch)` parts.
int64_t threads_for(int64_t batch) { return least(omp_get_max_threads(), (batch + 3) / 4); }

template <typename Run>
void share(int64_t batch, Run run) {
  std::exception_ptr failed;
#pragma omp parallel num_threads(static_cast<int>(threads_for(batch)))
  {
    int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t first = batch * thread / threads, end = batch * (thread + 1) / threads;
    try {
      if (end > first) run(first, end - first, thread);
    } catch (...) {
#pragma omp critical
      failed = std::current_exception();
    }
  }
  if (failed) std::rethrow_exception(failed);
}

// What each thread has summed up, added in the threads' order.
class Totals {
 public:
  Totals(int64_t threads, std::vector<Out*> outs) : outs_(std::move(outs)), parts_(threads) {}

  void put(int64_t thread, std::vector<const float*> sums) {
    for (size_t n = 0; n < sums.size(); ++n) {
      parts_[thread].emplace_back(sums[n], sums[n] + (*outs_[n])->element_count());
    }
  }
  void finish() {
    for (size_t n = 0; n < outs_.size(); ++n) {
      float* out = (*outs_[n])->typed_data();
      int64_t size = (*outs_[n])->element_count();
      std::fill(out, out + size, 0.0f);
      for (auto& part : parts_) {
        if (!part.empty()) add(size, 1.0f, part[n].data(), out);
      }
    }
  }

 private:
  std::vector<Out*> outs_;
  std::vector<std::vector<std::vector<float>>> parts_;
};

// x (batch, time, features), kernel (features, 4 units), bias (4 units,), h and c (batch, units),
// recurrent (units, 4 units) -> y, the carries cs (time, batch, units) and gates (time, batch, 4 units)
ffi::Error lstm(Array x, Array kernel, Array bias, Array h, Array c, Array recurrent, Out y, Out cs, Out gates,
                bool reverse) {
  return guarded([&] {
    int64_t batch = x.dimensions()[0], time = x.dimensions()[1], features = x.dimensions()[2];
    int64_t units = h.dimensions()[1], width = 4 * units;
    share(batch, [&](int64_t first, int64_t rows, int64_t) {
      Part part(time, batch, first, rows, reverse);
      Product across(part.span * rows, features, width, kernel.typed_data(), false);
      Product along(rows, units, width, recurrent.typed_data(), false);
      Room inputs(part.span * rows * features * sizeof(float));
      for (int64_t start = 0; start < time; start += part.span) {
        gather_inputs(part, x, start, inputs.floats());
        const float* z = across(inputs.floats());
        for (int64_t n = 0; n < part.steps(start); ++n, z += rows * width) {
          int64_t step = start + n;
          lstm_step(rows, units, z, along(part.before(*y, h, step)), bias.typed_data(), part.before(*cs, c, step),
                    part.in(*gates, step), part.in(*cs, step), part.in(*y, step));
        }
      }
    });
  });
}

// The gradients of all that `lstm` takes, from those of the outputs and of the last h and c.
ffi::Error lstm_gradient(Array dy, Array dh, Array dc, Array x, Array kernel, Array h, Array c, Array recurrent,
                         Array y, Array cs, Array gates, Out dx, Out dkernel, Out dbias, Out dh0, Out dc0,
                         Out drecurrent, bool reverse) {
  return guarded([&] {
    int64_t batch = x.dimensions()[0], time = x.dimensions()[1], features = x.dimensions()[2];
    int64_t units = h.dimensions()[1], width = 4 * units;
    Totals totals(threads_for(batch), {&dkernel, &dbias, &drecurrent});
    share(batch, [&](int64_t first, int64_t rows, int64_t thread) {
      Part part(time, batch, first, rows, reverse);
      int64_t all = part.span * rows, from = first * units, count = rows * units;
      Product across(all, width, features, kernel.typed_data(), true);
      Product along(rows, width, units, recurrent.typed_data(), true);
      Sum to_kernel(all, features, width), to_recurrent(all, units, width);
      std::vector<float> to_bias(width, 0.0f);
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
          lstm_step_back(rows, units, part.in(gates, step), part.in(cs, step), part.before(cs, c, step),
                         part.in(dy, step), dh_now, dc_now, dz);
          dh_now = along(dz);
        }
        add_rows(all, width, slopes.floats(), to_bias.data());
        gather_states(part, y, h, start, inputs.floats());
        to_recurrent.add(inputs.floats(), slopes.floats());
        gather_inputs(part, x, start, inputs.floats());
        to_kernel.add(inputs.floats(), slopes.floats());
        if (dx->element_count()) scatter_slopes(part, across(slopes.floats()), start, dx);
      }
      std::copy_n(dh_now, count, dh0->typed_data() + from);
      totals.put(thread, {to_kernel.result(), to_bias.data(), to_recurrent.result()});
    });
    totals.finish();
  });
}

// As `lstm`, with 3 parts for 4 and a second bias, that of the product with the state.
ffi::Error gru(Array x, Array kernel, Array bias, Array h, Array recurrent, Array inner_bias, Out y, Out gates,
               bool reverse) {
  return guarded([&] {
    int64_t batch = x.dimensions()[0], time = x.dimensions()[1], features = x.dimensions()[2];
    int64_t units = h.dimensions()[1], width = 3 * units;
    share(batch, [&](int64_t first, int64_t rows, int64_t) {
      Part part(time, batch, first, rows, reverse);
      Product across(part.span * rows, features, width, kernel.typed_data(), false);
      Product along(rows, units, width, recurrent.typed_data(), false);
      Room inputs(part.span * rows * features * sizeof(float));
      for (int64_t start = 0; start < time; start += part.span) {
        gather_inputs(part, x, start, inputs.floats());
        const float* z = across(inputs.floats());
        for (int64_t n = 0; n < part.steps(start); ++n, z += rows * width) {
          const float* before = part.before(*y, h, start + n);
          gru_step(rows, units, z, along(before), bias.typed_data(), inner_bias.typed_data(), before,
                   part.in(*gates, start + n), part.in(*y, start + n));
        }
      }
    });
  });
}

ffi::Error gru_gradient(Array dy, Array dh, Array x, Array kernel, Array h, Array recurrent, Array y, Array gates,
                        Out dx, Out dkernel, Out dbias, Out dh0, Out drecurrent, Out dinner, bool reverse) {
  return guarded([&] {
    int64_t batch = x.dimensions()[0], time = x.dimensions()[1], features = x.dimensions()[2];
    int64_t units = h.dimensions()[1], width = 3 * units;
    Totals totals(threads_for(batch), {&dkernel, &dbias, &drecurrent, &dinner});
    share(batch, [&](int64_t first, int64_t rows, int64_t thread) {
      Part part(time, batch, first, rows, reverse);
      int64_t all = part.span * rows, count = rows * units;
      Product across(all, width, features, kernel.typed_data(), true);
      Product along(rows, width, units, recurrent.typed_data(), true);
      Sum to_kernel(all, features, width), to_recurrent(all, units, width);
      std::vector<float> to_bias(width, 0.0f), to_inner(width, 0.0f), none(count, 0.0f);
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
          gru_step_back(rows, units, part.in(gates, step), part.before(y, h, step), part.in(dy, step), through,
                        dh_now, slopes.floats() + at, inner.floats() + at);
          through = along(inner.floats() + at);
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
      totals.put(thread, {to_kernel.result(), to_bias.data(), to_recurrent.result(), to_inner.data()});
    });
    totals.finish();
  });
}

// What a handler takes and gives: so many float32 arrays.
template <size_t arguments, size_t results>
auto arrays() {
  if constexpr (results > 0) {
    return arrays<arguments, results - 1>().template Ret<Array>();
  } else if constexpr (arguments > 0) {
    return arrays<arguments - 1, 0>().template Arg<Array>();
  } else {
    return ffi::Ffi::Bind();
  }
}

}  // namespace
}  // namespace lamina

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_lstm, lamina::lstm, (lamina::arrays<6, 3>().Attr<bool>("reverse")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_lstm_gradient, lamina::lstm_gradient, (lamina::arrays<11, 6>().Attr<bool>("reverse")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_gru, lamina::gru, (lamina::arrays<6, 2>().Attr<bool>("reverse")));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_gru_gradient, lamina::gru_gradient, (lamina::arrays<8, 6>().Attr<bool>("reverse")));
