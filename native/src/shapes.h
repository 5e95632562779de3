// Checks that the shapes of a custom call's arrays fit each other, before it reads and writes them.
#pragma once

#include <initializer_list>
#include <stdexcept>

#include "onednn.h"

namespace lamina {

// If they do not fit, the call ends with XLA's error for invalid arguments.
inline void expect(bool holds, const std::string& what) {
  if (!holds) throw std::invalid_argument(what);
}

inline Type type_of(ffi::AnyBuffer& array) {
  auto type = array.element_type();
  expect(type == ffi::DataType::F32 || type == ffi::DataType::BF16, "expected arrays of float32 or bfloat16");
  return type == ffi::DataType::F32 ? Type::f32 : Type::bf16;
}

inline void* at(ffi::AnyBuffer& array, int64_t place) {
  return static_cast<char*>(array.untyped_data()) + place * (type_of(array) == Type::f32 ? 4 : 2);
}

struct Shape {
  const char* name;
  Sizes given;
  Dims expected;
};

inline void expect_shapes(std::initializer_list<Shape> shapes) {
  auto text = [](const auto& sizes) {
    std::string list;
    for (int64_t size : sizes) list += (list.empty() ? "" : ", ") + std::to_string(size);
    return "(" + list + ")";
  };
  for (const Shape& shape : shapes) {
    bool equal = std::equal(shape.given.begin(), shape.given.end(), shape.expected.begin(), shape.expected.end());
    expect(equal, std::string(shape.name) + ": expected " + text(shape.expected) + ", got " + text(shape.given));
  }
}

}  // namespace lamina
