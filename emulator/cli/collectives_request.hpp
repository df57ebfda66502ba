// SPDX-License-Identifier: Apache-2.0
// What the user of `traindyno collectives` asked for, typed and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/cli/carriers.hpp"
#include "emulator/cli/flags.hpp"
#include "emulator/collective_bench/bench_case.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {

/// Where operations find their buffers.
enum class BufferKind : std::uint8_t {
    ordinary,  ///< memory of the process
    shared,    ///< memory that the ranks of a host all address, as training's gradients have it
};

template <>
struct EnumNames<BufferKind> {
    static constexpr auto names = enum_table<BufferKind>("ordinary", "shared");
};

struct CollectivesRequest {
    BenchDevice device = BenchDevice::cpu;
    GpuSharing gpu_sharing = GpuSharing::refused;
    std::vector<std::string> carriers;
    BufferKind buffers = BufferKind::ordinary;
    BenchCase what;
    std::vector<OpShape> shapes;  ///< ascending, at least one
    std::int64_t iterations = 20;
    std::int64_t warm_up = 5;
    std::int64_t checks = 1;
    SimTime timeout = std::chrono::seconds{120};  ///< of one operation
    std::string json;                             ///< file, or ""
    std::string csv;                              ///< file, or ""
};

/// Whether --device asks for a GPU.
[[nodiscard]] bool wants_gpu(const Flags& flags);

/// Throws ConfigError with everything that is wrong. `gpus` are those this process sees, where the
/// flags want one.
[[nodiscard]] CollectivesRequest collectives_request(const Flags& flags,
                                                     std::int64_t ranks,
                                                     const GpuInventory& gpus,
                                                     Problems& problems);

/// "8", "4K", "32M", "2G" as nccl-tests read them (factors of 1024), or with a unit: "1MiB".
/// Nothing when `text` is anything else or not positive.
[[nodiscard]] std::optional<Bytes> parse_size(std::string_view text);

}  // namespace traindyno
