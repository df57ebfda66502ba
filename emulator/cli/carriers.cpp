// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/carriers.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "emulator/base/config_files.hpp"

namespace traindyno {

namespace {

constexpr std::string_view serial = "serial";
constexpr std::string_view chosen = "auto";
/// Recursive halving, then doubling.
constexpr std::string_view halving_doubling = "rhd";

std::optional<std::string> known_name(std::string_view name, std::int64_t ranks) {
    if (name == halving_doubling) {
        return std::string(to_string(Carrier::halving_doubling));
    }
    const bool known =
        parse_enum<Carrier>(name).has_value() || name == chosen || (name == serial && ranks == 1);
    return known ? std::optional(std::string(name)) : std::nullopt;
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

std::vector<std::string> carrier_names(std::int64_t ranks) {
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
                                       std::int64_t ranks,
                                       Problems& problems) {
    std::vector<std::string> names;
    for (const std::string& name : split(list)) {
        const std::optional<std::string> found = known_name(name, ranks);
        if (!found) {
            const std::vector<std::string> known = carrier_names(ranks);
            problems.add(fmt::format(
                "{}: '{}' carries no traffic on {} ranks (the choices are {}) use one of them{}",
                origin,
                name,
                ranks,
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
    TD_EXPECT(known_name(name, world->size()).has_value());
    const auto rank = static_cast<std::int32_t>(world->rank().value());
    if (name == serial) {
        return Communicator::serial();
    }
    if (name == chosen) {
        return make_auto_communicator(std::move(world),
                                      {.node = setting.node,
                                       .candidates = host_carriers(setting.node),
                                       .limits = {.largest = setting.largest},
                                       .table = std::make_shared<TuningTable>()})
            ->split(0, rank);
    }
    const Carrier carrier = *parse_enum<Carrier>(name);
    for (const Candidate& candidate : host_carriers(setting.node)) {
        if (candidate.carrier == carrier) {
            return candidate.make(std::move(world));
        }
    }
    return world;  // MPI itself
}

}  // namespace traindyno
