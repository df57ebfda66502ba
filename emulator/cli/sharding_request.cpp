// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/sharding_request.hpp"

#include <fmt/format.h>

namespace traindyno {

void read_sharding(const FlagReader& read, Workload& workload, Problems& problems) {
    TrainingSetup& setup = workload.setup;
    setup.zero = read.choice<Zero>("zero").value_or(setup.zero);
    setup.prefetch =
        read.whole("prefetch", {.low = 0, .high = largest_count}).value_or(setup.prefetch);
    setup.overlap_parameters =
        read.choice<Overlap>("overlap-parameters").value_or(setup.overlap_parameters);
    setup.gradient_type = read.choice<DType>("gradient-type").value_or(setup.gradient_type);
    setup.gradient_reduction =
        read.choice<GradientReduction>("gradient-reduction").value_or(setup.gradient_reduction);
    workload.shard = read.count("shard").value_or(0);
    const auto need = [&](const char* flag, bool useful, const char* zero) {
        if (read.given(flag) && !useful) {
            problems.add(fmt::format(
                "{}: does nothing with --zero {} (it is about what replicas shard) add --zero {}, "
                "or drop it",
                read.origin(flag),
                to_string(setup.zero),
                zero));
        }
    };
    need("shard", setup.zero != Zero::none, "1, 2 or 3");
    need("overlap-parameters", setup.zero != Zero::none, "1, 2 or 3");
    need("prefetch", setup.zero == Zero::parameters, "3");
}

std::int64_t shard_of(const Workload& workload, std::int64_t replicas) {
    return workload.shard < replicas ? workload.shard : 0;
}

}  // namespace traindyno
