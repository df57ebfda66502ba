// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/step_program.hpp"

namespace traindyno {

std::int64_t extent_of(const Extents& extents, Space space) {
    switch (space) {
        case Space::parameter:
        case Space::gradient:
            return extents.parameter;
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
