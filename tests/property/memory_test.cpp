// SPDX-License-Identifier: Apache-2.0
// The memory model is what devices allocate and what programs use, no less and hardly more.
#include "emulator/program/memory.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/cpu/gemm.hpp"
#include "emulator/device/space_memory.hpp"
#include "emulator/program/arena.hpp"
#include "emulator/program/slice_use.hpp"
#include "emulator/program/stage_layers.hpp"
#include "tests/property/random_cases.hpp"

namespace traindyno::test {

namespace {

constexpr double tolerance = 0.01;

/// Large enough that alignment, pages and what a device keeps beside its arrays count little.
Case enlarged(Case at) {
    constexpr std::int64_t factor = 6;
    for (std::int64_t* size : {&at.model.hidden,
                               &at.model.head_size,
                               &at.model.ffn,
                               &at.model.expert_ffn,
                               &at.model.vocab}) {
        *size *= factor;
    }
    return at;
}

/// One rank of each stage: the others of a stage need the same.
template <class CheckProgram>
std::string for_each_stage(const Case& at, const CheckProgram& check) {
    for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
        const WorldRank rank = rank_at(at.layout, {.pp = stage});
        std::string problem = check(build_step(at.model, at.layout, at.setup, rank));
        if (!problem.empty()) {
            return fmt::format("rank {}: {}", rank.value(), problem);
        }
    }
    return "";
}

std::string wrong_arrays(const StepProgram& program) {
    const SpaceMemory memory(program, Paging::lazy);
    std::size_t allocated = 0;
    for (std::size_t space = 0; space < enum_count<Space>; ++space) {
        allocated += memory.all(static_cast<Space>(space)).size();
    }
    const auto wanted = static_cast<std::size_t>(total(memory_items(program)).value());
    return allocated == wanted
               ? ""
               : fmt::format("{} bytes are allocated, {} by the model", allocated, wanted);
}

/// Elements of `space` that some operation uses, pieces rounded up as the arena does.
std::int64_t used_elements(const StepProgram& program, Space space) {
    std::vector<std::pair<std::int64_t, std::int64_t>> uses;
    for (const Task& task : program.tasks) {
        for (const BlockOp& op : program.blocks[task.block.index()].ops) {
            for (const SliceUse& use : slices_of(op.op)) {
                if (use.slice.space == space) {
                    const std::int64_t begin = task.base_of(space) + use.slice.offset;
                    uses.emplace_back(begin, aligned(begin + use.slice.elements));
                }
            }
        }
    }
    std::sort(uses.begin(), uses.end());
    std::int64_t used = 0;
    std::int64_t end = 0;
    for (const auto& [first, last] : uses) {
        used += std::max<std::int64_t>(0, last - std::max(first, end));
        end = std::max(end, last);
    }
    return used;
}

/// Whether a space may hold more than what is used, by design: slots are as large as the largest of
/// several chunks, buffers that layers take in turn as the largest of two kinds of layers, and
/// context-parallel ranks have places for all that any of them attends to.
bool is_uneven(const Case& at, const StepProgram& program, Space space) {
    const std::int64_t dense = dense_layers_of_stage(at.model, at.layout, at.setup, program.stage);
    const bool two_kinds =
        dense > 0 && dense < layers_of_stage(at.model, at.layout, at.setup, program.stage);
    return (space == Space::saved && at.setup.virtual_stages > 1) ||
           (space == Space::workspace && at.layout.cp > 1) ||
           ((space == Space::gradient || space == Space::parameter) && two_kinds);
}

/// In faithful memory: aliased layers keep room for the largest.
std::string unused_memory(const Case& at, const StepProgram& program) {
    std::string text;
    for (std::size_t i = 0; at.setup.memory == MemoryMode::faithful && i < enum_count<Space>; ++i) {
        const auto space = static_cast<Space>(i);
        if (is_uneven(at, program, space)) {
            continue;
        }
        const std::int64_t extent = extent_of(program.extents, space);
        const std::int64_t used = used_elements(program, space);
        if (static_cast<double>(used) < (1 - tolerance) * static_cast<double>(extent)) {
            text += fmt::format(
                "{} of {} elements are used in space {}\n", used, extent, to_string(space));
        }
    }
    return text;
}

/// Of this process, in bytes.
std::int64_t resident() {
    std::ifstream file("/proc/self/smaps_rollup");
    std::string word;
    while (file >> word) {
        if (word == "Rss:") {
            std::int64_t kibibytes = 0;
            file >> kibibytes;
            return kibibytes * 1024;
        }
    }
    return 0;
}

std::string wrong_residence(const StepProgram& program) {
    const auto make = [&] {
        auto device = make_cpu_device(
            {.cores = {allowed_cores().front()}, .threads = 1, .precision = program.precision});
        device->prepare(program);
        return device;
    };
    // Libraries keep the code that they generate for new shapes: what they need is there then.
    for (int warm_up = 0; warm_up < 2; ++warm_up) {
        make().reset();
    }
    const std::int64_t before = resident();
    const std::unique_ptr<Device> device = make();
    const auto found = static_cast<double>(resident() - before);
    const double wanted = total(memory_items(program)).as_double();
    const double rounding = 4096.0 * enum_count<Space>;  // each array's last page
    return std::abs(found - wanted) <= tolerance * wanted + rounding
               ? ""
               : fmt::format("{} bytes became resident, {} by the model", found, wanted);
}

}  // namespace

TEST(RandomMemory, of_arrays_is_the_models_and_programs_use_it) {
    check_cases(1000, [](const Case& drawn) {
        const Case at = enlarged(drawn);
        return for_each_stage(at, [&](const StepProgram& program) {
            return wrong_arrays(program) + unused_memory(at, program);
        });
    });
}

TEST(RandomMemory, that_a_cpu_device_takes_is_the_models_within_1_percent) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "AddressSanitizer keeps memory of its own for each array";
#endif
    prctl(PR_SET_THP_DISABLE, 1UL, 0UL, 0UL, 0UL);  // pages of 4 KiB: what is touched
    std::int64_t measured = 0;
    check_cases(200, [&](const Case& drawn) -> std::string {
        const bool computes = drawn.setup.precision == Precision::fp32 ||
                              (drawn.setup.precision == Precision::bf16 && has_bf16());
        if (!computes || drawn.setup.memory != MemoryMode::faithful) {
            return "";
        }
        const Case at = enlarged(drawn);
        ++measured;
        return wrong_residence(build_step(at.model, at.layout, at.setup, WorldRank{0}));
    });
    EXPECT_GE(measured, 10);
}

}  // namespace traindyno::test
