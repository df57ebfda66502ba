// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/shm_comparison.hpp"

#include <algorithm>
#include <cstring>

#include "collectives/half_types.hpp"
#include "collectives/mpi/check.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

constexpr int rounds = 10;
constexpr std::size_t line_bytes = 64;

/// 1 to 5: sums are exact in every type, and two bf16 make a normal fp32.
void fill(std::span<std::byte> bytes, DType type, std::int64_t seed) {
    for (std::size_t i = 0; i < bytes.size() / static_cast<std::size_t>(element_size(type)); ++i) {
        const auto value = static_cast<float>((static_cast<std::int64_t>(i) + seed) % 5 + 1);
        if (type == DType::bf16) {
            reinterpret_cast<Bf16*>(bytes.data())[i] = to_bf16(value);
        } else {
            reinterpret_cast<float*>(bytes.data())[i] = value;
        }
    }
}

}  // namespace

const char* name_of(Operation operation) {
    switch (operation) {
        case Operation::all_reduce:
            return "all-reduce";
        case Operation::reduce_scatter:
            return "reduce-scatter";
        case Operation::all_gather:
            break;
    }
    return "all-gather";
}

Comparison::Comparison(
    Communicator& world, MPI_Comm raw, Communicator& shm, SharedHeap& heap, Line line)
    : world_(world), raw_(raw), shm_(shm), line_(line) {
    const std::int64_t part = line.bytes / world.size();
    const auto in =
        static_cast<std::size_t>(line.operation == Operation::all_gather ? part : line.bytes);
    const auto out =
        static_cast<std::size_t>(line.operation == Operation::reduce_scatter ? part : line.bytes);
    memory_ = std::make_unique<std::byte[]>(in + out + line_bytes);
    const std::size_t past = reinterpret_cast<std::uintptr_t>(memory_.get()) % line_bytes;
    std::byte* const start = memory_.get() + (line_bytes - past);
    ordinary_ = {.in = {start, in}, .out = {start + in, out}};
    lent_in_ = heap.lend(in);
    lent_out_ = heap.lend(out);
    TD_EXPECT(lent_in_ != nullptr && lent_out_ != nullptr);
    lent_ = {.in = {lent_in_.get(), in}, .out = {lent_out_.get(), out}};
    for (const Buffers& each : {ordinary_, lent_}) {
        fill(each.in, line.type, world.rank().value());
        std::memset(each.out.data(), 0xff, each.out.size());
    }
}

Samples Comparison::measure() {
    std::vector<Way> order{Way::mpi, Way::heap, Way::ordinary, Way::copies};
    if (line_.type != DType::fp32) {
        order.insert(order.end(), {Way::heap_fp32, Way::ordinary_fp32});
    }
    const std::vector<Way> once = order;
    order.insert(order.end(), once.rbegin(), once.rend());
    Samples samples;
    const std::int64_t batch = std::clamp<std::int64_t>(2 * mib / line_.bytes, 1, 200);
    for (int round = -1; round < rounds; ++round) {  // one to warm up
        std::array<double, ways> seconds{};
        for (const Way way : order) {
            seconds[static_cast<std::size_t>(way)] += seconds_of(world_, [&] {
                for (std::int64_t i = 0; i < batch; ++i) {
                    call(way);
                }
            });
        }
        for (std::size_t way = 0; way < ways && round >= 0; ++way) {
            samples[way].push_back(seconds[way] / static_cast<double>(2 * batch));
        }
    }
    check_result();
    for (std::vector<double>& each : samples) {
        each = slowest(world_, each);
    }
    return samples;
}

void Comparison::call(Way way) {
    switch (way) {
        case Way::mpi:
            return native();
        case Way::heap:
            return ours(lent_, line_.type);
        case Way::ordinary:
            return ours(ordinary_, line_.type);
        case Way::copies:
            return copy();
        case Way::heap_fp32:
            return ours(lent_, DType::fp32);
        case Way::ordinary_fp32:
            return ours(ordinary_, DType::fp32);
    }
}

void Comparison::native() {
    const auto elements = static_cast<int>(line_.bytes / element_size(line_.type));
    const auto part = static_cast<int>(elements / world_.size());
    MPI_Datatype type = types_.datatype(line_.type);
    MPI_Op sum = types_.operation(line_.type, Reduction::sum);
    const void* const in = ordinary_.in.data();
    void* const out = ordinary_.out.data();
    switch (line_.operation) {
        case Operation::all_reduce:
            TD_MPI(MPI_Allreduce(in, out, elements, type, sum, raw_));
            break;
        case Operation::reduce_scatter:
            TD_MPI(MPI_Reduce_scatter_block(in, out, part, type, sum, raw_));
            break;
        case Operation::all_gather:
            TD_MPI(MPI_Allgather(in, part, type, out, part, type, raw_));
            break;
    }
}

void Comparison::ours(const Buffers& buffers, DType type) {
    Pending pending = [&] {
        switch (line_.operation) {
            case Operation::reduce_scatter:
                return shm_.reduce_scatter(
                    buffers.in, buffers.out, type, Reduction::sum, Urgency::immediate);
            case Operation::all_gather:
                return shm_.all_gather(buffers.in, buffers.out, Urgency::immediate);
            case Operation::all_reduce:
                break;
        }
        return shm_.all_reduce(buffers.in, buffers.out, type, Reduction::sum, Urgency::immediate);
    }();
    TD_EXPECT(pending.done());
}

/// What all ranks must move at least: an all-reduce reads every input and writes every output
/// once, and so does a copy.
void Comparison::copy() {
    std::byte* const to = ordinary_.out.data();
    const std::size_t bytes = std::min(ordinary_.in.size(), ordinary_.out.size());
    if (line_.operation == Operation::all_reduce) {
        std::memcpy(to, ordinary_.in.data(), bytes);
        return;
    }
    const bool scatter = line_.operation == Operation::reduce_scatter;
    for (std::int64_t i = 0; i < world_.size(); ++i) {
        const std::size_t offset = static_cast<std::size_t>(i) * bytes;
        std::memcpy(
            to + (scatter ? 0 : offset), ordinary_.in.data() + (scatter ? offset : 0), bytes);
    }
}

/// All ways leave the same bits: the values are small integers.
void Comparison::check_result() {
    native();
    const std::vector<std::byte> expected(ordinary_.out.begin(), ordinary_.out.end());
    for (const Buffers& each : {ordinary_, lent_}) {
        std::memset(each.out.data(), 0xff, each.out.size());
        ours(each, line_.type);
        TD_EXPECT(std::memcmp(expected.data(), each.out.data(), expected.size()) == 0);
    }
}

}  // namespace traindyno::bench
