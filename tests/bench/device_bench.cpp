// SPDX-License-Identifier: Apache-2.0
// What the cpu device costs around its kernels, and how near its memory-bound kernels come to
// memcpy.
//
//     device_bench [threads]
//
// Bandwidths count every operand read or written once, of arrays far beyond the caches; memcpy runs
// on the same threads, in turns with the kernels. Medians.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/number_ranges.hpp"
#include "emulator/device/cpu/attention.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/team.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {
namespace {

constexpr int rounds = 9;
constexpr std::int64_t rows = 2048;
constexpr std::int64_t columns = 4096;
constexpr std::int64_t elements = rows * columns;  // 32 MiB each

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

Slice saved(std::int64_t index, std::int64_t count = elements) {
    return {.space = Space::saved, .offset = index * elements, .elements = count};
}

Elementwise elementwise(ElementwiseKind kind, std::vector<Slice> reads, std::vector<Slice> writes) {
    return {.kind = kind,
            .rows = rows,
            .columns = columns,
            .reads = std::move(reads),
            .writes = std::move(writes)};
}

struct Case {
    std::string name;
    ComputeOp op;
};

std::vector<Case> memory_bound() {
    const Slice weights{.space = Space::parameter, .offset = 0, .elements = 2 * columns};
    const Slice bias{.space = Space::parameter, .offset = 0, .elements = columns};
    const Slice weight_sums{.space = Space::gradient, .offset = 0, .elements = 2 * columns};
    const Slice column_sums{.space = Space::gradient, .offset = 0, .elements = columns};
    const Slice loss{.space = Space::scalar, .offset = 0, .elements = 1};
    using enum ElementwiseKind;
    return {{"adam", OptimizerStep{.offset = 0, .elements = elements}},
            {"residual_add", elementwise(residual_add, {saved(0), saved(1)}, {saved(2)})},
            {"bias_add", elementwise(bias_add, {saved(0), bias}, {saved(0)})},
            {"bias_gradient", elementwise(bias_gradient, {saved(0)}, {column_sums})},
            {"gelu_forward", elementwise(gelu_forward, {saved(0)}, {saved(1)})},
            {"gelu_backward", elementwise(gelu_backward, {saved(0), saved(1)}, {saved(2)})},
            {"norm_forward", elementwise(norm_forward, {saved(0), weights}, {saved(1)})},
            {"norm_backward",
             elementwise(norm_backward, {saved(0), saved(1), weights}, {saved(2), weight_sums})},
            {"cross_entropy", elementwise(cross_entropy, {saved(1)}, {saved(1), loss})},
            {"sum_of_squares", elementwise(sum_of_squares, {saved(0)}, {loss})},
            {"zero", elementwise(zero, {}, {saved(2)})}};
}

StepProgram program_of(const std::vector<Case>& cases) {
    StepProgram program;
    program.extents = {.parameter = elements, .saved = 3 * elements, .workspace = 0, .scalar = 1};
    Block block;
    for (const Case& item : cases) {
        block.ops.push_back({.op = Op{item.op}, .after = {}});
    }
    program.blocks.push_back(std::move(block));
    program.tasks.emplace_back();
    return program;
}

/// Runs `op` `times` times; intervals of all of them.
std::vector<Interval> run(Device& device, const ComputeOp& op, const Task& task, int times) {
    Ticket last = 0;
    for (int i = 0; i < times; ++i) {
        last = device.submit(op, task);
    }
    while (device.completed() <= last) {
        device.wait(last, now() + std::chrono::seconds{60});
    }
    std::vector<Interval> ran;
    for (Ticket ticket = last - times + 1; ticket <= last; ++ticket) {
        ran.push_back(device.interval(ticket));
    }
    return ran;
}

void print_launch_gap(const std::vector<int>& cores) {
    const auto device = make_cpu_device({.cores = cores, .threads = 1, .seed = 1});
    const std::vector<Case> cases{{"tiny",
                                   Elementwise{.kind = ElementwiseKind::zero,
                                               .rows = 1,
                                               .columns = 16,
                                               .reads = {},
                                               .writes = {saved(0, 16)}}}};
    const StepProgram program = program_of(cases);
    device->prepare(program);
    const auto ran = run(*device, cases[0].op, program.tasks[0], 20'000);
    std::vector<double> gaps;
    std::vector<double> spans;
    for (std::size_t i = 1; i < ran.size(); ++i) {
        gaps.push_back(to_seconds(ran[i].begin - ran[i - 1].end) * 1e9);
        spans.push_back(to_seconds(ran[i].end - ran[i].begin) * 1e9);
    }
    fmt::print("between queued operations: {:.0f} ns; an operation on 64 bytes: {:.0f} ns\n",
               median(gaps),
               median(spans));
}

double copy_rate(const Team& team, std::vector<float>& to, const std::vector<float>& from) {
    const SimTime before = now();
    team.for_ranges(elements, 4096, 0, [&](std::int64_t begin, std::int64_t end, int) {
        std::memcpy(
            to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin) * 4);
    });
    return 8e-9 * elements / to_seconds(now() - before);
}

void print_bandwidths(const Team& team, const std::vector<int>& cores) {
    const auto device = make_cpu_device({.cores = cores, .threads = team.threads(), .seed = 1});
    const std::vector<Case> cases = memory_bound();
    const StepProgram program = program_of(cases);
    device->prepare(program);
    std::vector<float> from(elements, 1.0F);
    std::vector<float> to(elements, 2.0F);
    fmt::print("{:<16} {:>8} {:>10} {:>8}\n", "kernel", "GB/s", "of memcpy", "ms");
    for (const Case& item : cases) {
        std::vector<double> seconds;
        std::vector<double> copies;
        for (int round = 0; round < rounds; ++round) {
            const Interval ran = run(*device, item.op, program.tasks[0], 1).front();
            seconds.push_back(to_seconds(ran.end - ran.begin));
            copies.push_back(copy_rate(team, to, from));
        }
        const double rate = 1e-9 * traffic(item.op, DType::fp32).as_double() / median(seconds);
        fmt::print("{:<16} {:>8.1f} {:>10.2f} {:>8.2f}\n",
                   item.name,
                   rate,
                   rate / median(copies),
                   1e3 * median(seconds));
    }
}

void print_attention(const Team& team, const AttentionShape& shape) {
    const std::int64_t tokens = shape.batch * shape.seq;
    std::vector<float> qkv(static_cast<std::size_t>(tokens * shape.qkv_width()));
    std::vector<float> context(static_cast<std::size_t>(tokens * shape.context_width()));
    std::vector<float> statistics(static_cast<std::size_t>(tokens * shape.heads));
    std::vector<float> grad_context(context.size());
    std::vector<float> grad_qkv(qkv.size());
    const auto view = [](std::vector<float>& data) {
        return Operand{.data = reinterpret_cast<std::byte*>(data.data()),
                       .elements = static_cast<std::int64_t>(data.size())};
    };
    fill_random(team, view(qkv), 1.0F, 1);
    fill_random(team, view(grad_context), 1.0F, 2);
    Attention attention(shape, DType::fp32, team);
    const AttentionOperands operands{.qkv = view(qkv),
                                     .context = view(context),
                                     .statistics = view(statistics),
                                     .grad_context = view(grad_context),
                                     .grad_qkv = view(grad_qkv)};
    std::vector<double> forward;
    std::vector<double> backward;
    for (int round = 0; round < rounds; ++round) {
        const SimTime start = now();
        attention.forward(operands);
        const SimTime middle = now();
        attention.backward(operands);
        forward.push_back(to_seconds(middle - start));
        backward.push_back(to_seconds(now() - middle));
    }
    // Two products forward and five backward, of which the causal half is computed.
    const double product = 1e-9 * static_cast<double>(shape.batch * shape.heads * shape.seq *
                                                      shape.seq * shape.head_size);
    fmt::print(
        "attention b{} s{} a{} d{}: forward {:.2f} ms, {:.1f} GFLOP/s; backward {:.2f} ms, "
        "{:.1f} GFLOP/s (visible half counted)\n",
        shape.batch,
        shape.seq,
        shape.heads,
        shape.head_size,
        1e3 * median(forward),
        2 * product / median(forward),
        1e3 * median(backward),
        5 * product / median(backward));
}

void run_all(int threads) {
    std::vector<int> cores = allowed_cores();
    cores.resize(std::min(cores.size(), static_cast<std::size_t>(threads)));
    const Team team(cores, threads);
    team.adopt_this_thread();
    fmt::print("{}, {}, cores {}, {} threads\n",
               cpu_name(),
               cpu_compute_library(),
               ranges_text(cores),
               threads);
    print_launch_gap(cores);
    print_bandwidths(team, cores);
    print_attention(team, {.batch = 1, .seq = 2048, .heads = 12, .kv_heads = 12, .head_size = 64});
    print_attention(team, {.batch = 4, .seq = 512, .heads = 12, .kv_heads = 12, .head_size = 64});
}

}  // namespace
}  // namespace traindyno

int main(int argc, char** argv) {
    try {
        traindyno::run_all(std::max(argc > 1 ? std::atoi(argv[1]) : 1, 1));
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
