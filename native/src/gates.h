// The arithmetic of LSTM and GRU cells between their products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "onednn.h"

namespace lamina {

// exp(x) - 1, relatively exact near 0: x = n ln 2 + r, exp(x) - 1 = 2^n (exp(r) - 1) + 2^n - 1.
inline float expm1_of(float x) {
  x = std::min(std::max(x, -87.0f), 87.0f);
  float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounded: 1.5 * 2^23 leaves no bit for a fraction
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float q = 1.0f / 5040;
  for (float next : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2}) q = q * r + next;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power * (r + r * r * q) + (power - 1.0f);
}

inline float sigmoid(float x) { return 1.0f / (2.0f + expm1_of(-x)); }

inline float tanh_of(float x) {
  float t = expm1_of(2.0f * std::min(std::max(x, -10.0f), 10.0f));
  return t / (t + 2.0f);
}

// One step of some rows: z is the input's share of the gates, a the state's. They and gates have 4 parts of `units` a
// row: i, f, g, o.
LAMINA_VECTORS void lstm_step(int64_t rows, int64_t units, const float* z, const float* a, const float* bias,
                              const float* before, float* gates, float* c, float* y) {
  for (int64_t row = 0; row < rows; ++row, z += 4 * units, a += 4 * units, gates += 4 * units) {
#pragma omp simd
    for (int64_t u = 0; u < units; ++u) {
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

// The slopes dz of the gates, and dc of the state before; dh is that of the output.
LAMINA_VECTORS void lstm_step_back(int64_t rows, int64_t units, const float* gates, const float* c,
                                   const float* before, const float* dy, const float* dh, float* dc, float* dz) {
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

// z and a have 3 parts a row: u, r, g. gates keeps u, r, g and what r multiplies.
LAMINA_VECTORS void gru_step(int64_t rows, int64_t units, const float* z, const float* a, const float* bias,
                             const float* inner_bias, const float* before, float* gates, float* y) {
  for (int64_t row = 0; row < rows; ++row, z += 3 * units, a += 3 * units, gates += 4 * units) {
#pragma omp simd
    for (int64_t n = 0; n < units; ++n) {
      auto sum = [&](int64_t at) { return z[at] + bias[at] + (a[at] + inner_bias[at]); };
      float u = sigmoid(sum(n)), r = sigmoid(sum(units + n));
      float inner = a[2 * units + n] + inner_bias[2 * units + n];
      float g = tanh_of(z[2 * units + n] + bias[2 * units + n] + r * inner);
      gates[n] = u, gates[units + n] = r, gates[2 * units + n] = g, gates[3 * units + n] = inner;
      y[row * units + n] = u * before[row * units + n] + (1 - u) * g;
    }
  }
}

// The slopes dz of z and da of a; of the state before, `through` is the part that goes by the product.
LAMINA_VECTORS void gru_step_back(int64_t rows, int64_t units, const float* gates, const float* before,
                                  const float* dy, const float* through, float* dh, float* dz, float* da) {
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

}  // namespace lamina
