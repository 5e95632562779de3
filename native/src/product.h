// Matrix products on one thread, for use within Threads::each.
#pragma once

#include "cached_product.h"
#include "half.h"

namespace lamina {

// An operand of a product of halves, converted from float32.
class Taken {
 public:
  Taken(int64_t size, bool half) : size_(size), half_(half), room_(half ? size * sizeof(Half) : 0) {}

  void* operator()(const float* data) {
    if (!half_) return const_cast<float*>(data);
    narrow(size_, data, static_cast<Half*>(room_.data()));
    return room_.data();
  }

 private:
  int64_t size_;
  bool half_;
  Room room_;
};

// The product a (rows, inner) x b (inner, columns) for several a and one b. A transposed b is (columns, inner).
// A product of halves is summed in float32, the type of the result.
class Product {
 public:
  Product(int64_t rows, int64_t inner, int64_t columns, const float* b, bool transposed, bool half)
      : rows_(rows),
        inner_(inner),
        columns_(columns),
        taken_(rows * inner, half),
        result_(rows * columns * sizeof(float)) {
    if (!half && cached_product_serves(rows, inner, columns)) {
      packed_ = Room(inner * columns * sizeof(float));
      if (transposed) {
        transpose(b, columns, inner, packed_.floats());
      } else {
        std::copy_n(b, inner * columns, packed_.floats());
      }
      return;
    }
    made_ = primitive(rows, inner, columns, transposed, half);
    packed_ = Room(made_->packed.get_size()), work_ = Room(made_->scratchpad.get_size());
    a_ = dnnl::memory(made_->a, engine(), nullptr);
    b_ = dnnl::memory(made_->packed, engine(), packed_.data());
    y_ = dnnl::memory(made_->y, engine(), result_.data());
    scratchpad_ = dnnl::memory(made_->scratchpad, engine(), work_.data());
    dnnl::memory given(made_->given, engine(), const_cast<float*>(b));
    made_->pack.execute(stream(), given, b_);
  }

  // The result is valid until the next call.
  float* operator()(const float* a) {
    if (made_) {
      a_.set_data_handle(taken_(a));
      made_->run.execute(
          stream(),
          {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, y_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}});
    } else {
      product({a, inner_, 1, packed_.floats(), columns_}, rows_, inner_, columns_, result_.floats(), columns_, false);
    }
    return result_.floats();
  }

 private:
  struct Made {
    dnnl::matmul run;
    dnnl::reorder pack;
    dnnl::memory::desc a, given, packed, y, scratchpad;
  };

  static std::shared_ptr<const Made> primitive(int64_t rows, int64_t inner, int64_t columns, bool transposed,
                                               bool half) {
    static auto& cache = *new Cache<Made>;
    return cache.get({rows, inner, columns, transposed, half}, [&] {
      using Desc = dnnl::memory::desc;
      Type type = half ? Type::bf16 : Type::f32;
      dnnl::matmul::primitive_desc desc(engine(), Desc({rows, inner}, type, Dims{inner, 1}),
                                        Desc({inner, columns}, type, dnnl::memory::format_tag::any),
                                        Desc({rows, columns}, Type::f32, Dims{columns, 1}), with_own_scratchpad());
      Desc given({inner, columns}, Type::f32, transposed ? Dims{1, inner} : Dims{columns, 1});
      dnnl::reorder pack(dnnl::reorder::primitive_desc(engine(), given, engine(), desc.weights_desc()));
      return Made{dnnl::matmul(desc),    pack, desc.src_desc(), given, desc.weights_desc(), desc.dst_desc(),
                  desc.scratchpad_desc()};
    });
  }

  int64_t rows_, inner_, columns_;
  std::shared_ptr<const Made> made_;  // null if our own product is faster
  Taken taken_;
  Room result_, packed_{0}, work_{0};
  dnnl::memory a_, b_, y_, scratchpad_;
};

// A sum of products a^T (columns of a, rows) x b (rows, columns of b).
class Sum {
 public:
  Sum(int64_t rows, int64_t a_columns, int64_t b_columns, bool half)
      : made_(primitive(rows, a_columns, b_columns, half)),
        taken_a_(rows * a_columns, half),
        taken_b_(rows * b_columns, half),
        work_(made_->scratchpad.get_size()),
        result_(made_->y.get_size()),
        a_(made_->a, engine(), nullptr),
        b_(made_->b, engine(), nullptr),
        y_(made_->y, engine(), result_.data()),
        scratchpad_(made_->scratchpad, engine(), work_.data()) {
    std::memset(result_.data(), 0, made_->y.get_size());
  }

  void add(const float* a, const float* b) {
    a_.set_data_handle(taken_a_(a));
    b_.set_data_handle(taken_b_(b));
    made_->run.execute(
        stream(), {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, y_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}});
  }

  const float* result() const { return result_.floats(); }

 private:
  struct Made {
    dnnl::matmul run;
    dnnl::memory::desc a, b, y, scratchpad;
  };

  static std::shared_ptr<const Made> primitive(int64_t rows, int64_t a_columns, int64_t b_columns, bool half) {
    static auto& cache = *new Cache<Made>;
    return cache.get({rows, a_columns, b_columns, half}, [&] {
      Type type = half ? Type::bf16 : Type::f32;
      using Desc = dnnl::memory::desc;
      dnnl::post_ops sum;
      sum.append_sum();
      auto attr = with_own_scratchpad();
      attr.set_post_ops(sum);
      dnnl::matmul::primitive_desc desc(engine(), Desc({a_columns, rows}, type, Dims{1, a_columns}),
                                        Desc({rows, b_columns}, type, Dims{b_columns, 1}),
                                        Desc({a_columns, b_columns}, Type::f32, Dims{b_columns, 1}), attr);
      return Made{dnnl::matmul(desc), desc.src_desc(), desc.weights_desc(), desc.dst_desc(), desc.scratchpad_desc()};
    });
  }

  std::shared_ptr<const Made> made_;
  Taken taken_a_, taken_b_;
  Room work_, result_;
  dnnl::memory a_, b_, y_, scratchpad_;
};

}  // namespace lamina
