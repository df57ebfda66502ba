// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_buffers.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::size_t page = 4096;

OpBuffers place(const BenchCase& what,
                const OpShape& shape,
                Placement placement,
                GroupRank rank,
                std::byte* first,
                std::byte* second) {
    const auto in = static_cast<std::size_t>(size_of(shape.in, what.type).value());
    const auto out = static_cast<std::size_t>(size_of(shape.out, what.type).value());
    if (placement == Placement::apart) {
        return {.in = {first, in}, .out = {second, out}};
    }
    const std::size_t offset = rank.index();
    return {.in = {first + (in < out ? offset * in : 0), in},
            .out = {first + (out < in ? offset * out : 0), out}};
}

void finish_copy(Pending pending) {
    wait_patiently(pending);
}

}  // namespace

BenchMemory ordinary_memory() {
    return {.lend = [](std::size_t bytes) {
        const std::size_t whole_pages = (bytes + page - 1) / page * page;
        return std::shared_ptr<std::byte>(
            static_cast<std::byte*>(std::aligned_alloc(page, whole_pages)), std::free);
    }};
}

BenchBuffers::Block BenchBuffers::allocate(const BenchMemory& memory) const {
    Block block{.memory = memory.lend(size_), .host = nullptr};
    if (block.memory == nullptr) {
        throw std::bad_alloc();
    }
    block.host = staging_ ? staging_->lend(size_) : block.memory;
    std::memset(block.host.get(), 0, size_);
    return block;
}

BenchBuffers::BenchBuffers(const OpShape& largest, DType type, const BenchMemory& memory)
    : size_(static_cast<std::size_t>(size_of(largest, type).value())),
      staging_(memory.staging),
      first_(allocate(memory)),
      second_(allocate(memory)) {}

Bytes BenchBuffers::needed(const OpShape& largest, DType type) {
    return 2 * size_of(largest, type);
}

OpBuffers BenchBuffers::of(const BenchCase& what,
                           const OpShape& shape,
                           Placement placement,
                           GroupRank rank) const {
    TD_EXPECT(static_cast<std::size_t>(size_of(shape, what.type).value()) <= size_);
    return place(what, shape, placement, rank, first_.memory.get(), second_.memory.get());
}

OpBuffers BenchBuffers::on_host(const BenchCase& what,
                                const OpShape& shape,
                                Placement placement,
                                GroupRank rank) const {
    TD_EXPECT(static_cast<std::size_t>(size_of(shape, what.type).value()) <= size_);
    return place(what, shape, placement, rank, first_.host.get(), second_.host.get());
}

void BenchBuffers::to_operation(const OpBuffers& host, const OpBuffers& buffers) const {
    if (staging_) {
        finish_copy(staging_->to_device(host.in, buffers.in));
        finish_copy(staging_->to_device(host.out, buffers.out));
    }
}

void BenchBuffers::to_host(const OpBuffers& buffers, const OpBuffers& host) const {
    if (staging_) {
        finish_copy(staging_->to_host(buffers.out, host.out));
    }
}

}  // namespace traindyno
