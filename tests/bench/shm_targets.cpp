// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/shm_targets.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

bool Target::met() const {
    switch (bound) {
        case Bound::at_least:
            return figure >= value;
        case Bound::at_most:
            return figure <= value;
        case Bound::below:
            break;
    }
    return figure < value;
}

double spread(const std::vector<double>& samples) {
    const auto [fastest, slowest] = std::minmax_element(samples.begin(), samples.end());
    return *slowest / *fastest;
}

std::vector<Target> targets_of(const Line& line, const Samples& samples) {
    const bool whole = line.operation == Operation::all_reduce;
    const double part = whole ? 1.0 : 0.5;
    const bool large = line.bytes == 64 * mib || line.bytes == 256 * mib;
    const bool medium = line.bytes == 16 * mib;
    std::vector<Target> targets;
    const auto times_faster = [&](const char* what, Way way, Way than, double value) {
        targets.push_back({.what = what,
                           .value = value,
                           .figure = median_ratio(of(samples, than), of(samples, way))});
    };
    if (line.type == DType::bf16) {
        if (medium || large) {
            // Rounded: where memory is the limit the two take the same time.
            times_faster("heap, bytes/s of fp32", Way::heap, Way::heap_fp32, 0.995);
            times_faster("ordinary, bytes/s of fp32", Way::ordinary, Way::ordinary_fp32, 0.995);
        }
        return targets;
    }
    if (line.bytes == 4 * kib || medium || large) {
        times_faster("heap, x MPI", Way::heap, Way::mpi, part * (large ? 6 : 4));
    }
    if (whole && (medium || large)) {
        targets.push_back(
            {.what = "heap, x copies' time",
             .bound = Bound::at_most,
             .value = 1.2,
             .figure = median_ratio(of(samples, Way::heap), of(samples, Way::copies))});
    }
    if (large) {
        times_faster("ordinary, x MPI", Way::ordinary, Way::mpi, part * 3.5);
        targets.push_back({.what = "ordinary, spread",
                           .bound = Bound::below,
                           .value = 1.5,
                           .figure = spread(of(samples, Way::ordinary))});
    }
    return targets;
}

std::string to_text(const Target& target) {
    const char* const relation = target.bound == Bound::at_least  ? ">="
                                 : target.bound == Bound::at_most ? "<="
                                                                  : "<";
    return fmt::format("{} {} {:.3g}: {:.2f} {}",
                       target.what,
                       relation,
                       target.value,
                       target.figure,
                       target.met() ? "met" : "MISSED");
}

}  // namespace traindyno::bench
