// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/gpu_search.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "emulator/cli/environment.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/gpu/device_choice.hpp"

namespace traindyno {

namespace {

GpuInventory look_for_gpus(const Flags& flags, WorldRank rank) {
    if (!may_use_gpu(flags)) {
        return {};
    }
    if (!has_nvidia_driver()) {
        return {.devices = {}, .libraries = {}, .problem = "NVIDIA's driver is not installed"};
    }
    if (GpuModule* module = find_gpu_module().module; module != nullptr) {
        module->set_up(flags.given("share-gpu") ? GpuSharing::allowed : GpuSharing::refused, rank);
    }
    return gpu_inventory();
}

void require_agreement(Communicator& world, const GpuInventory& gpus) {
    const std::string problem =
        gpus.devices.empty() ? fmt::format("{}: {}", this_host().name, gpus.problem) : "";
    if (const auto disagreement = gpu_disagreement(all_gather_text(world, problem))) {
        throw LaunchError(*disagreement);
    }
}

/// Ranks of this host that come before this one.
std::int64_t local_rank_of(Communicator& world, const std::string& host) {
    const std::vector<std::string> hosts = all_gather_text(world, host);
    return std::count(hosts.begin(), hosts.begin() + world.rank().value(), host);
}

}  // namespace

std::optional<std::string> gpu_disagreement(const std::vector<std::string>& problems) {
    const auto sees_none = [](const std::string& problem) { return !problem.empty(); };
    const auto lacking = std::count_if(problems.begin(), problems.end(), sees_none);
    if (lacking == 0 || lacking == static_cast<std::ptrdiff_t>(problems.size())) {
        return std::nullopt;
    }
    const auto first = std::find_if(problems.begin(), problems.end(), sees_none);
    return fmt::format(
        "{} of {} ranks see no GPU, rank {} first (on {}) give every rank one, or use --device cpu",
        lacking,
        problems.size(),
        first - problems.begin(),
        *first);
}

GpuInventory agree_on_gpus(Communicator& world, const Flags& flags, WorldRank rank) {
    GpuInventory gpus = look_for_gpus(flags, rank);
    if (may_use_gpu(flags)) {
        require_agreement(world, gpus);
    }
    return gpus;
}

GpuDescription gpu_of_rank(Communicator& world, const GpuInventory& gpus) {
    const auto visible = static_cast<int>(gpus.devices.size());
    const HostInfo host = this_host();
    const std::int64_t local = local_rank_of(world, host.boot_id + host.name);
    return gpus.devices.at(static_cast<std::size_t>(device_for(local, visible)));
}

}  // namespace traindyno
