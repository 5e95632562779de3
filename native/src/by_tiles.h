// A convolution and its two gradients in Winograd's tiles, if these save a quarter of the products: strides of 1, and
// channels and filters in whole vectors. Products are float32; x and y may be halves. If a result is not finite, oneDNN
// computes it again, because there infinity and NaN do not spread to other elements.
#pragma once

#include "sparse.h"
#include "winograd.h"

namespace lamina {

constexpr int64_t kSpan = 1 << 13;  // the fewest elements for which a second thread pays

// The work of one thread: blocks of tiles whose values stay in its cache.
template <typename Tile>
class ByTiles {
 public:
  ByTiles(Tile tile, int64_t x_channels, int64_t filters) : tile_(tile), x_(x_channels), y_(filters) {}

  // The kernel's values at each point.
  Room of_kernel(Threads& threads, const float* kernel) const {
    Room room(kValues * tile_.kernel_step() * sizeof(float));
    threads.each_of(x_, kSpan / y_ + 1,
                    [&](int64_t first, int64_t end, int64_t) { tile_.of_kernel(kernel, room.floats(), first, end); });
    return room;
  }

  // Computes tiles `first` to `end` of y. Returns whether they are finite; if not, they are wrong.
  template <typename Lane>
  bool forward(const Lane* x, const float* of_kernel, const float* bias, Lane* y, int64_t first, int64_t end) const {
    bool finite = true;
    each_block(first, end, [&](int64_t first, int64_t count, float* of_x, float* of_y) {
      int64_t to_x = Tile::step(count, x_), to_y = Tile::step(count, y_);
      tile_.of_x(x, of_x, first, count);
      for (int k = 0; k < kValues; ++k) {
        product({of_x + k * to_x, x_, 1, of_kernel + k * tile_.kernel_step(), y_}, count, x_, y_, of_y + k * to_y, y_,
                false);
      }
      finite = tile_.to_y(of_y, bias, y, first, count) && finite;
    });
    return finite;
  }

  // Adds the parts of tiles `first` to `end` to the gradients of the kernel's values and of the bias.
  template <typename Lane>
  void gradient(const Lane* x, const Lane* dy, float* of_kernel, float* bias, int64_t first, int64_t end) const {
    each_block(first, end, [&](int64_t first, int64_t count, float* of_x, float* of_y) {
      int64_t to_x = Tile::step(count, x_), to_y = Tile::step(count, y_);
      tile_.of_x(x, of_x, first, count);
      tile_.of_y(dy, of_y, first, count);
      for (int k = 0; k < kValues; ++k) {
        product({of_x + k * to_x, 1, x_, of_y + k * to_y, y_}, x_, count, y_, of_kernel + k * tile_.kernel_step(), y_,
                true);
      }
      const float* sums = of_y + Tile::kSum * to_y;
      for (int64_t t = 0; t < count; ++t) add(y_, 1.0f, sums + t * y_, bias);
    });
  }

  int64_t channels() const { return x_; }
  int64_t filters() const { return y_; }
  // The number of tiles in a block. Their values stay in the cache, or are at least as many as the kernel's values,
  // since each block reads all of these.
  int64_t block() const {
    int64_t in_cache = kInCache / ((x_ + y_) * kValues * static_cast<int64_t>(sizeof(float)));
    return whole(std::max(in_cache, x_ * y_ / (x_ + y_)));
  }
  const Tile& tile() const { return tile_; }

  static constexpr int kValues = Tile::kValues;

 private:
  static constexpr int64_t kInCache = 1 << 19;  // bytes

  static int64_t whole(int64_t rows) { return (rows + kRowsAtOnce - 1) / kRowsAtOnce * kRowsAtOnce; }

  template <typename Run>
  void each_block(int64_t first, int64_t end, Run run) const {
    int64_t parts = std::max<int64_t>((end - first + block() / 2) / block(), 1);  // of about a block each
    int64_t most = std::min(whole((end - first + parts - 1) / parts), end - first);
    Room of_x(kValues * Tile::step(most, x_) * sizeof(float)), of_y(kValues * Tile::step(most, y_) * sizeof(float));
    for (; first < end; first += most) run(first, std::min(most, end - first), of_x.floats(), of_y.floats());
  }

  Tile tile_;
  int64_t x_, y_;
};

// Computes y from x on all threads. Returns whether it is finite.
template <typename Tile, typename Lane>
bool forward_by(Threads& threads, const ByTiles<Tile>& tiles, const Lane* x, const float* kernel, const float* bias,
                Lane* y, int64_t batch) {
  Room of_kernel = tiles.of_kernel(threads, kernel);
  int64_t all = tiles.tile().each() * batch, share = (all + threads.count() - 1) / threads.count();
  int64_t block = std::min(tiles.block(), share);
  std::atomic<bool> finite = true;
  threads.each((all + block - 1) / block, [&](int64_t part) {
    if (!tiles.forward(x, of_kernel.floats(), bias, y, part * block, std::min((part + 1) * block, all))) finite = false;
  });
  return finite;
}

// Computes the gradients of the kernel and of the bias. Returns whether they are finite.
template <typename Tile, typename Lane>
bool gradient_by(Threads& threads, const ByTiles<Tile>& tiles, const Lane* x, float* kernel, float* bias,
                 const Lane* dy, int64_t batch) {
  int64_t all = tiles.tile().each() * batch, size = tiles.kValues * tiles.tile().kernel_step(),
          filters = tiles.filters();
  std::vector<Room> sums;  // of each part
  for (int64_t part = 0; part < threads.parts_of(all, 1); ++part) sums.emplace_back((size + filters) * sizeof(float));
  threads.each_of(all, 1, [&](int64_t first, int64_t end, int64_t part) {
    float* to = sums[part].floats();
    std::fill_n(to, size + filters, 0.0f);
    tiles.gradient(x, dy, to, to + size, first, end);
  });
  float* sum = sums[0].floats();
  std::atomic<bool> is_finite = true;
  threads.each_of(size, kSpan, [&](int64_t first, int64_t end, int64_t) {
    for (size_t part = 1; part < sums.size(); ++part) add(end - first, 1.0f, sums[part].floats() + first, sum + first);
    if (!finite(sum + first, end - first)) is_finite = false;
  });
  for (size_t part = 1; part < sums.size(); ++part) add(filters, 1.0f, sums[part].floats() + size, sum + size);
  threads.each_of(tiles.channels(), kSpan / filters + 1,
                  [&](int64_t first, int64_t end, int64_t) { tiles.tile().to_kernel(sum, kernel, first, end); });
  std::copy_n(sum + size, filters, bias);
  return is_finite;
}

// The sizes of x, y and the window. Data with one spatial axis have a single row.
struct Plane {
  Images x, y;
  int64_t down, right, up, left, batch;

  explicit Plane(const Geometry& g)
      : x{rows_of(g.x, 1), g.x[g.axes()], g.x.back()},
        y{rows_of(g.y, 1), g.y[g.axes()], g.y.back()},
        down(rows_of(g.kernel, 0)),
        right(g.kernel[g.axes() - 1]),
        up(g.axes() == 2 ? g.before[0] : 0),
        left(g.before[g.axes() - 1]),
        batch(g.x[0]) {}

  // The map from y to x.
  Plane turned() const {
    Plane plane = *this;
    std::swap(plane.x, plane.y);
    plane.up = down - 1 - up, plane.left = right - 1 - left;
    return plane;
  }

  static bool serves(const Geometry& g) {
    auto all = [](Sizes sizes, int64_t value) {
      return std::all_of(sizes.begin(), sizes.end(), [&](int64_t size) { return size == value; });
    };
    if (g.axes() > 2 || g.groups != 1 || !all(g.strides, 1) || !all(g.dilation, 1) || !has_512()) return false;
    if (g.half && half_speed() > kFastHalves) return false;
    for (size_t axis = 0; axis < g.axes(); ++axis) {
      if (std::max(g.before[axis], g.after[axis]) >= g.kernel[axis]) return false;
    }
    return g.x.back() % kLanes == 0 && g.y.back() % kLanes == 0;
  }

  // Calls run(ByTiles) with the tiles that need the fewest products. Returns false if no tiles save a quarter of the
  // products, or if there are few tiles.
  template <typename Run>
  bool with_tiles(Run run) const {
    if (down == 3 && right == 3) return with<4, 4, 2, 2, 3, 3>(run);
    if (down == 1 && right == 3) return with<1, 4, 1, 2, 1, 3>(run);
    if (down == 1 && right == 5) return with<1, 4, 1, 2, 1, 5>(run);
    if (down == 5 && right == 5) return with<2, 2, 2, 2, 5, 5>(run);
    return false;
  }

 private:
  // For fewer tiles oneDNN is as fast; with many channels the kernel's values do not fit the cache.
  static constexpr int64_t kFew = 32, kFewOfMany = 64, kMany = 1 << 13;
  static constexpr double kFastHalves = 3;  // above this ratio to float32, products of halves are faster than tiles

  static int64_t rows_of(const Dims& sizes, size_t axis) { return sizes.size() == 4 ? sizes[axis] : 1; }

  template <int kHigh, int kWide, int kLow, int kNarrow, int kDown, int kRight, typename Run>
  bool with(Run run) const {
    Tiles<kHigh, kWide, kDown, kRight> large(x, y, up, left);
    Tiles<kLow, kNarrow, kDown, kRight> small(x, y, up, left);
    auto products = [](auto& tile) { return tile.each() * tile.kValues; };  // of each channel with each filter
    int64_t least = std::min(products(large), products(small));
    if (4 * least > 3 * y.rows * y.columns * down * right) return false;
    int64_t few = x.channels * y.channels > kMany ? kFewOfMany : kFew;
    auto by = [&](auto& tile) { return tile.each() * batch >= few && run(ByTiles(tile, x.channels, y.channels)); };
    return products(large) == least ? by(large) : by(small);
  }
};

}  // namespace lamina
