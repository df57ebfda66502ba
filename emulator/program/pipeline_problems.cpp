// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/pipeline_problems.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

#include "emulator/program/build.hpp"
#include "emulator/program/sharding.hpp"

namespace traindyno {

namespace {

void check_equal_stages(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        std::vector<std::string>& problems) {
    const std::int64_t parts = layout.pp * setup.virtual_stages;
    if (model.layers % parts == 0) {
        return;
    }
    if (setup.virtual_stages == 1) {
        problems.push_back(fmt::format(
            "pp: {0} does not divide layers {1} (each pipeline stage takes equally many layers) "
            "choose a divisor of {1}, change layers, or give stage_layers",
            layout.pp,
            model.layers));
    } else {
        problems.push_back(fmt::format(
            "virtual_stages: {0} x pp {1} = {2} does not divide layers {3} (each chunk of a stage "
            "takes equally many layers) choose others, change layers, or give stage_layers",
            setup.virtual_stages,
            layout.pp,
            parts,
            model.layers));
    }
}

void check_given_stages(const Model& model,
                        const Layout& layout,
                        const TrainingSetup& setup,
                        std::vector<std::string>& problems) {
    const std::vector<std::int64_t>& given = setup.stage_layers;
    const std::int64_t parts = layout.pp * setup.virtual_stages;
    if (static_cast<std::int64_t>(given.size()) != parts) {
        problems.push_back(fmt::format(
            "stage_layers: {} counts are given for {} (one for each stage{}, in the order of the "
            "model) give {} or change pp",
            given.size(),
            parts,
            setup.virtual_stages > 1 ? " and chunk" : "",
            parts));
        return;
    }
    const auto [least, most] = std::minmax_element(given.begin(), given.end());
    if (*least < 1 || *most > model.layers) {
        problems.push_back(fmt::format(
            "stage_layers: {} layers are not possible (a stage holds from 1 to all {} layers) give "
            "each stage at least one and use fewer stages if there are not enough",
            *least < 1 ? *least : *most,
            model.layers));
        return;
    }
    const std::int64_t sum = std::accumulate(given.begin(), given.end(), std::int64_t{0});
    if (sum != model.layers) {
        problems.push_back(
            fmt::format("stage_layers: {} layers in all, the model has {} (each layer is on one "
                        "stage) change the counts or layers",
                        sum,
                        model.layers));
    }
}

void check_interleaving(const Layout& layout,
                        const TrainingSetup& setup,
                        std::vector<std::string>& problems) {
    if (setup.virtual_stages == 1) {
        return;
    }
    if (setup.schedule != Schedule::interleaved) {
        problems.push_back(fmt::format(
            "virtual_stages: {} does not go with schedule {} (only the interleaved schedule runs "
            "several chunks per stage) use schedule interleaved or leave virtual_stages at 1",
            setup.virtual_stages,
            to_string(setup.schedule)));
        return;
    }
    if (layout.pp == 1) {
        problems.push_back(fmt::format(
            "virtual_stages: {} needs more than one stage (a single stage has no neighbour to "
            "interleave with) use pp 2 or more, or leave virtual_stages at 1",
            setup.virtual_stages));
        return;
    }
    const std::int64_t sequences = layout.dp * setup.micro_batch;
    if (setup.global_batch % sequences == 0 && micro_batches(layout, setup) % layout.pp != 0) {
        problems.push_back(fmt::format(
            "global_batch: {} makes {} micro-batches, no multiple of pp {} (the interleaved "
            "schedule runs groups of pp micro-batches) choose a multiple of {}",
            setup.global_batch,
            micro_batches(layout, setup),
            layout.pp,
            sequences * layout.pp));
    }
}

/// What the deferred weight gradients of the zero-bubble schedule do not go with.
void check_zero_bubble(const Model& model,
                       const Layout& layout,
                       const TrainingSetup& setup,
                       std::vector<std::string>& problems) {
    const auto refuse =
        [&](std::string_view setting, std::string_view value, std::string_view why) {
            problems.push_back(
                fmt::format("{}: {} does not go with schedule zero-bubble (its deferred weight "
                            "gradients {}) use another schedule or change it",
                            setting,
                            value,
                            why));
        };
    if (setup.recompute != Recompute::none) {
        refuse("recompute", to_string(setup.recompute), "need the activations it drops");
    }
    if (setup.precision == Precision::fp8) {
        refuse("precision", "fp8", "would need fp8 copies kept from pass to pass");
    }
    if (sharding_of(model, layout, setup).gradients == GradientPlace::buffers) {
        const bool one = micro_batches(layout, setup) == 1;
        refuse(one ? "zero" : "gradient_reduction",
               one ? to_string(setup.zero) : to_string(setup.gradient_reduction),
               "are still missing when a layer's backward ends and its gradients are reduced");
    }
}

}  // namespace

void check_pipeline(const Model& model,
                    const Layout& layout,
                    const TrainingSetup& setup,
                    std::vector<std::string>& problems) {
    if (setup.stage_layers.empty()) {
        check_equal_stages(model, layout, setup, problems);
    } else {
        check_given_stages(model, layout, setup, problems);
    }
    check_interleaving(layout, setup, problems);
    if (setup.schedule == Schedule::zero_bubble) {
        check_zero_bubble(model, layout, setup, problems);
    }
}

}  // namespace traindyno
