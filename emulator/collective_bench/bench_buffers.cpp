// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_buffers.hpp"

#include <cstring>
#include <new>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::size_t page = 4096;

}  // namespace

BenchBuffers::Block BenchBuffers::allocate(std::size_t size) {
    const std::size_t whole_pages = (size + page - 1) / page * page;
    Block block{static_cast<std::byte*>(std::aligned_alloc(page, whole_pages))};
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    std::memset(block.get(), 0, whole_pages);
    return block;
}

BenchBuffers::BenchBuffers(const OpShape& largest, DType type)
    : size_(static_cast<std::size_t>(size_of(largest, type).value())),
      first_(allocate(size_)),
      second_(allocate(size_)) {}

Bytes BenchBuffers::needed(const OpShape& largest, DType type) {
    return 2 * size_of(largest, type);
}

OpBuffers BenchBuffers::of(const BenchCase& what,
                           const OpShape& shape,
                           Placement placement,
                           GroupRank rank) const {
    const auto in = static_cast<std::size_t>(size_of(shape.in, what.type).value());
    const auto out = static_cast<std::size_t>(size_of(shape.out, what.type).value());
    TD_EXPECT(in <= size_ && out <= size_);
    if (placement == Placement::apart) {
        return {.in = {first_.get(), in}, .out = {second_.get(), out}};
    }
    const std::size_t offset = rank.index();
    return {.in = {first_.get() + (in < out ? offset * in : 0), in},
            .out = {first_.get() + (out < in ? offset * out : 0), out}};
}

}  // namespace traindyno
