// SPDX-License-Identifier: Apache-2.0
// Whether the job was started in a way that can give meaningful results, before anything is timed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.hpp"
#include "collectives/nccl/nccl_options.hpp"
#include "emulator/base/ids.hpp"

namespace traindyno {

/// How many processes the launcher says it started.
struct LauncherClaim {
    std::string variable;  ///< the environment variable that says so
    std::int64_t size = 0;
    std::int64_t rank = 0;  ///< of this process, by the launcher's count

    friend bool operator==(const LauncherClaim&, const LauncherClaim&) = default;
};

/// What one rank knows about its own start.
struct RankFacts {
    WorldRank rank{};
    std::int64_t world_size = 1;
    std::string host{};
    std::string boot_id{};  ///< one kernel, hence one set of cores, whatever the host is called
    std::int64_t pid = 0;
    std::vector<std::int32_t> cores{};  ///< physical cores it may run on, named by their first CPU
    std::int64_t host_cores = 0;        ///< physical cores of the host
    std::optional<double> cpu_quota{};  ///< CPUs' worth of time its control group allows
    std::int64_t threads = 1;           ///< compute threads it will start
    std::optional<LauncherClaim> launcher{};
    std::string mpi{};  ///< library version line
    std::uint64_t executable_hash = 0;
    std::uint64_t config_hash = 0;
    std::string gpu_uuid{};  ///< of the GPU it computes on; "" without
    std::string gpu_pci_bus_id{};
    std::vector<std::int32_t> cores_near_gpu{};  ///< empty when unknown

    friend bool operator==(const RankFacts&, const RankFacts&) = default;
};

/// What only the caller knows about this rank.
struct RankIntent {
    WorldRank rank{};
    std::int64_t world_size = 1;
    std::int64_t threads = 1;
    std::string mpi{};
    std::uint64_t config_hash = 0;
    std::string gpu_uuid{};
    std::string gpu_pci_bus_id{};
    std::vector<std::int32_t> cores_near_gpu{};
};

[[nodiscard]] RankFacts facts_of_this_process(const RankIntent& intent);

/// One line of JSON, and back.
[[nodiscard]] std::string to_text(const RankFacts& facts);
[[nodiscard]] RankFacts rank_facts_from_text(const std::string& text);

/// Whether computation needs cores: `real` does, `timed` sleeps most of the time.
enum class Compute : std::uint8_t { real, timed };
enum class Oversubscription : std::uint8_t { refused, allowed };

struct SanityPolicy {
    Compute compute = Compute::real;
    Oversubscription oversubscription = Oversubscription::refused;
    GpuSharing gpu_sharing = GpuSharing::refused;
};

/// Each text reads "problem (why) suggestion".
struct Findings {
    std::vector<std::string> refusals;  ///< results would be meaningless
    std::vector<std::string> flags;     ///< to be shown beside every result
    std::vector<std::string> notes;     ///< to be mentioned once

    friend bool operator==(const Findings&, const Findings&) = default;

    /// LaunchError with every refusal, one a line.
    void throw_if_refused() const;
};

/// `ranks` in rank order. Finds all problems.
[[nodiscard]] Findings judge(const std::vector<RankFacts>& ranks, const SanityPolicy& policy);

/// Gathers, judges on rank 0 and tells every rank the same. Collective.
[[nodiscard]] Findings check_launch(Communicator& world,
                                    const RankFacts& mine,
                                    const SanityPolicy& policy);

/// Whether this process is the one to print for the whole job: rank 0, and the first one too where
/// the launcher started singletons, which all are rank 0.
[[nodiscard]] bool speaks_for_job(const RankFacts& mine);

/// FNV-1a over 64-bit words, then bytes; fast enough for a file of 100 MB at start-up.
[[nodiscard]] std::uint64_t content_hash(std::string_view content);

}  // namespace traindyno
