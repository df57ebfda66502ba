// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/workload_request.hpp"

#include "emulator/cli/sharding_request.hpp"

namespace traindyno {

namespace {

/// The model that an import described; --model wins over it.
std::optional<Model> imported_model(const Flags& flags) {
    for (const FlagImport& each : flags.imports) {
        if (each.content.model) {
            return each.content.model;
        }
    }
    return std::nullopt;
}

void read_model(const Flags& flags,
                const FlagReader& read,
                Workload& workload,
                Problems& problems) {
    const auto name = read.text("model");
    const std::optional<Model> imported = imported_model(flags);
    if (!name && !(imported && !read.given("model"))) {
        if (!read.given("model")) {
            problems.add(
                "--model: missing (there is nothing to train) name one, e.g. --model gpt3-125m");
        }
        return;
    }
    const ModelOverrides overrides{.shrink = read.count("shrink").value_or(1),
                                   .layers = read.count("layers"),
                                   .seq = read.count("seq")};
    problems.collect([&] {
        const Model loaded = name ? load_model(*name) : *imported;
        if (name) {
            workload.left_out = left_out_of_model(*name);
        }
        workload.model = apply(loaded, overrides);
        if (workload.model != loaded) {
            workload.original = loaded;
        }
    });
}

/// Micro-batches that keep a pipeline busy: its bubble is (pp-1)/m of the step.
constexpr std::int64_t micro_batches_per_stage = 4;

constexpr double largest_factor = 1024;
constexpr double largest_skew = 16;

}  // namespace

Workload read_workload(const Flags& flags,
                       const FlagReader& read,
                       Precision default_precision,
                       Problems& problems) {
    Workload workload;
    read_model(flags, read, workload, problems);
    const TrainingSetup defaults;
    workload.setup = {
        .micro_batch = read.count("micro-batch").value_or(1),
        .global_batch = 1,
        .precision = read.choice<Precision>("precision").value_or(default_precision),
        .recompute = read.choice<Recompute>("recompute").value_or(defaults.recompute),
        .schedule = read.choice<Schedule>("schedule").value_or(defaults.schedule),
        .bucket = read.bytes("bucket").value_or(defaults.bucket),
        .overlap_gradients =
            read.choice<Overlap>("overlap-gradients").value_or(defaults.overlap_gradients),
        .overlap_p2p = read.choice<Overlap>("overlap-p2p").value_or(defaults.overlap_p2p),
        .memory = read.choice<MemoryMode>("memory").value_or(defaults.memory),
        .sequence_parallel =
            read.choice<SequenceParallel>("sequence-parallel").value_or(defaults.sequence_parallel),
        .overlap_tp = read.choice<Overlap>("overlap-tp").value_or(defaults.overlap_tp),
        .context_exchange =
            read.choice<ContextExchange>("context-exchange").value_or(defaults.context_exchange),
        .context_balance =
            read.choice<ContextBalance>("context-balance").value_or(defaults.context_balance),
        .capacity_factor = read.number("capacity-factor", {.low = 0, .high = largest_factor})
                               .value_or(defaults.capacity_factor),
        .expert_skew = read.number("expert-skew", {.low = 0, .high = largest_skew})
                           .value_or(defaults.expert_skew)};
    read_sharding(read, workload, problems);
    workload.tp = read.count("tp").value_or(1);
    workload.pp = read.count("pp").value_or(1);
    workload.cp = read.count("cp").value_or(1);
    workload.ep = read.count("ep").value_or(1);
    read_stages(read, workload, problems);
    return workload;
}

Layout layout_of(const Workload& workload, std::int64_t dp) {
    return {.tp = workload.tp,
            .cp = workload.cp,
            .ep = workload.ep,
            .dp = dp,
            .pp = workload.pp,
            .shard = shard_of(workload, dp * workload.cp)};
}

std::int64_t batch_per_replica(const FlagReader& read, const Workload& workload) {
    const std::int64_t micro_batches = workload.pp == 1 ? 1 : micro_batches_per_stage * workload.pp;
    return read.count("batch-per-replica").value_or(workload.setup.micro_batch * micro_batches);
}

}  // namespace traindyno
