// SPDX-License-Identifier: Apache-2.0
// A transformer layer over sequences in parts computes what it computes over whole ones.
#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/random_values.hpp"
#include "emulator/program/build.hpp"
#include "tests/support/lockstep_job.hpp"

namespace traindyno {
namespace {

using test::LockstepJob;
using test::Timing;

constexpr std::int64_t hidden = 32;

struct Parts {
    std::string name;
    Layout layout;
    std::int64_t batch = 1;
    ContextExchange exchange = ContextExchange::ring;
    ContextBalance balance = ContextBalance::zigzag;
    Recompute recompute = Recompute::none;

    friend void PrintTo(const Parts& value, std::ostream* out) { *out << value.name; }
};

Model model_of() {
    return {.name = "gpt",
            .layers = 1,
            .hidden = hidden,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 8,
            .ffn = 64,
            .seq = 48,
            .vocab = 100};
}

/// Sequence and position of a rank's row, as an index into all tokens.
std::size_t token_of_row(const Parts& at, std::int64_t rank, std::int64_t row) {
    const std::int64_t seq = model_of().seq;
    const std::int64_t cp = at.layout.cp;
    const std::int64_t own = seq / cp;
    const std::int64_t in_part = row % own;
    std::int64_t position = rank * own + in_part;
    if (at.balance == ContextBalance::zigzag && cp > 1) {
        const std::int64_t half = own / 2;
        const std::int64_t part = in_part < half ? rank : 2 * cp - 1 - rank;
        position = part * half + in_part % half;
    }
    return static_cast<std::size_t>(row / own * seq + position);
}

/// The one layer of a step and nothing else: a forward and a backward.
StepProgram layer_of(const Parts& at, std::int64_t rank) {
    const TrainingSetup setup{.micro_batch = at.batch,
                              .global_batch = at.batch,
                              .recompute = at.recompute,
                              .context_exchange = at.exchange,
                              .context_balance = at.balance};
    StepProgram program = build_step(model_of(), at.layout, setup, WorldRank{rank});
    std::vector<Task> tasks;
    for (Task task : program.tasks) {
        if (program.blocks[task.block.index()].name.starts_with("layer_")) {
            task.after.clear();
            tasks.push_back(std::move(task));
        }
    }
    program.tasks = std::move(tasks);
    return program;
}

const ComputeOp& compute_at(const Block& block, std::size_t index) {
    return std::get<ComputeOp>(block.ops[index].op);
}

/// Where a layer's ends lie, from its first and last operations.
struct Ends {
    explicit Ends(const StepProgram& program) {
        const Block& forward = program.blocks[program.tasks.at(0).block.index()];
        const Block& backward = program.blocks[program.tasks.at(1).block.index()];
        input = std::get<Elementwise>(compute_at(forward, 0)).reads.at(0);
        output = std::get<Elementwise>(compute_at(forward, forward.ops.size() - 1)).writes.at(0);
        grad_input =
            std::get<Elementwise>(compute_at(backward, backward.ops.size() - 1)).writes.at(0);
        for (const BlockOp& op : backward.ops) {
            if (op.phase == Phase::backward) {  // after what is recomputed: dx of the last product
                grad_output = std::get<MatMul>(std::get<ComputeOp>(op.op)).a;
                break;
            }
        }
    }

    Slice input;
    Slice output;
    Slice grad_output;
    Slice grad_input;
};

/// What a layer leaves behind, by token and by parameter.
struct Result {
    std::vector<float> output;
    std::vector<float> grad_input;
    std::vector<float> gradients;  ///< summed over ranks with different tokens
};

class Layer {
  public:
    explicit Layer(const Parts& at) : at_(at), job_(programs_of(at), devices_of(at)) {}

    Result run(Timing timing) {
        for (std::size_t rank = 0; rank < ranks(); ++rank) {
            fill(job_.floats(rank, Space::parameter), 5, 0.3F);
            for (const Space space : {Space::workspace, Space::saved}) {
                fill(job_.floats(rank, space), 99, 1.0F);
            }
            std::ranges::fill(job_.floats(rank, Space::gradient), 0.0F);
            const Ends ends(job_.program(rank));
            for_each_value(rank, ends.input, [&](float& value, std::size_t index) {
                value = normal_value(1, static_cast<std::uint32_t>(index), 1.0F);
            });
            for_each_value(rank, ends.grad_output, [&](float& value, std::size_t index) {
                value = normal_value(2, static_cast<std::uint32_t>(index), 1.0F);
            });
        }
        job_.run_step(timing);
        return collect();
    }

  private:
    static std::vector<StepProgram> programs_of(const Parts& at) {
        std::vector<StepProgram> programs;
        for (std::int64_t rank = 0; rank < at.layout.ranks(); ++rank) {
            programs.push_back(layer_of(at, rank));
        }
        return programs;
    }

    static std::vector<std::unique_ptr<Device>> devices_of(const Parts& at) {
        std::vector<std::unique_ptr<Device>> devices;
        for (std::int64_t rank = 0; rank < at.layout.ranks(); ++rank) {
            devices.push_back(make_cpu_device({.cores = {allowed_cores().front()},
                                               .threads = 1,
                                               .precision = Precision::fp32,
                                               .seed = 3}));
        }
        return devices;
    }

    static void fill(std::span<float> values, std::uint32_t seed, float deviation) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = normal_value(seed, static_cast<std::uint32_t>(i), deviation);
        }
    }

    [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(at_.layout.ranks()); }

    /// Calls visit(value, its index among those of all tokens) over a [t, h] slice.
    template <class Visit>
    void for_each_value(std::size_t rank, const Slice& slice, const Visit& visit) {
        const Task& task = job_.program(rank).tasks.front();
        const std::span<float> all = job_.floats(rank, slice.space);
        const std::int64_t first = task.base_of(slice.space) + slice.offset;
        const std::int64_t position =
            coordinates_of(at_.layout, WorldRank{static_cast<std::int64_t>(rank)}).cp;
        for (std::int64_t i = 0; i < slice.elements; ++i) {
            const std::size_t token = token_of_row(at_, position, i / hidden);
            visit(all[static_cast<std::size_t>(first + i)],
                  token * hidden + static_cast<std::size_t>(i % hidden));
        }
    }

    Result collect() {
        Result result;
        const auto values = static_cast<std::size_t>(at_.batch * model_of().seq * hidden);
        result.output.resize(values);
        result.grad_input.resize(values);
        result.gradients.resize(job_.floats(0, Space::gradient).size());
        for (std::size_t rank = 0; rank < ranks(); ++rank) {
            const Ends ends(job_.program(rank));
            for_each_value(rank, ends.output, [&](float value, std::size_t index) {
                result.output[index] = value;
            });
            for_each_value(rank, ends.grad_input, [&](float value, std::size_t index) {
                result.grad_input[index] = value;
            });
            const std::span<float> own = job_.floats(rank, Space::gradient);
            std::ranges::transform(result.gradients, own, result.gradients.begin(), std::plus<>{});
        }
        return result;
    }

    Parts at_;
    LockstepJob job_;
};

void expect_close(const std::vector<float>& found, const std::vector<float>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    float largest = 0;
    float difference = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        largest = std::max(largest, std::abs(expected[i]));
        difference = std::max(difference, std::abs(found[i] - expected[i]));
    }
    EXPECT_GT(largest, 0.0F);
    EXPECT_LE(difference, 2e-5F * largest);
}

class ContextAttentionParts : public testing::TestWithParam<Parts> {};

TEST_P(ContextAttentionParts, compute_the_layer_of_whole_sequences) {
    Parts whole = GetParam();
    whole.layout = {};
    const Result expected = Layer(whole).run(Timing::early);
    for (const Timing timing : {Timing::early, Timing::late}) {
        const Result found = Layer(GetParam()).run(timing);
        expect_close(found.output, expected.output);
        expect_close(found.grad_input, expected.grad_input);
        expect_close(found.gradients, expected.gradients);
    }
}

std::vector<Parts> all_parts() {
    std::vector<Parts> list;
    for (const std::int64_t cp : {2, 3, 4}) {
        for (const std::int64_t batch : {1, 2}) {
            for (const auto exchange : {ContextExchange::ring, ContextExchange::all_gather}) {
                for (const auto balance : {ContextBalance::zigzag, ContextBalance::contiguous}) {
                    for (const auto recompute :
                         {Recompute::none, Recompute::selective, Recompute::full}) {
                        std::string name = "cp" + std::to_string(cp) + "_batch" +
                                           std::to_string(batch) + "_" +
                                           std::string(to_string(exchange)) + "_" +
                                           std::string(to_string(balance)) + "_" +
                                           std::string(to_string(recompute));
                        std::ranges::replace(name, '-', '_');
                        list.push_back({.name = name,
                                        .layout = {.cp = cp},
                                        .batch = batch,
                                        .exchange = exchange,
                                        .balance = balance,
                                        .recompute = recompute});
                    }
                }
            }
        }
    }
    return list;
}

INSTANTIATE_TEST_SUITE_P(All,
                         ContextAttentionParts,
                         testing::ValuesIn(all_parts()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace traindyno
