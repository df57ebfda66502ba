// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/build.hpp"

#include "emulator/base/error.hpp"
#include "emulator/program/step_builder.hpp"

namespace traindyno {

StepProgram build_step(const Model& model,
                       const Layout& layout,
                       const TrainingSetup& setup,
                       WorldRank rank) {
    std::vector<std::string> problems = problems_of(model, layout, setup);
    if (!problems.empty()) {
        throw ConfigError(std::move(problems));
    }
    return StepBuilder(model, layout, setup, rank).build();
}

std::int64_t micro_batches(const Layout& layout, const TrainingSetup& setup) {
    return setup.global_batch / (layout.dp * setup.micro_batch);
}

std::int64_t padded_vocab(const Model& model, const Layout& layout) {
    const std::int64_t multiple = 128 * layout.tp;
    return (model.vocab + multiple - 1) / multiple * multiple;
}

}  // namespace traindyno
