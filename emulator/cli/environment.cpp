// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/environment.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <string_view>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>
#include <unistd.h>

#include "collectives/control.hpp"
#include "emulator/device/cpu/binding.hpp"

namespace traindyno {

namespace {

/// Variables that change how a job runs. Launchers set many more that only describe it.
constexpr std::array<std::string_view, 9> steering_prefixes{"OMPI_MCA_",
                                                            "PMIX_MCA_",
                                                            "OMP_",
                                                            "KMP_",
                                                            "DNNL_",
                                                            "NCCL_",
                                                            "CUDA_",
                                                            "SLURM_JOB_",
                                                            "TRAINDYNO_"};
/// Where NCCL logs, a new temporary file in every job, changes nothing.
constexpr std::string_view log_file = "NCCL_DEBUG_FILE=";

std::string first_line(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace

HostInfo this_host() {
    utsname system{};
    uname(&system);
    const HostResources resources = host_resources();
    return {.name = static_cast<const char*>(system.nodename),
            .cpu = cpu_name(),
            .cores = resources.cores,
            .memory_bytes = resources.memory.value(),
            .kernel = fmt::format("{} {}",
                                  static_cast<const char*>(system.sysname),
                                  static_cast<const char*>(system.release)),
            .boot_id = first_line("/proc/sys/kernel/random/boot_id")};
}

std::vector<HostInfo> gather_hosts(Communicator& world, const HostInfo& own) {
    const nlohmann::json packed{
        own.name, own.cpu, own.cores, own.memory_bytes, own.kernel, own.boot_id};
    std::vector<HostInfo> hosts;
    for (const std::string& text : all_gather_text(world, packed.dump())) {
        const auto fields = nlohmann::json::parse(text);
        HostInfo host{.name = fields[0],
                      .cpu = fields[1],
                      .cores = fields[2],
                      .memory_bytes = fields[3],
                      .kernel = fields[4],
                      .boot_id = fields[5]};
        if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) {
            hosts.push_back(std::move(host));
        }
    }
    return hosts;
}

std::vector<GpuInfo> gather_gpus(Communicator& world, const std::optional<GpuInfo>& own) {
    const nlohmann::json packed =
        own ? nlohmann::json{own->host, own->name, own->uuid, own->memory_bytes, own->capability}
            : nlohmann::json(nullptr);
    std::vector<GpuInfo> gpus;
    for (const std::string& text : all_gather_text(world, packed.dump())) {
        const auto fields = nlohmann::json::parse(text);
        if (fields.is_null()) {
            continue;
        }
        GpuInfo gpu{.host = fields[0],
                    .name = fields[1],
                    .uuid = fields[2],
                    .memory_bytes = fields[3],
                    .capability = fields[4]};
        const bool known = std::any_of(
            gpus.begin(), gpus.end(), [&](const GpuInfo& other) { return other.uuid == gpu.uuid; });
        if (!known) {
            gpus.push_back(std::move(gpu));
        }
    }
    return gpus;
}

std::map<std::string, std::string> steering_variables() {
    std::map<std::string, std::string> found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto steers = [&](std::string_view prefix) { return text.starts_with(prefix); };
        const std::size_t equals = text.find('=');
        if (!text.starts_with(log_file) && equals != std::string_view::npos &&
            std::any_of(steering_prefixes.begin(), steering_prefixes.end(), steers)) {
            found.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return found;
}

std::string utc_now() {
    const auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace traindyno
