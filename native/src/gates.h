// The functions of the gates, as formulas that the compiler can vectorize.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "onednn.h"

namespace lamina {

// exp(x) - 1 with a small relative error near 0: x = n ln 2 + r, exp(x) - 1 = 2^n (exp(r) - 1) + 2^n - 1.
inline float expm1_of(float x) {
  x = std::min(std::max(x, -87.0f), 87.0f);
  float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23 leaves no bit for a fraction: n is in the last ones
  float n = shifted - 12582912.0f;
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float q = 1.0f / 5040;
  for (float next : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2}) q = q * r + next;
  uint32_t bits;  // of NaN any: there power * r is NaN
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power * (r + r * r * q) + (power - 1.0f);
}

// Exactly 0 far below 0, so that the product with an infinite state is NaN.
inline float sigmoid(float x) { return x <= -87.0f ? 0.0f : 1.0f / (2.0f + expm1_of(-x)); }

inline float tanh_of(float x) {
  float t = expm1_of(2.0f * std::min(std::max(x, -10.0f), 10.0f));
  return t / (t + 2.0f);
}

}  // namespace lamina
