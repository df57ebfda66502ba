// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/carriers.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "emulator/base/config_files.hpp"
#include "emulator/cli/host_traffic.hpp"
#include "emulator/gpu/gpu_options.hpp"

namespace traindyno {

namespace {

constexpr std::string_view serial = "serial";
constexpr std::string_view chosen = "auto";
/// Recursive halving, then doubling.
constexpr std::string_view halving_doubling = "rhd";

std::optional<std::string> known_name(std::string_view name,
                                      BenchDevice device,
                                      std::int64_t ranks) {
    const std::string meant(device == BenchDevice::cpu && name == halving_doubling
                                ? to_string(Carrier::halving_doubling)
                                : name);
    const std::vector<std::string> known = carrier_names(device, ranks);
    return std::find(known.begin(), known.end(), meant) != known.end() ? std::optional(meant)
                                                                       : std::nullopt;
}

std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> names;
    while (true) {
        const std::size_t comma = list.find(',');
        names.emplace_back(list.substr(0, comma));
        if (comma == std::string_view::npos) {
            return names;
        }
        list.remove_prefix(comma + 1);
    }
}

}  // namespace

std::vector<std::string> carrier_names(BenchDevice device, std::int64_t ranks) {
    if (device == BenchDevice::cuda) {
        const auto& of_gpus = EnumNames<GpuCollectives>::names;
        std::vector<std::string> names(of_gpus.begin(), of_gpus.end());
        return names;
    }
    std::vector<std::string> names(EnumNames<Carrier>::names.begin(),
                                   EnumNames<Carrier>::names.end());
    names.emplace_back(chosen);
    if (ranks == 1) {
        names.emplace_back(serial);
    }
    return names;
}

std::vector<std::string> read_carriers(std::string_view list,
                                       const std::string& origin,
                                       BenchDevice device,
                                       std::int64_t ranks,
                                       Problems& problems) {
    std::vector<std::string> names;
    for (const std::string& name : split(list)) {
        const std::optional<std::string> found = known_name(name, device, ranks);
        if (!found) {
            const std::vector<std::string> known = carrier_names(device, ranks);
            problems.add(fmt::format(
                "{}: '{}' carries no traffic on {} ranks{} (the choices are {}) use one of them{}",
                origin,
                name,
                ranks,
                device == BenchDevice::cuda ? " with GPUs" : "",
                fmt::join(known, ", "),
                did_you_mean(name, known)));
            continue;
        }
        if (std::find(names.begin(), names.end(), *found) != names.end()) {
            problems.add(fmt::format(
                "{}: '{}' is named twice (each is measured once) name it once", origin, *found));
            continue;
        }
        names.push_back(*found);
    }
    return names;
}

std::unique_ptr<Communicator> make_carrier(std::string_view name,
                                           std::unique_ptr<Communicator> world,
                                           const CarrierSetting& setting) {
    TD_EXPECT(known_name(name, BenchDevice::cpu, world->size()).has_value());
    const auto rank = static_cast<std::int32_t>(world->rank().value());
    std::vector<Candidate> candidates =
        host_carriers(setting.node, setting.heap, {.timeout = setting.timeout});
    if (name == serial) {
        return Communicator::serial();
    }
    if (name == chosen) {
        return make_auto_communicator(std::move(world),
                                      {.node = setting.node,
                                       .candidates = std::move(candidates),
                                       .limits = {.largest = setting.largest},
                                       .lend = lender_of(setting.heap),
                                       .table = std::make_shared<TuningTable>()})
            ->split(0, rank);
    }
    const Carrier carrier = *parse_enum<Carrier>(name);
    for (const Candidate& candidate : candidates) {
        if (candidate.carrier == carrier) {
            return candidate.make(std::move(world));
        }
    }
    return world;  // MPI itself
}

}  // namespace traindyno
