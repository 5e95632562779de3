// Vectors of 16 elements, and how they are read and written.
#pragma once

#include "half.h"

#define LAMINA_INLINE __attribute__((always_inline))

namespace lamina {

// 16 elements, a vector of 64 bytes. Comparisons use integers, because GCC has vectors of these for each width.
constexpr int64_t kLanes = 16;
using Floats = float __attribute__((vector_size(4 * kLanes)));
using Ints = int32_t __attribute__((vector_size(4 * kLanes)));
using Halves = Half __attribute__((vector_size(2 * kLanes)));
using Shorts = int16_t __attribute__((vector_size(2 * kLanes)));
template <typename Lane>
using Vector =
    std::conditional_t<sizeof(Lane) == 4, Ints, std::conditional_t<std::is_same_v<Lane, Half>, Halves, Shorts>>;

// Converts lanes to 32-bit integers and back: floats by their bits, halves by the bits of the float, places by value.
template <typename Lane>
LAMINA_INLINE inline Ints loaded(const Lane* from) {
  Vector<Lane> vector;
  std::memcpy(&vector, from, sizeof vector);
  Ints ints = __builtin_convertvector(vector, Ints);
  return std::is_same_v<Lane, Half> ? ints << 16 : ints;
}

template <typename Lane>
LAMINA_INLINE inline void store(Ints ints, Lane* to) {
  auto vector = __builtin_convertvector(std::is_same_v<Lane, Half> ? ints >> 16 : ints, Vector<Lane>);
  std::memcpy(to, &vector, sizeof vector);
}

// Calls run(first) for all channels, in runs of kLanes. The last run may overlap the one before.
template <typename Run>
LAMINA_INLINE inline void in_lanes(int64_t channels, Run run) {
  for (int64_t n = 0; n < channels; n += kLanes) run(std::min(n, channels - kLanes));
}

template <typename Lane>
LAMINA_INLINE inline Floats floats_at(const Lane* from) {
  return reinterpret_cast<Floats>(loaded(from));
}
LAMINA_INLINE inline void put(Floats floats, float* to) { store(reinterpret_cast<Ints>(floats), to); }
LAMINA_INLINE inline void put(Floats floats, Half* to) {  // as `narrowed`
  Ints bits = reinterpret_cast<Ints>(floats), even = (bits >> 16) & 1;
  store((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : bits + 0x7fff + even, to);
}

}  // namespace lamina
