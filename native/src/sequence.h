// The common parts of LSTM and GRU over whole sequences. The rows of a batch are independent, so each thread computes
// all steps of some rows with products of its own, and no thread waits for another (for few rows see by_units.h). The
// products of the input with its kernel are not sequential. They are computed for a span of steps that fits the cache.
#pragma once

#include "gates.h"
#include "onednn.h"
#include "product.h"
#include "shapes.h"

namespace lamina {

using Array = ffi::Buffer<ffi::F32>;
using Mask = ffi::Buffer<ffi::PRED>;  // (time, batch), or empty if all steps count
using Out = ffi::Result<Array>;

constexpr int64_t kRows = 128;  // so many rows make a product efficient

inline int64_t least(int64_t a, int64_t b) { return std::min(a, b); }

// The sizes of a recurrent net. `width` is the width of its gates.
struct Net {
  int64_t batch, time, features, units, width;

  Net(Array& x, Array& h, int64_t gates, Mask& mask) {
    auto of_x = x.dimensions(), of_h = h.dimensions();
    expect(of_x.size() == 3 && of_h.size() == 2, "expected 3 axes of x and 2 of h");
    batch = of_x[0], time = of_x[1], features = of_x[2], units = of_h[1], width = gates * units;
    expect(batch > 0 && time > 0 && features > 0 && units > 0, "expected no array without elements");
    expect_shapes({{"h", of_h, {batch, units}}});
    if (mask.element_count()) expect_shapes({{"mask", mask.dimensions(), {time, batch}}});
  }

  // The arrays for each step, or for one step only.
  Dims kept(Out& out, int64_t size) const {
    auto given = out->dimensions();
    return {given.size() && given[0] == 1 ? 1 : time, batch, size};
  }
  // The gradient of x; empty if it is not needed.
  void expect_slopes(Out& dx) const {
    if (dx->element_count()) expect_shapes({{"dx", dx->dimensions(), {batch, time, features}}});
  }
};

// The rows of one thread.
struct Part {
  int64_t time, batch, first, rows, span;
  bool reverse;
  const bool* mask;

  Part(int64_t time, int64_t batch, int64_t first, int64_t rows, bool reverse, Mask& mask)
      : time(time),
        batch(batch),
        first(first),
        rows(rows),
        span(least(time, (kRows + rows - 1) / rows)),
        reverse(reverse),
        mask(mask.element_count() ? mask.typed_data() : nullptr) {}

  int64_t at(int64_t step) const { return reverse ? time - 1 - step : step; }
  int64_t steps(int64_t start) const { return least(span, time - start); }  // in the span that begins at `start`
  int64_t last_span() const { return (time - 1) / span * span; }

  // Calls run(row) for each row that is masked at a step. Such a row keeps its states.
  template <typename Run>
  void each_masked(int64_t step, Run run) const {
    for (int64_t row = 0; mask && row < rows; ++row) {
      if (!mask[at(step) * batch + first + row]) run(row);
    }
  }

  // The rows at a step of data (time, batch, width). If only one step is kept, the data are (1, batch, width).
  template <typename Buffer>
  float* in(Buffer& data, int64_t step) const {
    auto shape = data.dimensions();
    return data.typed_data() + ((shape[0] > 1 ? at(step) * batch : 0) + first) * shape[2];
  }
  // The rows before a step; before the first step they are those of `start`, (batch, width).
  template <typename Buffer>
  float* before(Buffer& data, Array& start, int64_t step) const {
    return step ? in(data, step - 1) : start.typed_data() + first * start.dimensions()[1];
  }
};

// The inputs of the steps of a span, (span * rows, features), with zeros after the last step; x is (batch, time,
// features).
inline void gather_inputs(const Part& part, Array& x, int64_t start, float* to) {
  int64_t features = x.dimensions()[2], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n) {
    const float* from = x.typed_data() + (part.first * part.time + part.at(start + n)) * features;
    for (int64_t row = 0; row < part.rows; ++row, to += features) {
      std::copy_n(from + row * part.time * features, features, to);
    }
  }
  std::fill_n(to, (part.span - steps) * part.rows * features, 0.0f);
}

// The reverse, into dx, which has the shape of x.
inline void scatter_slopes(const Part& part, const float* from, int64_t start, Out& dx) {
  int64_t features = dx->dimensions()[2], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n) {
    float* to = dx->typed_data() + (part.first * part.time + part.at(start + n)) * features;
    for (int64_t row = 0; row < part.rows; ++row, from += features) {
      std::copy_n(from, features, to + row * part.time * features);
    }
  }
}

// The states before the steps of a span, (span * rows, units).
inline void gather_states(const Part& part, Array& y, Array& h, int64_t start, float* to) {
  int64_t size = part.rows * h.dimensions()[1], steps = part.steps(start);
  for (int64_t n = 0; n < steps; ++n, to += size) std::copy_n(part.before(y, h, start + n), size, to);
  std::fill_n(to, (part.span - steps) * size, 0.0f);
}

inline void add_rows(int64_t rows, int64_t width, const float* from, float* to) {
  for (int64_t row = 0; row < rows; ++row, from += width) add(width, 1.0f, from, to);
}

// The fewest rows of a thread.
constexpr int64_t kLeast = 4;

// The sums of all threads, added in the order of the threads.
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

// The signature of a handler: XLA's threads, a mask, and numbers of float32 arguments and results.
template <size_t arguments, size_t results>
auto arrays() {
  if constexpr (results > 0) {
    return arrays<arguments, results - 1>().template Ret<Array>();
  } else if constexpr (arguments > 0) {
    return arrays<arguments - 1, 0>().template Arg<Array>();
  } else {
    return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Mask>();
  }
}

}  // namespace lamina
