// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/config_table.hpp"
#include "emulator/base/quantity_text.hpp"
#include "emulator/machine/profile.hpp"

namespace traindyno {

namespace {

bool is_capital(char c) {
    return c >= 'A' && c <= 'Z';
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// "H200" of "NVIDIA H200 SXM 141GB", "A100" of "NVIDIA A100-SXM4-80GB": the first word of capital
/// letters, then digits.
std::string model_of(std::string_view device) {
    const auto word_ends = [](char c) { return c == ' ' || c == '-'; };
    while (!device.empty()) {
        const auto* const end = std::find_if(device.begin(), device.end(), word_ends);
        const auto* const letters_end = std::find_if_not(device.begin(), end, is_capital);
        if (letters_end != device.begin() && letters_end != end &&
            std::all_of(letters_end, end, is_digit)) {
            return {device.begin(), end};
        }
        device.remove_prefix(static_cast<std::size_t>(end - device.begin()));
        device.remove_prefix(device.empty() ? 0 : 1);
    }
    return "";
}

/// A share of a peak: above 0, at most 1.
double read_share(ConfigTable& table, std::string_view key) {
    const double share = table.number(key).value_or(1);
    if (share <= 0 || share > 1) {
        table.report(
            key,
            fmt::format("{} is not a share (0 < share <= 1 of the peak) write 0.8 for 80 %",
                        share));
    }
    return share;
}

/// A positive rate or size, required; `least` keeps the times computed from it in range.
template <class Parse>
auto read_at_least(ConfigTable& table,
                   std::string_view key,
                   const Parse& parse,
                   double least,
                   std::string_view example) {
    table.require(key, example);
    const auto quantity = table.quantity(key, parse);
    if (quantity && quantity->as_double() < least) {
        table.report(
            key,
            fmt::format(
                "is too small (the least is {:g} in base units) write it like {}", least, example));
    }
    return quantity.value_or(decltype(parse("")){});
}

SimTime read_latency(ConfigTable& table, std::string_view key) {
    const SimTime latency = table.quantity(key, parse_time).value_or(SimTime{0});
    if (latency > std::chrono::seconds{1}) {
        table.report(key, "is longer than a second (latencies are microseconds) check the unit");
    }
    return latency;
}

std::int64_t read_ranks(ConfigTable& table,
                        std::string_view key,
                        std::int64_t least,
                        std::int64_t fallback) {
    constexpr std::int64_t most = 1 << 24;
    const std::int64_t ranks = table.integer(key).value_or(fallback);
    if (ranks < least || ranks > most) {
        table.report(
            key,
            fmt::format(
                "{} ranks are out of range ({} to {}) correct the number", ranks, least, most));
    }
    return ranks;
}

GemmRate read_gemm(ConfigTable& table) {
    table.require("precision", "\"bf16\"");
    GemmRate rate;
    rate.precision = table.choice<Precision>("precision").value_or(rate.precision);
    rate.peak = read_at_least(table, "peak", parse_flop_rate, 1e9, "\"312TFLOP/s\"");
    rate.efficiency = read_share(table, "efficiency");
    table.refuse_other_keys();
    return rate;
}

Link read_link(ConfigTable& table) {
    table.require("name", "\"intra_node\"");
    Link link;
    link.name = table.text("name").value_or("");
    link.ranks = read_ranks(table, "ranks", 0, 0);
    link.bandwidth = read_at_least(table, "bandwidth", parse_bandwidth, 1e6, "\"300GB/s\"");
    link.latency = read_latency(table, "latency");
    table.refuse_other_keys();
    return link;
}

std::vector<GemmRate> read_gemms(ConfigTable& table) {
    table.require("gemm", R"([{precision = "bf16", peak = "312TFLOP/s"}])");
    std::vector<GemmRate> rates;
    for (ConfigTable& entry : table.tables("gemm")) {
        const GemmRate rate = read_gemm(entry);
        const bool twice = std::any_of(rates.begin(), rates.end(), [&](const GemmRate& other) {
            return other.precision == rate.precision;
        });
        if (twice && !entry.reported("precision")) {
            entry.report("precision",
                         fmt::format("{} is listed twice (one rate per precision) remove one",
                                     to_string(rate.precision)));
        }
        rates.push_back(rate);
    }
    if (rates.empty() && !table.reported("gemm")) {
        table.report("gemm", "is empty (compute times need a rate) add a [[gemm]] table");
    }
    return rates;
}

std::vector<Link> read_links(ConfigTable& table) {
    std::vector<Link> links;
    for (ConfigTable& entry : table.tables("links")) {
        const Link link = read_link(entry);
        const bool farther =
            links.empty() ||
            (links.back().ranks != 0 && (link.ranks == 0 || link.ranks > links.back().ranks));
        if (!farther && !entry.reported("ranks")) {
            entry.report("ranks",
                         fmt::format("{} reaches no farther than the link before it (nearest "
                                     "first; 0 or no ranks means any number) reorder the links",
                                     link.ranks));
        }
        links.push_back(link);
    }
    return links;
}

}  // namespace

MachineProfile load_machine(std::string_view name_or_path) {
    const std::filesystem::path path = config_path("machines", name_or_path);
    ConfigTable table = ConfigTable::read(path);
    table.require("device", "\"NVIDIA A100 SXM4 80GB\"");
    table.require("source", "\"where the figures come from\"");
    MachineProfile machine;
    machine.name = table.text("name").value_or(path.stem().string());
    machine.device = table.text("device").value_or("");
    machine.source = table.text("source").value_or("");
    machine.ranks_per_node = read_ranks(table, "ranks_per_node", 1, 1);
    machine.memory = read_at_least(table, "memory", parse_bytes, 1, "\"80GB\"");
    machine.memory_bandwidth =
        read_at_least(table, "memory_bandwidth", parse_bandwidth, 1e6, "\"2039GB/s\"");
    machine.memory_efficiency = read_share(table, "memory_efficiency");
    machine.launch_latency = read_latency(table, "launch_latency");
    machine.gemm = read_gemms(table);
    machine.links = read_links(table);
    table.refuse_other_keys();
    table.throw_if_any();
    return machine;
}

std::vector<std::string> machine_names() {
    return config_names("machines");
}

std::optional<MachineProfile> machine_with_device(std::string_view device) {
    const std::string model = model_of(device);
    for (const std::string& name : machine_names()) {
        MachineProfile machine = load_machine(name);
        if (!model.empty() && model_of(machine.device) == model) {
            return machine;
        }
    }
    return std::nullopt;
}

}  // namespace traindyno
