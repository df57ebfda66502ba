// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/pipeline_problems.hpp"

namespace traindyno {

namespace {

/// Bounds that keep ranks, tags and micro-batches inside 32 bits and sizes inside 64.
constexpr std::int64_t most_parallel = 1 << 20;
constexpr std::int64_t most_sequences = 1 << 30;
constexpr std::int64_t most_tokens = std::int64_t{1} << 30;
constexpr std::int64_t most_tasks = 20'000'000;

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
    if (layout.cp > 1) {
        problems.push_back(
            fmt::format("cp: {} is not possible (context parallelism is not available in this "
                        "version) leave cp at 1 and use tp or dp",
                        layout.cp));
    }
    if (layout.ep > 1) {
        problems.push_back(
            fmt::format("ep: {} is not possible (expert parallelism is not available in this "
                        "version) leave ep at 1 and use tp or dp",
                        layout.ep));
    }
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
    check_divides("tp", layout.tp, "ffn", model.ffn, equal_shares, problems);
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
    const std::int64_t per_micro_batch =
        2 * (model.layers + layout.pp * setup.virtual_stages + 2);
    if (micro_batches(layout, setup) > most_tasks / per_micro_batch) {
        problems.push_back(fmt::format(
            "global_batch: {} makes {} micro-batches per step (at most {} are possible with these "
            "layers and stages) use a smaller global_batch or a larger micro_batch",
            setup.global_batch,
            micro_batches(layout, setup),
            most_tasks / per_micro_batch));
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
        check_pipeline(model, layout, setup, problems);
        check_batch(model, layout, setup, problems);
    }
    return problems;
}

}  // namespace traindyno
