// bfloat16: the upper half of a float32.
#pragma once

#include "onednn.h"

namespace lamina {

using Half = uint16_t;

// In half.cc: the speed of products of halves relative to float32; 0 if the processor has no instruction for them.
double half_speed();

inline float widened(Half half) {
  uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Rounds to the nearest half, ties to even; NaN stays NaN.
inline Half narrowed(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof value);
  uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1), nan = bits | 0x400000;
  return static_cast<Half>(((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded) >> 16);
}

// Calls run(of), where of(array) is an array of halves or of floats.
template <typename Run>
auto by_lane(bool half, Run run) {
  return half ? run([](void* array) { return static_cast<Half*>(array); })
              : run([](void* array) { return static_cast<float*>(array); });
}

LAMINA_VECTORS static inline void narrow(int64_t count, const float* from, Half* to) {
#pragma omp simd
  for (int64_t n = 0; n < count; ++n) to[n] = narrowed(from[n]);
}

LAMINA_VECTORS static inline void widen(int64_t count, const Half* from, float* to) {
#pragma omp simd
  for (int64_t n = 0; n < count; ++n) to[n] = widened(from[n]);
}

}  // namespace lamina
