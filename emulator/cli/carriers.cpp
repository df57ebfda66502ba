// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/carriers.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"

namespace traindyno {

namespace {

enum class Needs : std::uint8_t { nothing, one_rank };

struct CarrierSpec {
    std::string_view name;
    std::string_view alias;  ///< another name for it, or ""
    Needs needs = Needs::nothing;
    std::unique_ptr<Communicator> (*make)(std::unique_ptr<Communicator> world) = nullptr;
};

constexpr std::array carriers{
    CarrierSpec{.name = "mpi",
                .alias = "",
                .needs = Needs::nothing,
                .make = [](std::unique_ptr<Communicator> world) { return world; }},
    CarrierSpec{
        .name = "serial",
        .alias = "",
        .needs = Needs::one_rank,
        .make = [](std::unique_ptr<Communicator> /*world*/) { return Communicator::serial(); }},
};

bool usable(const CarrierSpec& spec, std::int64_t ranks) {
    return spec.needs == Needs::nothing || ranks == 1;
}

const CarrierSpec* find(std::string_view name) {
    const auto* const found =
        std::find_if(carriers.begin(), carriers.end(), [&](const CarrierSpec& spec) {
            return spec.name == name || (!spec.alias.empty() && spec.alias == name);
        });
    return found == carriers.end() ? nullptr : found;
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
    std::vector<std::string> names;
    for (const CarrierSpec& spec : carriers) {
        if (usable(spec, ranks)) {
            names.emplace_back(spec.name);
        }
    }
    return names;
}

std::vector<std::string> read_carriers(std::string_view list,
                                       const std::string& origin,
                                       std::int64_t ranks,
                                       Problems& problems) {
    std::vector<std::string> names;
    for (const std::string& name : split(list)) {
        const CarrierSpec* const spec = find(name);
        if (spec == nullptr || !usable(*spec, ranks)) {
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
        const std::string known(spec->name);
        if (std::find(names.begin(), names.end(), known) != names.end()) {
            problems.add(fmt::format(
                "{}: '{}' is named twice (each is measured once) name it once", origin, known));
            continue;
        }
        names.push_back(known);
    }
    return names;
}

std::unique_ptr<Communicator> make_carrier(std::string_view name,
                                           std::unique_ptr<Communicator> world) {
    const CarrierSpec* const spec = find(name);
    TD_EXPECT(spec != nullptr && usable(*spec, world->size()));
    return spec->make(std::move(world));
}

}  // namespace traindyno
