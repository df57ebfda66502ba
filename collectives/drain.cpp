// SPDX-License-Identifier: Apache-2.0
#include "collectives/drain.hpp"

#include <cstdio>
#include <exception>

#include <sched.h>

namespace traindyno {

void drain(Pending::Operation& operation) noexcept {
    try {
        while (std::uncaught_exceptions() == 0 && !operation.advance()) {
            sched_yield();
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "traindyno: %s\n", error.what());
    }
}

}  // namespace traindyno
