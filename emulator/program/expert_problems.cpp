// SPDX-License-Identifier: Apache-2.0
// What problems_of says about experts.
#include <cmath>

#include <fmt/format.h>

#include "emulator/program/expert_routes.hpp"

namespace traindyno {

namespace {

constexpr double most_capacity_factor = 1024;
constexpr double most_skew = 16;
constexpr std::int64_t most_rows = std::int64_t{1} << 30;

void check_loads(const TrainingSetup& setup, std::vector<std::string>& problems) {
    const auto check = [&](const char* key, double value, double most) {
        if (!std::isfinite(value) || value < 0 || value > most) {
            problems.push_back(fmt::format(
                "{}: {} is out of range (0 to {} are possible) use 0, or a value in between",
                key,
                value,
                most));
        }
    };
    check("capacity_factor", setup.capacity_factor, most_capacity_factor);
    check("expert_skew", setup.expert_skew, most_skew);
    if (setup.capacity_factor > 0 && setup.expert_skew > 0) {
        problems.emplace_back(
            "expert_skew: changes nothing beside capacity_factor (every expert takes exactly its "
            "capacity, padded) leave one of them out");
    }
}

/// What other settings do not go with experts.
void check_company(const Layout& layout,
                   const TrainingSetup& setup,
                   std::vector<std::string>& problems) {
    if (setup.precision == Precision::fp8) {
        problems.emplace_back(
            "precision: fp8 does not go with experts (an expert's tokens are rarely a multiple of "
            "16, which fp8 products need) use bf16");
    }
    if (layout.ep > 1 && layout.shard > 0 && layout.shard < layout.dp * layout.cp) {
        problems.push_back(fmt::format(
            "shard: {} does not go with ep {} (experts are sharded among the dp / ep ranks that "
            "hold them, which are no part of a shard group) leave shard out, or use ep 1",
            layout.shard,
            layout.ep));
    }
}

void check_division(const Model& model, const Layout& layout, std::vector<std::string>& problems) {
    if (layout.dp % layout.ep != 0) {
        problems.push_back(
            fmt::format("ep: {0} does not divide dp {1} (expert-parallel groups are parts of "
                        "data-parallel ones) choose a divisor of {1} or change dp",
                        layout.ep,
                        layout.dp));
    }
    if (model.experts % layout.ep != 0) {
        problems.push_back(
            fmt::format("ep: {0} does not divide experts {1} (every rank has equally many) choose "
                        "a divisor of {1}",
                        layout.ep,
                        model.experts));
    }
}

void check_rows(const Model& model,
                const Layout& layout,
                const TrainingSetup& setup,
                std::vector<std::string>& problems) {
    const bool cut = setup.sequence_parallel == SequenceParallel::on;
    const std::int64_t tokens = setup.micro_batch * model.seq;
    if (static_cast<double>(tokens) * static_cast<double>(model.top_k) >
        static_cast<double>(most_rows)) {
        problems.push_back(fmt::format(
            "micro_batch: {} tokens that visit {} experts each are too many (at most {} rows "
            "travel at once) use a smaller micro_batch",
            tokens,
            model.top_k,
            most_rows));
        return;
    }
    const ExpertRoutes routes(model, layout, setup, cut ? tokens / layout.tp : tokens);
    for (std::int64_t member = 0; member < routes.members(); ++member) {
        if (routes.rows_to(member) == 0) {
            problems.push_back(fmt::format(
                "expert_skew: {} leaves rank {} of an expert-parallel group without tokens (of {}) "
                "use a smaller expert_skew or ep, or a larger micro_batch",
                setup.expert_skew,
                member,
                tokens));
            return;
        }
    }
}

}  // namespace

std::vector<std::string> problems_of_experts(const Model& model,
                                             const Layout& layout,
                                             const TrainingSetup& setup) {
    std::vector<std::string> problems;
    if (model.experts == 0) {
        const auto refuse = [&](const char* key, double value, double without) {
            if (value != without) {
                problems.push_back(fmt::format(
                    "{}: {} is given for {} (it has no experts) leave it out, or choose a mixture "
                    "of experts",
                    key,
                    value,
                    model.name));
            }
        };
        refuse("ep", static_cast<double>(layout.ep), 1);
        refuse("capacity_factor", setup.capacity_factor, 0);
        refuse("expert_skew", setup.expert_skew, 0);
        return problems;
    }
    check_loads(setup, problems);
    check_division(model, layout, problems);
    check_company(layout, setup, problems);
    if (problems.empty()) {
        check_rows(model, layout, setup, problems);
    }
    return problems;
}

}  // namespace traindyno
