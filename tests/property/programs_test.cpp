// SPDX-License-Identifier: Apache-2.0
// Whatever problems_of lets through makes programs that fit together and do what formulas say.
#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "emulator/model/forward_flops.hpp"
#include "emulator/program/expert_routes.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/property/random_cases.hpp"

namespace traindyno::test {

namespace {

std::string text_of(const std::vector<Volume>& volumes) {
    std::string text;
    for (const Volume& volume : volumes) {
        text += fmt::format("  {} {}: {} of {} bytes, {} on the wire\n",
                            to_string(volume.group),
                            volume.op,
                            volume.count,
                            volume.payload.value(),
                            volume.on_the_wire.value());
    }
    return text;
}

std::string wrong_volumes(const Case& at, const StepProgram& program) {
    const std::int64_t position =
        group_of(at.layout, GroupKind::ep, program.rank).rank_of(program.rank).value();
    const std::vector<Volume> counted = counted_volumes(program);
    const std::vector<Volume> wanted =
        closed_form_volumes(at.model, at.layout, at.setup, program.stage, position);
    return counted == wanted ? ""
                             : fmt::format("rank {} moves\n{}by the closed forms\n{}",
                                           program.rank.value(),
                                           text_of(counted),
                                           text_of(wanted));
}

/// Of one pass of all replicas' tokens forward through the model, by what backward and
/// recomputation make of them.
struct Work {
    double linear = 0;
    double attention = 0;
    double logits = 0;
};

/// The model's FLOPs with its vocabulary padded, the slots of its experts as they are routed, and
/// every tensor-parallel rank running the routers on all tokens that it has.
Work work_of(const Case& at) {
    Model model = at.model;
    model.vocab = padded_vocab(model, at.layout);
    const ForwardFlops per_token = forward_flops_per_token(model);
    const auto tokens = static_cast<double>(at.setup.global_batch * model.seq);
    Work work{.linear = tokens * per_token.linear.value(),
              .attention = tokens * per_token.attention.value(),
              .logits = tokens * per_token.logits.value()};
    if (model.experts > 0) {
        const bool cut = at.setup.sequence_parallel == SequenceParallel::on;
        const std::int64_t rows = at.setup.micro_batch * model.seq / (cut ? at.layout.tp : 1);
        const ExpertRoutes routes(model, at.layout, at.setup, rows);
        const auto layers = static_cast<double>(model.layers - model.dense_layers);
        const double slots = static_cast<double>(routes.sent()) / static_cast<double>(rows);
        work.linear += tokens * layers * (slots - static_cast<double>(model.top_k)) * 2 *
                       static_cast<double>(expert_parameters(model));
        work.linear += tokens * layers * static_cast<double>(cut ? 0 : at.layout.tp - 1) * 2 *
                       static_cast<double>(model.hidden * model.experts);
    }
    return work;
}

/// Backward multiplies each matrix twice and makes five score products for forward's two.
std::string wrong_flops(const Case& at, const std::vector<StepProgram>& programs) {
    const auto executed = [&](Phase phase) {
        double sum = 0;
        for (const StepProgram& program : programs) {
            sum += executed_flops(program, phase).value();
        }
        return sum;
    };
    const Work work = work_of(at);
    const bool full = at.setup.recompute == Recompute::full;
    const double again = full                                         ? work.linear + work.attention
                         : at.setup.recompute == Recompute::selective ? work.attention
                                                                      : 0;
    std::string text;
    const auto compare = [&](const char* what, double found, double wanted) {
        if (std::abs(found - wanted) > 1e-9 * wanted) {
            text += fmt::format(
                "{} FLOPs: {} in the programs, {} by the closed form\n", what, found, wanted);
        }
    };
    compare("forward", executed(Phase::forward), work.linear + work.attention + work.logits);
    compare("backward",
            executed(Phase::backward) + executed(Phase::weights),
            2 * work.linear + 2.5 * work.attention + 2 * work.logits);
    compare("recomputation", executed(Phase::recompute), again);
    return text;
}

}  // namespace

TEST(RandomPrograms, verify_and_do_what_the_closed_forms_say) {
    check_cases(3000, [](const Case& at) {
        const std::vector<StepProgram> programs = build_all(at.model, at.layout, at.setup);
        std::string problems = fmt::format("{}", fmt::join(verify(programs), "\n"));
        for (const StepProgram& program : programs) {
            if (problems.empty()) {
                problems = wrong_volumes(at, program);
            }
        }
        return problems + wrong_flops(at, programs);
    });
}

}  // namespace traindyno::test
