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
#include "tests/support/context_layer.hpp"
#include "tests/support/lockstep_job.hpp"

namespace traindyno {
namespace {

using test::ContextLayer;
using test::LayerResult;
using test::LockstepJob;
using test::Parts;
using test::Timing;

struct NamedParts {
    std::string name;
    Parts parts;

    friend void PrintTo(const NamedParts& value, std::ostream* out) { *out << value.name; }
};

LayerResult run(const Parts& parts, Timing timing) {
    std::vector<ContextLayer> layers;
    std::vector<StepProgram> programs;
    std::vector<std::unique_ptr<Device>> devices;
    for (std::int64_t rank = 0; rank < parts.layout.ranks(); ++rank) {
        layers.emplace_back(parts, WorldRank{rank});
        programs.push_back(layers.back().program());
        devices.push_back(make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1}));
    }
    LockstepJob job(std::move(programs), std::move(devices));
    for (std::size_t rank = 0; rank < layers.size(); ++rank) {
        layers[rank].fill(job.device(rank));
    }
    job.run_step(timing);
    LayerResult result;
    for (std::size_t rank = 0; rank < layers.size(); ++rank) {
        layers[rank].collect(job.device(rank), result);
    }
    return result;
}

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

class ContextAttentionParts : public testing::TestWithParam<NamedParts> {};

TEST_P(ContextAttentionParts, compute_the_layer_of_whole_sequences) {
    Parts whole = GetParam().parts;
    whole.layout = {};
    const LayerResult expected = run(whole, Timing::early);
    for (const Timing timing : {Timing::early, Timing::late}) {
        const LayerResult found = run(GetParam().parts, timing);
        expect_close(found.output, expected.output);
        expect_close(found.grad_input, expected.grad_input);
        expect_close(found.gradients, expected.gradients);
    }
}

const Model gpt{.name = "gpt",
                .layers = 1,
                .hidden = 32,
                .heads = 4,
                .kv_heads = 2,
                .head_size = 8,
                .ffn = 64,
                .seq = 48,
                .vocab = 100};

std::vector<NamedParts> all_parts() {
    std::vector<NamedParts> list;
    const auto add = [&](const Parts& parts) {
        std::string name =
            "cp" + std::to_string(parts.layout.cp) + "_batch" + std::to_string(parts.batch) + "_" +
            std::string(to_string(parts.exchange)) + "_" + std::string(to_string(parts.balance)) +
            "_" + std::string(to_string(parts.recompute));
        std::ranges::replace(name, '-', '_');
        list.push_back({.name = name, .parts = parts});
    };
    for (const std::int64_t cp : {2, 3, 4}) {
        for (const auto exchange : {ContextExchange::ring, ContextExchange::all_gather}) {
            for (const auto balance : {ContextBalance::zigzag, ContextBalance::contiguous}) {
                for (const auto recompute :
                     {Recompute::none, Recompute::selective, Recompute::full}) {
                    add({.model = gpt,
                         .layout = {.cp = cp},
                         .batch = cp == 3 ? 2 : 1,
                         .exchange = exchange,
                         .balance = balance,
                         .recompute = recompute});
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
