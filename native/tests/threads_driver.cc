// Calls every handler from four threads at once, as XLA does: the threads share a pool, the caches and the kept memory.
// Each call must give what it gives alone. ThreadSanitizer, with which `make sanitized` builds this, tells of accesses
// to memory that nothing puts in order.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "xla/ffi/api/c_api.h"

#define LAMINA_HANDLERS(each)                                                                                         \
  each(convolution) each(convolution_input_gradient) each(convolution_kernel_gradient) each(convolution_pooled)       \
  each(convolution_pooled_input_gradient) each(convolution_pooled_kernel_gradient) each(put_back) each(lstm)          \
  each(lstm_gradient) each(gru) each(gru_gradient) each(matmul) each(moments) each(moment_slopes)                     \
  each(normalization_pooled) each(normalization_pooled_gradient)
#define LAMINA_DECLARE(name) extern "C" XLA_FFI_Error* lamina_##name(XLA_FFI_CallFrame*);
LAMINA_HANDLERS(LAMINA_DECLARE)
extern "C" double lamina_half_speed();

#ifdef __SANITIZE_THREAD__
// OpenMP's threads, which oneDNN wakes up by itself, wait for each other in a way that the sanitizer does not see.
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libdnnl.so\n"; }
#endif

struct XLA_FFI_Error {
  std::string message;
};

namespace {

constexpr int kCallers = 4, kHelpers = 3, kRounds = 6;

// XLA's pool of threads.
class Pool {
 public:
  Pool() {
    for (int helper = 0; helper < kHelpers; ++helper) threads_.emplace_back([this] { run(); });
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> guard(lock_);
      ended_ = true;
    }
    came_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  void add(XLA_FFI_Task* task, void* data) {
    {
      std::lock_guard<std::mutex> guard(lock_);
      tasks_.push_back({task, data});
    }
    came_.notify_one();
  }

 private:
  void run() {
    for (;;) {
      std::unique_lock<std::mutex> guard(lock_);
      came_.wait(guard, [this] { return ended_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto [task, data] = tasks_.front();
      tasks_.pop_front();
      guard.unlock();
      task(data);
    }
  }
  std::mutex lock_;
  std::condition_variable came_;
  std::deque<std::pair<XLA_FFI_Task*, void*>> tasks_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

Pool* pool;

const XLA_FFI_Api& api() {
  static const XLA_FFI_Api made = [] {
    XLA_FFI_Api api{};
    api.struct_size = XLA_FFI_Api_STRUCT_SIZE;
    api.api_version = {XLA_FFI_Api_Version_STRUCT_SIZE, nullptr, XLA_FFI_API_MAJOR, XLA_FFI_API_MINOR};
    api.XLA_FFI_Error_Create = [](XLA_FFI_Error_Create_Args* args) { return new XLA_FFI_Error{args->message}; };
    api.XLA_FFI_Error_Destroy = [](XLA_FFI_Error_Destroy_Args* args) { delete args->error; };
    api.XLA_FFI_ThreadPool_Schedule = [](XLA_FFI_ThreadPool_Schedule_Args* args) -> XLA_FFI_Error* {
      pool->add(args->task, args->data);
      return nullptr;
    };
    api.XLA_FFI_ThreadPool_NumThreads = [](XLA_FFI_ThreadPool_NumThreads_Args* args) -> XLA_FFI_Error* {
      *args->num_threads = kHelpers;
      return nullptr;
    };
    return api;
  }();
  return made;
}

using Shape = std::vector<int64_t>;

struct Array {
  Shape shape;
  XLA_FFI_DataType type = XLA_FFI_DataType_F32;
  std::vector<char> bytes{};

  Array(Shape shape, XLA_FFI_DataType type = XLA_FFI_DataType_F32) : shape(std::move(shape)), type(type) {
    int64_t size = type == XLA_FFI_DataType_S16 ? 2 : type == XLA_FFI_DataType_PRED ? 1 : 4;
    bytes.resize(size * std::accumulate(this->shape.begin(), this->shape.end(), int64_t{1}, std::multiplies<>()));
  }
  Array filled(uint32_t seed) const {  // with numbers from -1 to 1
    Array array = *this;
    auto* floats = reinterpret_cast<float*>(array.bytes.data());
    for (size_t n = 0; n < array.bytes.size() / 4; ++n) {
      seed = seed * 1664525u + 1013904223u;
      floats[n] = static_cast<float>(seed >> 8) / (1 << 23) - 1;
    }
    return array;
  }
};

using Value = std::variant<bool, int64_t, Shape>;

struct Call {
  const char* name;
  XLA_FFI_Handler* handler;
  std::vector<Array> given, made;
  std::map<std::string, Value> settings;

  // Runs the handler, which writes to `made`.
  void run() {
    std::vector<XLA_FFI_Buffer> buffers;
    for (auto* arrays : {&given, &made}) {
      for (auto& array : *arrays) {
        buffers.push_back({XLA_FFI_Buffer_STRUCT_SIZE, nullptr, array.type, array.bytes.data(),
                           static_cast<int64_t>(array.shape.size()), array.shape.data()});
      }
    }
    std::vector<void*> places;
    for (auto& buffer : buffers) places.push_back(&buffer);
    std::vector<XLA_FFI_ArgType> arguments(given.size(), XLA_FFI_ArgType_BUFFER);
    std::vector<XLA_FFI_RetType> results(made.size(), XLA_FFI_RetType_BUFFER);

    std::vector<XLA_FFI_ByteSpan> names;
    std::vector<XLA_FFI_AttrType> kinds;
    std::vector<XLA_FFI_Scalar> scalars(settings.size());
    std::vector<XLA_FFI_Array> lists(settings.size());
    std::vector<void*> values;
    for (auto& [name, value] : settings) {
      size_t at = names.size();
      names.push_back({name.data(), name.size()});
      if (auto* list = std::get_if<Shape>(&value)) {
        lists[at] = {XLA_FFI_DataType_S64, list->size(), list->data()};
        kinds.push_back(XLA_FFI_AttrType_ARRAY);
        values.push_back(&lists[at]);
      } else {
        auto* flag = std::get_if<bool>(&value);
        scalars[at] = flag ? XLA_FFI_Scalar{XLA_FFI_DataType_PRED, flag}
                           : XLA_FFI_Scalar{XLA_FFI_DataType_S64, std::get_if<int64_t>(&value)};
        kinds.push_back(XLA_FFI_AttrType_SCALAR);
        values.push_back(&scalars[at]);
      }
    }
    std::vector<XLA_FFI_ByteSpan*> spans;
    for (auto& name : names) spans.push_back(&name);

    XLA_FFI_CallFrame frame{};
    frame.struct_size = XLA_FFI_CallFrame_STRUCT_SIZE;
    frame.api = &api();
    frame.stage = XLA_FFI_ExecutionStage_EXECUTE;
    frame.args = {XLA_FFI_Args_STRUCT_SIZE, nullptr, static_cast<int64_t>(given.size()), arguments.data(),
                  places.data()};
    frame.rets = {XLA_FFI_Rets_STRUCT_SIZE, nullptr, static_cast<int64_t>(made.size()), results.data(),
                  places.data() + given.size()};
    frame.attrs = {XLA_FFI_Attrs_STRUCT_SIZE, nullptr, static_cast<int64_t>(settings.size()), kinds.data(),
                   spans.data(), values.data()};
    if (XLA_FFI_Error* error = handler(&frame)) {
      std::fprintf(stderr, "%s: %s\n", name, error->message.c_str());
      std::exit(1);
    }
  }
};

std::vector<Array> filled(const std::vector<Shape>& shapes) {
  std::vector<Array> arrays;
  for (auto& shape : shapes) arrays.push_back(Array(shape).filled(static_cast<uint32_t>(arrays.size() + 1)));
  return arrays;
}

std::vector<Array> empty(const std::vector<Shape>& shapes) {
  std::vector<Array> arrays;
  for (auto& shape : shapes) arrays.emplace_back(shape);
  return arrays;
}

// The result of one call is given to another: places, carries and gates are no arbitrary numbers.
std::vector<Array> results(Call call) {
  call.run();
  return call.made;
}

template <typename... Parts>
std::vector<Array> joined(std::vector<Array> first, const Parts&... parts) {
  (first.insert(first.end(), parts.begin(), parts.end()), ...);
  return first;
}

void add_convolutions(std::vector<Call>& calls, const Shape& x, const Shape& kernel, const Shape& y, int64_t stride,
                      int64_t before, int64_t after) {
  size_t axes = x.size() - 2;
  Shape bias{kernel.back()};
  std::map<std::string, Value> window{{"strides", Shape(axes, stride)}, {"before", Shape(axes, before)},
                                      {"after", Shape(axes, after)},    {"dilation", Shape(axes, 1)},
                                      {"groups", int64_t{1}}};
  calls.push_back({"convolution", lamina_convolution, filled({x, kernel, bias}), empty({y}), window});
  calls.push_back(
      {"input_gradient", lamina_convolution_input_gradient, filled({y, kernel}), empty({x}), window});
  calls.push_back(
      {"kernel_gradient", lamina_convolution_kernel_gradient, filled({x, y}), empty({kernel, bias}), window});
  if (axes != 2 || x.back() < 16 || y.back() < 16 || y[1] % 2 || y[2] % 2) return;  // else pooling stands apart
  Shape p{y[0], y[1] / 2, y[2] / 2, y[3]};
  window["pool"] = Shape{2, 2, 2, 2};
  std::vector<Array> places{Array(p, XLA_FFI_DataType_S16)};
  Call pooled{"convolution_pooled", lamina_convolution_pooled, filled({x, kernel, bias}), joined(empty({p}), places),
              window};
  places[0] = results(pooled)[1];
  calls.push_back(pooled);
  calls.push_back({"pooled_input_gradient", lamina_convolution_pooled_input_gradient,
                   joined(filled({p, kernel}), places), empty({x}), window});
  calls.push_back({"pooled_kernel_gradient", lamina_convolution_pooled_kernel_gradient, joined(filled({x, p}), places),
                   empty({kernel, bias}), window});
  calls.push_back({"put_back", lamina_put_back, joined(filled({p}), places), empty({y}), {{"pool", window["pool"]}}});
}

void add_recurrent(std::vector<Call>& calls, int64_t batch, int64_t time, int64_t features, int64_t units) {
  Shape x{batch, time, features}, y{time, batch, units}, h{batch, units}, kept{time, batch, 4 * units};
  std::vector<Array> mask{Array({0, 0}, XLA_FFI_DataType_PRED)};
  for (bool reverse : {false, true}) {
    std::map<std::string, Value> settings{{"reverse", reverse}, {"half", false}};
    Shape kernel{features, 4 * units}, recurrent{units, 4 * units}, bias{4 * units};
    Call lstm{"lstm", lamina_lstm, joined(mask, filled({x, kernel, bias, h, h, recurrent})), empty({y, y, kept}),
              settings};
    calls.push_back(lstm);
    calls.push_back({"lstm_gradient", lamina_lstm_gradient,
                     joined(mask, filled({y, h, h, x, kernel, h, h, recurrent}), results(lstm)),
                     empty({x, kernel, bias, h, h, recurrent}), settings});
    kernel[1] = recurrent[1] = bias[0] = 3 * units;
    Call gru{"gru", lamina_gru, joined(mask, filled({x, kernel, bias, h, recurrent, bias})), empty({y, kept}),
             settings};
    calls.push_back(gru);
    calls.push_back({"gru_gradient", lamina_gru_gradient,
                     joined(mask, filled({y, h, x, kernel, h, recurrent}), results(gru)),
                     empty({x, kernel, bias, h, recurrent, bias}), settings});
  }
}

void add_product(std::vector<Call>& calls, int64_t rows, int64_t inner, int64_t columns) {
  for (bool turned : {false, true}) {
    Shape a = turned ? Shape{inner, rows} : Shape{rows, inner}, b = turned ? Shape{columns, inner} : Shape{inner, columns};
    calls.push_back({"matmul", lamina_matmul, filled({a, b}), empty({{rows, columns}}),
                     {{"a_turned", turned}, {"b_turned", turned}}});
  }
}

Array number(int32_t value) {
  Array array({}, XLA_FFI_DataType_S32);
  std::memcpy(array.bytes.data(), &value, 4);
  return array;
}

std::vector<Call> all_calls() {
  std::vector<Call> calls;
  add_convolutions(calls, {12, 18, 18, 16}, {3, 3, 16, 16}, {12, 18, 18, 16}, 1, 1, 1);
  add_convolutions(calls, {8, 26, 26, 1}, {3, 3, 1, 32}, {8, 24, 24, 32}, 1, 0, 0);
  add_convolutions(calls, {1, 16, 16, 32}, {3, 3, 32, 32}, {1, 16, 16, 32}, 1, 1, 1);
  add_convolutions(calls, {4, 16, 16, 3}, {3, 3, 3, 8}, {4, 8, 8, 8}, 2, 0, 1);
  add_convolutions(calls, {5, 90, 8}, {3, 8, 16}, {5, 90, 16}, 1, 1, 1);
  add_recurrent(calls, 5, 9, 8, 6);
  add_recurrent(calls, 64, 12, 16, 64);
  add_recurrent(calls, 1, 30, 8, 128);
  add_product(calls, 32, 24, 64);
  add_product(calls, 256, 300, 200);
  add_product(calls, 1, 512, 512);
  Shape rows{3000, 32}, columns{32};
  calls.push_back({"moments", lamina_moments, joined(filled({rows}), std::vector<Array>{number(2900)}),
                   empty({columns, columns}), {}});
  calls.push_back({"moment_slopes", lamina_moment_slopes, filled({rows, rows, columns}), empty({columns, columns}), {}});
  Shape x{12, 16, 16, 32}, p{12, 8, 8, 32};
  std::map<std::string, Value> pool{{"pool", Shape{2, 2, 2, 2}}};
  std::vector<Array> places{Array(p, XLA_FFI_DataType_S16)};
  Call pooled{"normalization_pooled", lamina_normalization_pooled, filled({x, columns, columns}),
              joined(empty({p}), places), pool};
  calls.push_back(pooled);
  places[0] = results(pooled)[1];
  calls.push_back({"normalization_pooled_gradient", lamina_normalization_pooled_gradient,
                   joined(filled({p}), places, filled({x, columns, columns, columns}), std::vector<Array>{number(12)}),
                   empty({x, columns, columns}), pool});
  return calls;
}

}  // namespace

int main() {
  Pool shared;
  pool = &shared;
  std::vector<Call> calls = all_calls(), expected;
  std::atomic<int> wrong{0};
  auto from_four = [&](auto run) {
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kCallers; ++caller) callers.emplace_back([&, caller] { run(caller); });
    for (auto& caller : callers) caller.join();
  };
  // What is made at a first call is made by four threads at a time.
  from_four([&](int caller) {
    lamina_half_speed();
    std::vector<Call> own = calls;
    for (size_t n = 0; n < own.size(); ++n) own[(n + caller) % own.size()].run();
  });
  expected = calls;
  for (auto& call : expected) call.run();
  from_four([&](int caller) {
    for (int round = 0; round < kRounds; ++round) {
      std::vector<Call> own = calls;
      for (size_t n = 0; n < own.size(); ++n) {
        Call& call = own[(n * 7 + caller * 3) % own.size()];
        call.run();
        auto& alone = expected[(n * 7 + caller * 3) % own.size()];
        for (size_t made = 0; made < call.made.size(); ++made) {
          if (call.made[made].bytes == alone.made[made].bytes) continue;
          std::fprintf(stderr, "%s: result %zu differs from that of a call alone\n", call.name, made);
          ++wrong;
        }
      }
    }
  });
  std::printf("%zu calls, from %d threads, %d times: %d wrong\n", calls.size(), kCallers, kRounds, wrong.load());
  return wrong ? 1 : 0;
}
