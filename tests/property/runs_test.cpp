// SPDX-License-Identifier: Apache-2.0
// Every rank of a random valid case runs to the end on the timed device.
#include <gtest/gtest.h>

#include "tests/property/in_process_job.hpp"
#include "tests/property/random_cases.hpp"

namespace traindyno::test {

TEST(RandomRuns, end_on_timed_devices_with_right_values) {
    check_cases(200, [](const Case& at) {
        return run_in_process(build_all(at.model, at.layout, at.setup), 2, 1);
    });
}

}  // namespace traindyno::test
