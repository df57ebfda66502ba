// SPDX-License-Identifier: Apache-2.0
// Time and memory to build a rank's program of GPT-3 175B (tp 8, pp 16, 6 chunks, 192
// micro-batches) and to verify the pipeline it belongs to. Prints one row per schedule.
#include <algorithm>
#include <ctime>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>

#include "emulator/model/catalog.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/verify.hpp"

namespace traindyno {
namespace {

/// Of the processor: other processes take no part in it.
double seconds_since(std::clock_t begin) {
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

/// The shortest of several runs, in seconds: what other processes evict only ever adds.
template <class Action>
double shortest(Action&& action) {
    constexpr int runs = 5;
    double least = 1e9;
    for (int run = 0; run < runs; ++run) {
        const std::clock_t begin = std::clock();
        action();
        least = std::min(least, seconds_since(begin));
    }
    return least;
}

double peak_mebibytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024;
}

void measure(Schedule schedule, std::int64_t chunks) {
    const Model model = load_model("gpt3-175b");
    const Layout layout{.tp = 8, .dp = 8, .pp = 16};
    TrainingSetup setup{.global_batch = layout.dp * 192, .precision = Precision::bf16};
    setup.schedule = schedule;
    setup.virtual_stages = chunks;
    const auto program_of = [&](std::int64_t stage) {
        return build_step(model, layout, setup, rank_at(layout, {.pp = stage}));
    };
    std::size_t tasks = 0;
    const double build = shortest([&] { tasks = program_of(layout.pp / 2).tasks.size(); });
    const double built_mebibytes = peak_mebibytes();
    std::vector<StepProgram> programs;
    for (std::int64_t stage = 0; stage < layout.pp; ++stage) {
        programs.push_back(program_of(stage));
    }
    std::size_t problems = 0;
    const double verify =
        shortest([&] { problems = verify_stages(programs, layout.ranks()).size(); });
    fmt::print("{:<12} {:>2} {:>7} {:>9.4f} {:>9.1f} {:>9.4f} {:>9.4f} {:>9.1f} {:>3}\n",
               to_string(schedule),
               chunks,
               tasks,
               build,
               built_mebibytes,
               verify,
               build + verify / static_cast<double>(layout.pp),
               peak_mebibytes(),
               problems);
}

}  // namespace
}  // namespace traindyno

int main() {
    using traindyno::Schedule;
    fmt::print("{:<12} {:>2} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {}\n",
               "schedule",
               "v",
               "tasks",
               "build s",
               "MiB",
               "verify s",
               "s/rank",
               "peak MiB",
               "problems");
    traindyno::measure(Schedule::interleaved, 6);
    traindyno::measure(Schedule::one_f_one_b, 1);
    traindyno::measure(Schedule::zero_bubble, 1);
    traindyno::measure(Schedule::gpipe, 1);
    return 0;
}
