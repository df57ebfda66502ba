// SPDX-License-Identifier: Apache-2.0
// The facts of launch_sanity.hpp: read from this process and its host, written and read as text.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emulator/base/control_groups.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"
#include "emulator/base/unique_handle.hpp"
#include "emulator/study/launch_sanity.hpp"

namespace traindyno {

namespace {

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::optional<std::int64_t> environment_number(const char* variable) {
    const char* const text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): start-up
    std::int64_t number = 0;
    if (text == nullptr) {
        return std::nullopt;
    }
    const char* const end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, number);
    return error == std::errc{} && stop == end ? std::optional{number} : std::nullopt;
}

/// The launcher that started this very process comes first: mpirun inside a Slurm job inherits
/// Slurm's variables. SLURM_NTASKS says nothing, a batch script has it for its whole allocation.
std::optional<LauncherClaim> launcher_claim() {
    constexpr std::array<std::pair<const char*, const char*>, 3> variables{{
        {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},  // Open MPI's mpirun
        {"PMI_SIZE", "PMI_RANK"},                          // MPICH's and Intel's mpirun
        {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},          // srun
    }};
    for (const auto& [size, rank] : variables) {
        if (const std::optional<std::int64_t> processes = environment_number(size)) {
            return LauncherClaim{
                .variable = size, .size = *processes, .rank = environment_number(rank).value_or(0)};
        }
    }
    return std::nullopt;
}

/// CPUs that share a physical core with `cpu` do the work of one: the first stands for all.
std::int32_t core_of(std::int32_t cpu) {
    const std::vector<std::int32_t> siblings = parse_ranges(first_line(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu)));
    return siblings.empty() ? cpu : siblings.front();
}

std::vector<std::int32_t> cores_of(const std::vector<std::int32_t>& cpus) {
    std::vector<std::int32_t> cores(cpus.size());
    std::transform(cpus.begin(), cpus.end(), cores.begin(), core_of);
    std::sort(cores.begin(), cores.end());
    cores.erase(std::unique(cores.begin(), cores.end()), cores.end());
    return cores;
}

[[noreturn]] void throw_errno(const char* call, Where where = Where::here()) {
    throw LibraryError("the kernel", errno, std::generic_category().message(errno), call, where);
}

struct CpuSetTraits {
    using Handle = cpu_set_t*;

    static Handle null() { return nullptr; }

    static void destroy(Handle set) noexcept { CPU_FREE(set); }
};

std::vector<std::int32_t> allowed_cpus() {
    constexpr int most_cpus = 8192;  // CONFIG_NR_CPUS of the largest kernels
    const UniqueHandle<CpuSetTraits> set{CPU_ALLOC(most_cpus)};
    const std::size_t bytes = CPU_ALLOC_SIZE(most_cpus);
    if (set.empty() || sched_getaffinity(0, bytes, set.get()) != 0) {
        throw_errno("sched_getaffinity");
    }
    std::vector<std::int32_t> cpus;
    for (int cpu = 0; cpu < most_cpus; ++cpu) {
        if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set.get())) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

struct FileTraits {
    using Handle = int;

    static Handle null() { return -1; }

    static void destroy(Handle file) noexcept { close(file); }
};

std::uint64_t executable_hash() {
    const UniqueHandle<FileTraits> file{open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};

    struct stat status {};

    if (file.empty() || fstat(file.get(), &status) != 0) {
        throw_errno("/proc/self/exe");
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const content = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (content == MAP_FAILED) {
        throw_errno("mmap");
    }
    const std::uint64_t hash = content_hash({static_cast<const char*>(content), size});
    munmap(content, size);
    return hash;
}

}  // namespace

RankFacts facts_of_this_process(const RankIntent& intent) {
    const std::string host = host_name();
    const std::string boot_id = first_line("/proc/sys/kernel/random/boot_id");
    return {
        .rank = intent.rank,
        .world_size = intent.world_size,
        .host = host,
        .boot_id = boot_id.empty() ? host : boot_id,
        .pid = getpid(),
        .cores = cores_of(allowed_cpus()),
        .host_cores = static_cast<std::int64_t>(
            cores_of(parse_ranges(first_line("/sys/devices/system/cpu/online"))).size()),
        .cpu_quota = cpu_quota(),
        .threads = intent.threads,
        .launcher = launcher_claim(),
        .mpi = intent.mpi,
        .executable_hash = executable_hash(),
        .config_hash = intent.config_hash,
        .gpu_uuid = intent.gpu_uuid,
        .gpu_pci_bus_id = intent.gpu_pci_bus_id,
        .cores_near_gpu = intent.cores_near_gpu,
    };
}

std::string to_text(const RankFacts& facts) {
    nlohmann::json json{
        {"rank", facts.rank.value()},
        {"world_size", facts.world_size},
        {"host", facts.host},
        {"boot_id", facts.boot_id},
        {"pid", facts.pid},
        {"cores", ranges_text(facts.cores)},
        {"host_cores", facts.host_cores},
        {"threads", facts.threads},
        {"mpi", facts.mpi},
        {"executable_hash", facts.executable_hash},
        {"config_hash", facts.config_hash},
        {"gpu", {facts.gpu_uuid, facts.gpu_pci_bus_id, ranges_text(facts.cores_near_gpu)}},
    };
    if (facts.cpu_quota) {
        json["cpu_quota"] = *facts.cpu_quota;
    }
    if (facts.launcher) {
        json["launcher"] = {facts.launcher->variable, facts.launcher->size, facts.launcher->rank};
    }
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankFacts rank_facts_from_text(const std::string& text) {
    const nlohmann::json json = nlohmann::json::parse(text);
    RankFacts facts{
        .rank = WorldRank{json.at("rank").get<std::int64_t>()},
        .world_size = json.at("world_size"),
        .host = json.at("host"),
        .boot_id = json.at("boot_id"),
        .pid = json.at("pid"),
        .cores = parse_ranges(json.at("cores").get<std::string>()),
        .host_cores = json.at("host_cores"),
        .cpu_quota = std::nullopt,
        .threads = json.at("threads"),
        .launcher = std::nullopt,
        .mpi = json.at("mpi"),
        .executable_hash = json.at("executable_hash"),
        .config_hash = json.at("config_hash"),
        .gpu_uuid = json.at("gpu").at(0),
        .gpu_pci_bus_id = json.at("gpu").at(1),
        .cores_near_gpu = parse_ranges(json.at("gpu").at(2).get<std::string>()),
    };
    if (json.contains("cpu_quota")) {
        facts.cpu_quota = json.at("cpu_quota").get<double>();
    }
    if (json.contains("launcher")) {
        const nlohmann::json& launcher = json.at("launcher");
        facts.launcher = LauncherClaim{
            .variable = launcher.at(0), .size = launcher.at(1), .rank = launcher.at(2)};
    }
    return facts;
}

std::uint64_t content_hash(std::string_view content) {
    // FNV-1a's constants: http://www.isthe.com/chongo/tech/comp/fnv/
    constexpr std::uint64_t prime = 0x100000001b3;
    std::uint64_t hash = 0xcbf29ce484222325;
    while (content.size() >= sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, content.data(), sizeof word);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 32;  // a product only carries upwards
        content.remove_prefix(sizeof word);
    }
    for (const char byte : content) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * prime;
    }
    return hash;
}

}  // namespace traindyno
