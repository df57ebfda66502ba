// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/expert_routes.hpp"
#include "emulator/program/pipeline_problems.hpp"

namespace traindyno {

namespace {

/// Bounds that keep ranks, tags and micro-batches inside 32 bits and sizes inside 64.
constexpr std::int64_t most_parallel = 1 << 20;
constexpr std::int64_t most_sequences = 1 << 30;
constexpr std::int64_t most_tokens = std::int64_t{1} << 30;
constexpr std::int64_t most_tasks = 20'000'000;
constexpr std::int64_t most_prefetch = 1024;  // layers

struct Number {
    std::string_view key;
    std::int64_t value;
    std::int64_t most;
};

void check_range(const Number& number, std::vector<std::string>& problems) {
    if (number.value <= 0) {
        problems.push_back(
            fmt::format("{0}: {1} is not positive (at least one is needed) give {0} "
                        "a value from 1 to {2}",
                        number.key,
                        number.value,
                        number.most));
    } else if (number.value > number.most) {
        problems.push_back(
            fmt::format("{}: {} is too large (sizes beyond {} are not supported) check the number",
                        number.key,
                        number.value,
                        number.most));
    }
}

std::vector<std::string> problems_of_ranges(const Layout& layout, const TrainingSetup& setup) {
    const std::array numbers{Number{"tp", layout.tp, most_parallel},
                             Number{"cp", layout.cp, most_parallel},
                             Number{"ep", layout.ep, most_parallel},
                             Number{"dp", layout.dp, most_parallel},
                             Number{"pp", layout.pp, most_parallel},
                             Number{"virtual_stages", setup.virtual_stages, most_parallel},
                             Number{"micro_batch", setup.micro_batch, most_sequences},
                             Number{"global_batch", setup.global_batch, most_sequences}};
    std::vector<std::string> problems;
    for (const Number& number : numbers) {
        check_range(number, problems);
    }
    if (setup.bucket.value() < element_size(DType::fp32)) {
        problems.push_back(
            fmt::format("bucket: {} bytes hold no gradient (one fp32 value takes {}) use 25MiB",
                        setup.bucket.value(),
                        element_size(DType::fp32)));
    }
    return problems;
}

void check_divides(std::string_view divisor_key,
                   std::int64_t divisor,
                   std::string_view key,
                   std::int64_t value,
                   std::string_view why,
                   std::vector<std::string>& problems) {
    if (value % divisor != 0) {
        problems.push_back(
            fmt::format("{0}: {1} does not divide {2} {3} ({4}) choose a divisor of "
                        "{3} or change {2}",
                        divisor_key,
                        divisor,
                        key,
                        value,
                        why));
    }
}

void check_grid(const Layout& layout, std::vector<std::string>& problems) {
    const double ranks = static_cast<double>(layout.tp) * static_cast<double>(layout.cp) *
                         static_cast<double>(layout.dp) * static_cast<double>(layout.pp);
    if (ranks > std::numeric_limits<std::int32_t>::max()) {
        problems.push_back(
            fmt::format("tp, cp, dp, pp: make {:.2g} ranks (more than 2^31 cannot "
                        "be numbered) use smaller ones",
                        ranks));
    }
}

void check_shards(const Model& model, const Layout& layout, std::vector<std::string>& problems) {
    constexpr std::string_view equal_shares = "each tensor-parallel rank takes an equal share";
    check_divides("tp", layout.tp, "heads", model.heads, equal_shares, problems);
    if (model.kv_heads != model.heads) {
        check_divides("tp", layout.tp, "kv_heads", model.kv_heads, equal_shares, problems);
    }
    if (model.layers_with_mlp() > 0) {
        check_divides("tp", layout.tp, "ffn", model.ffn, equal_shares, problems);
    }
    if (model.experts > 0) {
        check_divides("tp", layout.tp, "expert_ffn", model.expert_ffn, equal_shares, problems);
    }
}

void check_context_parallel(const Model& model,
                            const Layout& layout,
                            const TrainingSetup& setup,
                            std::vector<std::string>& problems) {
    if (layout.cp == 1) {
        return;
    }
    const bool zigzag = setup.context_balance == ContextBalance::zigzag;
    const std::int64_t parts = zigzag ? 2 * layout.cp : layout.cp;
    if (model.seq % parts != 0) {
        problems.push_back(fmt::format(
            "cp: {} does not cut seq {} into {} equal parts (each context-parallel rank has {} of "
            "them with context_balance {}) change cp or seq{}",
            layout.cp,
            model.seq,
            parts,
            zigzag ? "two" : "one",
            to_string(setup.context_balance),
            zigzag && model.seq % layout.cp == 0 ? ", or use context_balance contiguous" : ""));
    }
    if (model.experts > 0) {
        problems.push_back(
            fmt::format("cp: {} does not go with experts (expert parallelism over context-parallel "
                        "ranks is not supported) use cp 1, or a model without experts",
                        layout.cp));
    }
    if (setup.precision == Precision::fp8) {
        problems.push_back(
            fmt::format("precision: fp8 does not go with cp {} (scales of tensors that several "
                        "attentions write are not supported) use bf16, or cp 1",
                        layout.cp));
    }
}

void check_sequence_parallel(const Model& model,
                             const Layout& layout,
                             const TrainingSetup& setup,
                             std::vector<std::string>& problems) {
    const bool on = setup.sequence_parallel == SequenceParallel::on;
    if (on && layout.tp == 1) {
        problems.emplace_back(
            "sequence_parallel: on has nothing to cut with tp 1 (tensor-parallel ranks share the "
            "tokens between products) give --tp, or leave it off");
    }
    if (on) {
        check_divides("tp",
                      layout.tp,
                      layout.cp > 1 ? "seq / cp" : "seq",
                      model.seq / layout.cp,
                      "sequence parallelism gives each tensor-parallel rank an equal part of a "
                      "sequence",
                      problems);
    }
    if (setup.overlap_tp == Overlap::off) {
        return;
    }
    if (!on) {
        problems.emplace_back(
            "overlap_tp: on needs sequence_parallel (gathering and scattering tokens go chunk by "
            "chunk beside a product, all-reduces do not) switch sequence_parallel on");
    }
    const std::int64_t tokens = setup.micro_batch * (model.seq / layout.cp);
    if (tokens % (layout.tp * layout.tp) != 0) {
        problems.push_back(fmt::format(
            "overlap_tp: tp {0} x tp {0} does not divide the {1} tokens of a micro-batch (a rank's "
            "part of the tokens is cut into tp chunks) change micro_batch or seq, or leave it off",
            layout.tp,
            tokens));
    }
    if (setup.precision == Precision::fp8) {
        problems.emplace_back(
            "overlap_tp: on is not possible with precision fp8 (a cast covers all rows of a "
            "product, not its chunks) use bf16, or leave it off");
    }
}

void check_batch(const Model& model,
                 const Layout& layout,
                 const TrainingSetup& setup,
                 std::vector<std::string>& problems) {
    const std::int64_t sequences = layout.dp * setup.micro_batch;
    if (setup.global_batch % sequences != 0) {
        problems.push_back(fmt::format(
            "global_batch: {} is not a multiple of dp {} x micro_batch {} (every replica runs "
            "equally many whole micro-batches) choose a multiple of {}",
            setup.global_batch,
            layout.dp,
            setup.micro_batch,
            sequences));
        return;
    }
    if (setup.micro_batch * model.seq > most_tokens) {
        problems.push_back(fmt::format(
            "micro_batch: {} sequences of {} tokens are too many (at most {} tokens pass through a "
            "layer at once) use a smaller micro_batch",
            setup.micro_batch,
            model.seq,
            most_tokens));
    }
    // Messages are numbered per micro-batch, boundary and direction; tasks per layer and direction.
    const std::int64_t per_micro_batch = 2 * (model.layers + layout.pp * setup.virtual_stages + 2);
    if (micro_batches(layout, setup) > most_tasks / per_micro_batch) {
        problems.push_back(fmt::format(
            "global_batch: {} makes {} micro-batches per step (at most {} are possible with these "
            "layers and stages) use a smaller global_batch or a larger micro_batch",
            setup.global_batch,
            micro_batches(layout, setup),
            most_tasks / per_micro_batch));
    }
}

void check_shard_size(const Layout& layout,
                      const TrainingSetup& setup,
                      std::vector<std::string>& problems) {
    if (layout.shard == 0) {
        return;
    }
    const std::int64_t replicas = layout.dp * layout.cp;
    if (setup.zero == Zero::none) {
        problems.push_back(
            fmt::format("shard: {} is given with zero 0 (nothing is sharded then) use zero 1, 2 or "
                        "3, or leave shard out",
                        layout.shard));
    } else if (layout.shard == 1 && replicas > 1) {
        problems.emplace_back(
            "shard: 1 shards nothing (a rank has nobody to share its state with) use zero 0, or a "
            "larger shard");
    } else if (layout.shard < 0 || replicas % std::max<std::int64_t>(layout.shard, 1) != 0) {
        problems.push_back(
            fmt::format("shard: {} does not divide dp x cp {} (shard groups are equally large) "
                        "choose a divisor of {}, or 0 for all",
                        layout.shard,
                        replicas,
                        replicas));
    }
}

void check_sharding(const Layout& layout,
                    const TrainingSetup& setup,
                    std::vector<std::string>& problems) {
    check_shard_size(layout, setup, problems);
    const bool several = setup.global_batch > layout.dp * setup.micro_batch;
    const bool every = several && setup.gradient_reduction == GradientReduction::every_micro_batch;
    if (setup.zero == Zero::optimizer && every) {
        problems.emplace_back(
            "gradient_reduction: every-micro-batch does not go with zero 1 (gradients reduced "
            "early are kept in shards, which is zero 2) use zero 2, or last-micro-batch");
    }
    const bool whole_shards =
        setup.zero == Zero::optimizer || (setup.zero > Zero::optimizer && several && !every);
    if (setup.memory == MemoryMode::aliased && whole_shards && layout.dp * layout.cp > 1) {
        problems.emplace_back(
            "memory: aliased does not go with sharding that keeps whole gradients (layers would "
            "add to what is on the wire, in place) use zero 2 or 3 with gradient_reduction "
            "every-micro-batch, zero 0, or memory faithful");
    }
    if (setup.zero == Zero::parameters && setup.precision == Precision::fp8) {
        problems.emplace_back(
            "precision: fp8 does not go with zero 3 (fp8 copies of weights are kept for the whole "
            "step, which zero 3 saves the memory of) use zero 2, or precision bf16");
    }
    if (setup.gradient_type != DType::fp32 &&
        (setup.gradient_type != DType::bf16 || storage_type(setup.precision) != DType::bf16)) {
        problems.push_back(
            fmt::format("gradient_type: {} does not go with precision {} (main gradients are fp32, "
                        "or bf16 beside bf16 tensors) use fp32, or precision bf16",
                        to_string(setup.gradient_type),
                        to_string(setup.precision)));
    }
    if (setup.prefetch < 0 || setup.prefetch > most_prefetch) {
        problems.push_back(
            fmt::format("prefetch: {} is not a number of layers to gather ahead (0 to {} are) use "
                        "1",
                        setup.prefetch,
                        most_prefetch));
    }
}

}  // namespace

std::vector<std::string> problems_of(const Model& model,
                                     const Layout& layout,
                                     const TrainingSetup& setup) {
    std::vector<std::string> problems = problems_of(model);
    const std::vector<std::string> ranges = problems_of_ranges(layout, setup);
    const bool in_range = problems.empty() && ranges.empty();
    problems.insert(problems.end(), ranges.begin(), ranges.end());
    if (in_range) {
        check_grid(layout, problems);
        check_shards(model, layout, problems);
        check_context_parallel(model, layout, setup, problems);
        check_sequence_parallel(model, layout, setup, problems);
        check_pipeline(model, layout, setup, problems);
        check_batch(model, layout, setup, problems);
        check_sharding(layout, setup, problems);
        const std::vector<std::string> of_experts = problems_of_experts(model, layout, setup);
        problems.insert(problems.end(), of_experts.begin(), of_experts.end());
    }
    return problems;
}

}  // namespace traindyno
