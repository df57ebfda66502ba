// SPDX-License-Identifier: Apache-2.0
// Communication volume of a step: counted in a program, and in closed form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// Traffic of one rank in one step: `count` operations with `payload` bytes of buffers in total.
struct Volume {
    GroupKind group = GroupKind::dp;
    std::string op;  ///< all_reduce, reduce_scatter, all_gather, all_to_all, send, recv
    std::int64_t count = 0;
    Bytes payload;
    Bytes on_the_wire;  ///< bytes this rank sends: ring all-reduce 2(n-1)/n of the payload, other
                        ///< collectives (n-1)/n, send all of it

    friend bool operator==(const Volume&, const Volume&) = default;
};

/// What the operations of `program` add up to, ordered by group kind, then op.
[[nodiscard]] std::vector<Volume> counted_volumes(const StepProgram& program);

/// The same from formulas alone (collectives/README.md).
[[nodiscard]] std::vector<Volume> closed_form_volumes(const Model& model,
                                                      const Layout& layout,
                                                      const TrainingSetup& setup,
                                                      Stage stage);

}  // namespace traindyno
