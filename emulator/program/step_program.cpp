// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_program.hpp"

namespace traindyno {

std::int64_t extent_of(const Extents& extents, Space space) {
    switch (space) {
        case Space::parameter:
            return extents.parameter;
        case Space::gradient:
            return extents.gradient.value_or(extents.parameter);
        case Space::master:
        case Space::adam_m:
        case Space::adam_v:
            return extents.state.value_or(extents.parameter);
        case Space::saved:
            return extents.saved;
        case Space::workspace:
            return extents.workspace;
        case Space::scalar:
            return extents.scalar;
    }
    return 0;
}

}  // namespace traindyno
