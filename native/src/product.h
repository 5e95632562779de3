// Matrix products by one thread, within Threads::each.
#pragma once

#include "onednn.h"

namespace lamina {

// a (rows, inner) x b (inner, columns) with b always the same; it lies (columns, inner) where it is transposed.
class Product {
 public:
  Product(int64_t rows, int64_t inner, int64_t columns, const float* b, bool transposed)
      : made_(primitive(rows, inner, columns, transposed)),
        work_(made_->scratchpad.get_size()),
        packed_(made_->packed.get_size()),
        result_(made_->y.get_size()),
        a_(made_->a, engine(), nullptr),
        b_(made_->packed, engine(), packed_.data()),
        y_(made_->y, engine(), result_.data()),
        scratchpad_(made_->scratchpad, engine(), work_.data()) {
    dnnl::memory given(made_->given, engine(), const_cast<float*>(b));
    made_->pack.execute(stream(), given, b_);
  }

  // The result stays as it is until the next call.
  float* operator()(const float* a) {
    a_.set_data_handle(const_cast<float*>(a));
    made_->run.execute(
        stream(), {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, y_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}});
    return result_.floats();
  }

 private:
  struct Made {
    dnnl::matmul run;
    dnnl::reorder pack;
    dnnl::memory::desc a, given, packed, y, scratchpad;
  };

  static std::shared_ptr<const Made> primitive(int64_t rows, int64_t inner, int64_t columns, bool transposed) {
    static auto& cache = *new Cache<Made>;
    return cache.get({rows, inner, columns, transposed}, [&] {
      using Desc = dnnl::memory::desc;
      dnnl::matmul::primitive_desc desc(engine(), Desc({rows, inner}, Type::f32, Dims{inner, 1}),
                                        Desc({inner, columns}, Type::f32, dnnl::memory::format_tag::any),
                                        Desc({rows, columns}, Type::f32, Dims{columns, 1}), attributes());
      Desc given({inner, columns}, Type::f32, transposed ? Dims{1, inner} : Dims{columns, 1});
      dnnl::reorder pack(dnnl::reorder::primitive_desc(engine(), given, engine(), desc.weights_desc()));
      return Made{dnnl::matmul(desc),    pack, desc.src_desc(), given, desc.weights_desc(), desc.dst_desc(),
                  desc.scratchpad_desc()};
    });
  }

 protected:
  static dnnl::primitive_attr attributes() {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attr;
  }
  friend class Sum;

 private:
  std::shared_ptr<const Made> made_;
  Room work_, packed_, result_;
  dnnl::memory a_, b_, y_, scratchpad_;
};

// The sum of products a^T (columns of a, rows) x b (rows, columns of b).
class Sum {
 public:
  Sum(int64_t rows, int64_t a_columns, int64_t b_columns)
      : made_(primitive(rows, a_columns, b_columns)),
        work_(made_->scratchpad.get_size()),
        result_(made_->y.get_size()),
        a_(made_->a, engine(), nullptr),
        b_(made_->b, engine(), nullptr),
        y_(made_->y, engine(), result_.data()),
        scratchpad_(made_->scratchpad, engine(), work_.data()) {
    std::memset(result_.data(), 0, made_->y.get_size());
  }

  void add(const float* a, const float* b) {
    a_.set_data_handle(const_cast<float*>(a));
    b_.set_data_handle(const_cast<float*>(b));
    made_->run.execute(
        stream(), {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, y_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}});
  }

  const float* result() const { return result_.floats(); }

 private:
  struct Made {
    dnnl::matmul run;
    dnnl::memory::desc a, b, y, scratchpad;
  };

  static std::shared_ptr<const Made> primitive(int64_t rows, int64_t a_columns, int64_t b_columns) {
    static auto& cache = *new Cache<Made>;
    return cache.get({rows, a_columns, b_columns}, [&] {
      using Desc = dnnl::memory::desc;
      dnnl::post_ops sum;
      sum.append_sum();
      auto attr = Product::attributes();
      attr.set_post_ops(sum);
      dnnl::matmul::primitive_desc desc(engine(), Desc({a_columns, rows}, Type::f32, Dims{1, a_columns}),
                                        Desc({rows, b_columns}, Type::f32, Dims{b_columns, 1}),
                                        Desc({a_columns, b_columns}, Type::f32, Dims{b_columns, 1}), attr);
      return Made{dnnl::matmul(desc), desc.src_desc(), desc.weights_desc(), desc.dst_desc(), desc.scratchpad_desc()};
    });
  }

  std::shared_ptr<const Made> made_;
  Room work_, result_;
  dnnl::memory a_, b_, y_, scratchpad_;
};

}  // namespace lamina
