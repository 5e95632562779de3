// A matrix product a (rows, inner) x b (inner, columns) -> y (rows, columns), with sums in float32. a and b are both
// float32 or both bfloat16; in the latter case y may be either.
#include <cmath>

#include "few_rows.h"
#include "onednn.h"
#include "shapes.h"

namespace lamina {
namespace {

// The part of one thread, and the distances between the rows of the whole arrays.
struct Part {
  int64_t rows, inner, columns;
  bool a_turned, b_turned;  // a turned one lies (inner, rows), or (columns, inner)
  int64_t a_step, b_step, y_step;
  Type taken, given;
};

struct Made {
  dnnl::matmul run;
  dnnl::memory::desc a, b, y, scratchpad;
};

Made make(const Part& part) {
  using Desc = dnnl::memory::desc;
  auto steps = [](bool turned, int64_t step) { return turned ? Dims{1, step} : Dims{step, 1}; };
  Desc a({part.rows, part.inner}, part.taken, steps(part.a_turned, part.a_step));
  Desc b({part.inner, part.columns}, part.taken, steps(part.b_turned, part.b_step));
  Desc y({part.rows, part.columns}, part.given, Dims{part.y_step, 1});
  dnnl::matmul::primitive_desc desc(engine(), a, b, y, with_own_scratchpad());
  return {dnnl::matmul(desc), a, b, y, desc.scratchpad_desc()};
}

void compute(const Part& part, void* a, void* b, void* y) {
  static auto& cache = *new Cache<Made>;
  auto made = cache.get({part.rows, part.inner, part.columns, part.a_turned, part.b_turned, part.a_step, part.b_step,
                         part.y_step, static_cast<int64_t>(part.taken), static_cast<int64_t>(part.given)},
                        [&] { return make(part); });
  Room work(made->scratchpad.get_size());
  made->run.execute(stream(), {{DNNL_ARG_SRC, {made->a, engine(), a}},
                               {DNNL_ARG_WEIGHTS, {made->b, engine(), b}},
                               {DNNL_ARG_DST, {made->y, engine(), y}},
                               {DNNL_ARG_SCRATCHPAD, {made->scratchpad, engine(), work.data()}}});
  stream().wait();
}

using Array = ffi::AnyBuffer;

constexpr int64_t kBlock = 64;      // the rows or columns of a part are a multiple of this
constexpr double kLeast = 1 << 20;  // the fewest multiply-adds for which a second thread pays

ffi::Error matmul(ffi::ThreadPool pool, Array a, Array b, ffi::Result<Array> y, bool a_turned, bool b_turned) {
  return guarded(pool, [&](Threads& threads) {
    auto of_a = a.dimensions(), of_b = b.dimensions(), of_y = y->dimensions();
    expect(of_a.size() == 2 && of_b.size() == 2 && of_y.size() == 2, "expected matrices");
    int64_t rows = of_a[a_turned], inner = of_a[!a_turned], columns = of_b[!b_turned];
    expect(rows > 0 && inner > 0 && columns > 0, "expected no array without elements");
    expect_shapes({{"b", of_b, b_turned ? Dims{columns, inner} : Dims{inner, columns}}, {"y", of_y, {rows, columns}}});
    Type taken = type_of(a), given = type_of(*y);
    expect(type_of(b) == taken && (given == taken || given == Type::f32), "expected arrays of one type");
    bool plain = taken == Type::f32 && given == Type::f32 && !a_turned && b_turned && has_512();
    if (plain && rows >= kFewest && rows <= kMostRows) {
      few_rows(threads, rows, inner, columns, static_cast<float*>(a.untyped_data()),
               static_cast<float*>(b.untyped_data()), static_cast<float*>(y->untyped_data()));
      return;
    }
    bool by_columns = columns >= rows;
    int64_t size = by_columns ? columns : rows, blocks = (size + kBlock - 1) / kBlock;
    double work = static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
    auto least = static_cast<int64_t>(std::ceil(kLeast * static_cast<double>(blocks) / work));
    threads.each_of(blocks, least, [&](int64_t first, int64_t end, int64_t) {
      first *= kBlock, end = std::min(end * kBlock, size);
      int64_t row = by_columns ? 0 : first, column = by_columns ? first : 0;
      Part part{by_columns ? rows : end - first,
                inner,
                by_columns ? end - first : columns,
                a_turned,
                b_turned,
                of_a[1],
                of_b[1],
                columns,
                taken,
                given};
      compute(part, at(a, row * (a_turned ? 1 : inner)), at(b, column * (b_turned ? inner : 1)),
              at(*y, row * columns + column));
    });
  });
}

}  // namespace
}  // namespace lamina

XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_matmul, lamina::matmul,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<lamina::Array>()
                                  .Arg<lamina::Array>()
                                  .Ret<lamina::Array>()
                                  .Attr<bool>("a_turned")
                                  .Attr<bool>("b_turned"));
