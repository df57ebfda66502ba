// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/describe.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/base/quantity_text.hpp"
#include "emulator/cli/experts_text.hpp"
#include "emulator/gpu/inventory_text.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/memory.hpp"
#include "emulator/program/volume.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

constexpr double seconds_per_year = 365.0 * 24 * 3600;

/// FLOPs of the whole training run, by what is counted.
struct TrainingFlops {
    std::optional<Flops> named;  ///< 6 N D with the N in the model's name, where it has one
    Flops counted;               ///< 6 N D with every parameter that a token meets
    Flops products;              ///< all matrix products, attention in full

    /// The figure people quote.
    [[nodiscard]] Flops headline() const { return named.value_or(counted); }
};

/// A device that works at `rate` all the time.
struct Worker {
    std::string device;
    std::string rate_is;  ///< where the rate comes from
    FlopRate rate;
};

/// What the rank with the most memory needs, and the largest traffic of any stage's first rank.
struct RankCost {
    Stage stage;
    std::vector<MemoryItem> memory;
    std::vector<Volume> volumes;
};

TrainingFlops training_flops(const DescribeRequest& request) {
    TrainingFlops flops;
    if (request.model.nominal_parameters > 0) {
        flops.named = six_n_d(request.model, request.tokens);
    }
    Model unnamed = request.model;
    unnamed.nominal_parameters = 0;
    flops.counted = six_n_d(unnamed, request.tokens);
    flops.products = model_flops_per_token(request.model, CausalAttention::full) * request.tokens;
    return flops;
}

std::vector<Worker> workers(const DescribeRequest& request) {
    // 28 TFLOP/s: Lambda Labs, "OpenAI's GPT-3 Language Model: A Technical Overview" (2020), whose
    // estimate of 355 years for 3.114e23 FLOP is the usual source of "centuries on one GPU".
    std::vector<Worker> list{
        {.device = "NVIDIA V100", .rate_is = "sustained (Lambda Labs)", .rate = FlopRate{28e12}}};
    for (const MachineProfile& machine : request.machines) {
        list.push_back({.device = machine.device,
                        .rate_is = "dense 16-bit peak",
                        .rate = gemm_rate(machine, Precision::bf16).peak});
    }
    std::stable_sort(
        list.begin(), list.end(), [](const Worker& a, const Worker& b) { return a.rate < b.rate; });
    return list;
}

double years(Flops flops, FlopRate rate) {
    return flops.value() / rate.value() / seconds_per_year;
}

void keep_larger(std::vector<Volume>& largest, const std::vector<Volume>& volumes) {
    for (const Volume& volume : volumes) {
        const auto same = std::find_if(largest.begin(), largest.end(), [&](const Volume& other) {
            return other.group == volume.group && other.op == volume.op;
        });
        if (same == largest.end()) {
            largest.push_back(volume);
        } else if (same->payload < volume.payload) {
            *same = volume;
        }
    }
}

RankCost rank_cost(const DescribeRequest& request) {
    RankCost cost;
    for (std::int64_t stage = 0; stage < request.layout.pp; ++stage) {
        const WorldRank rank = rank_at(request.layout, {.pp = stage});
        const StepProgram program = build_step(request.model, request.layout, request.setup, rank);
        std::vector<MemoryItem> memory = memory_items(program);
        if (stage == 0 || total(cost.memory) < total(memory)) {
            cost.stage = Stage{stage};
            cost.memory = std::move(memory);
        }
        keep_larger(cost.volumes, counted_volumes(program));
    }
    std::stable_sort(
        cost.volumes.begin(), cost.volumes.end(), [](const Volume& a, const Volume& b) {
            return std::pair(a.group, a.op) < std::pair(b.group, b.op);
        });
    return cost;
}

/// "3.15e23".
std::string scientific(double value) {
    std::string text = fmt::format("{:.2e}", value);
    std::erase(text, '+');
    return text;
}

/// "300 B", "174.6 B".
std::string short_count(double count) {
    std::string text = format_count(count);
    if (const std::size_t zero = text.find(".0 "); zero != std::string::npos) {
        text.erase(zero, 2);
    }
    return text;
}

std::string years_text(double value) {
    if (value < 1) {
        return format_seconds(value * seconds_per_year);
    }
    return value < 10 ? fmt::format("{:.1f} years", value) : fmt::format("{:.0f} years", value);
}

using Text = std::string;

template <class... Values>
void line(Text& text, fmt::format_string<Values...> format, Values&&... values) {
    std::string added = fmt::format(format, std::forward<Values>(values)...);
    added.erase(added.find_last_not_of(' ') + 1);
    text += added + '\n';
}

/// "174,604,...": exact, in groups of three digits.
std::string grouped_digits(std::int64_t count) {
    std::string text = std::to_string(count);
    for (std::size_t from_right = 3; from_right < text.size(); from_right += 4) {
        text.insert(text.size() - from_right, ",");
    }
    return text;
}

std::string_view described(LinearBias bias) {
    switch (bias) {
        case LinearBias::none:
            return "no biases";
        case LinearBias::qkv:
            return "biases on queries, keys and values";
        case LinearBias::all:
            return "biases on all linear layers";
    }
    return "";
}

void add_shape(Text& text, const Model& model, const std::vector<std::string>& left_out) {
    const std::int64_t count = parameters(model);
    line(text,
         "{}: {} parameters ({})",
         model.name,
         format_count(static_cast<double>(count)),
         grouped_digits(count));
    const std::string grouped =
        model.kv_heads == model.heads ? "" : fmt::format(" ({} key/value heads)", model.kv_heads);
    line(text,
         "  {} layers, hidden {}, {} heads of {}{}, ffn {}{}, sequence {}, vocabulary {}",
         model.layers,
         model.hidden,
         model.heads,
         model.head_size,
         grouped,
         model.ffn,
         model.gated_mlp ? " gated" : "",
         model.seq,
         model.vocab);
    line(text,
         "  {}, {} positions, {} embeddings, {}",
         to_string(model.norm),
         to_string(model.positions),
         model.tied_embeddings ? "tied" : "untied",
         described(model.bias));
    text += experts_text(model) + left_out_text(left_out);
}

void add_flops(Text& text, const DescribeRequest& request, const TrainingFlops& flops) {
    const std::string tokens = short_count(request.tokens);
    line(text, "\nTraining");
    if (flops.named) {
        line(text,
             "  {} FLOP for {} tokens: 6 N D with N = {}, the size in its name",
             scientific(flops.named->value()),
             tokens,
             short_count(request.model.nominal_parameters));
    }
    line(text,
         "  {} FLOP for {} tokens: 6 N D with every {}parameter counted",
         scientific(flops.counted.value()),
         tokens,
         request.model.experts > 0 ? "active " : "");
    line(text,
         "  {} FLOP for {} tokens: all matrix products, attention in full (Narayanan et al., "
         "SC'21, eq. 3)",
         scientific(flops.products.value()),
         tokens);
    line(text,
         "  {} FLOP per token; {} with causal attention counted half",
         scientific(model_flops_per_token(request.model, CausalAttention::full).value()),
         scientific(model_flops_per_token(request.model, CausalAttention::half).value()));
}

void add_years(Text& text, const DescribeRequest& request, const TrainingFlops& flops) {
    const auto row = [&](std::string_view device,
                         std::string_view rate,
                         std::string_view named,
                         std::string_view counted,
                         std::string_view products,
                         std::string_view rate_is) {
        const std::string first = flops.named ? fmt::format("{:>13}", named) : std::string();
        line(
            text, "{:<28}{:>9}{}{:>15}{:>17}  {}", device, rate, first, counted, products, rate_is);
    };
    line(text, "");
    row("One device alone", "TFLOP/s", "6 N D", "6 N D counted", "matrix products", "");
    for (const Worker& worker : workers(request)) {
        row("  " + worker.device,
            fmt::format("{:.5g}", worker.rate.value() / 1e12),
            years_text(years(flops.headline(), worker.rate)),
            years_text(years(flops.counted, worker.rate)),
            years_text(years(flops.products, worker.rate)),
            worker.rate_is);
    }
}

/// The devices with at least `needed`, smallest first.
std::string devices_with(std::vector<MachineProfile> machines, Bytes needed) {
    std::stable_sort(machines.begin(), machines.end(), [](const auto& a, const auto& b) {
        return a.memory < b.memory;
    });
    std::vector<std::string> devices;
    for (const MachineProfile& machine : machines) {
        if (needed <= machine.memory) {
            devices.push_back(machine.device);
        }
    }
    return devices.empty() ? "none of the devices above"
                           : fmt::format("{}", fmt::join(devices, ", "));
}

void add_memory(Text& text, const DescribeRequest& request, const RankCost& cost) {
    const TrainingSetup& setup = request.setup;
    line(text,
         "\nMemory of a rank ({}, {}, micro-batch {}, recompute {}{}{}{}{})",
         to_string(request.layout),
         described(setup.precision),
         setup.micro_batch,
         to_string(setup.recompute),
         setup.zero == Zero::none ? "" : fmt::format(", zero {}", to_string(setup.zero)),
         setup.sequence_parallel == SequenceParallel::on ? ", sequence parallel" : "",
         request.layout.cp > 1 ? ", " + context_text(setup) : "",
         request.layout.pp > 1 ? fmt::format(", stage {} needs most", cost.stage.value()) : "");
    for (const MemoryItem& item : cost.memory) {
        line(text, "  {:<16}{:>12}", item.name, format_bytes(item.bytes));
    }
    const Bytes sum = total(cost.memory);
    line(text, "  {:<16}{:>12}", "total", format_bytes(sum));
    if (!request.machines.empty()) {
        line(text, "  fits {}", devices_with(request.machines, sum));
    }
}

void add_volumes(Text& text, const DescribeRequest& request, const RankCost& cost) {
    if (cost.volumes.empty()) {
        line(text,
             "\nTraffic: none ({})",
             request.layout.ranks() == 1 ? "one rank" : "no rank communicates");
        return;
    }
    line(text,
         "\n{:<18}{:>16}{:>12}{:>12}{:>12}",
         "Traffic of a rank",
         "operation",
         "per step",
         "payload",
         "sent");
    for (const Volume& volume : cost.volumes) {
        line(text,
             "  {:<16}{:>16}{:>12}{:>12}{:>12}",
             to_string(volume.group),
             volume.op,
             volume.count,
             format_bytes(volume.payload),
             format_bytes(volume.on_the_wire));
    }
}

std::string indented(std::string text) {
    for (std::size_t at = 0; at != std::string::npos; at = text.find('\n', at + 1)) {
        text.insert(at == 0 ? 0 : at + 1, "  ");
    }
    return text;
}

void add_proportions(Text& text, const DescribeRequest& request) {
    if (request.proportions.empty()) {
        return;
    }
    line(text, "\n{:<40}{:>12}{:>12}", "Proportions of the shrunk model", "original", "shrunk");
    for (const Proportion& proportion : request.proportions) {
        line(text,
             "  {:<38}{:>12.4g}{:>12.4g}  {}",
             proportion.name,
             proportion.original,
             proportion.shrunk,
             proportion.kept ? "kept" : "changed");
    }
}

}  // namespace

std::string describe_text(const DescribeRequest& request) {
    const RankCost cost = rank_cost(request);
    const TrainingFlops flops = training_flops(request);
    Text text;
    add_shape(text, request.model, request.left_out);
    add_proportions(text, request);
    add_flops(text, request, flops);
    add_years(text, request, flops);
    add_memory(text, request, cost);
    add_volumes(text, request, cost);
    line(text, "\nThis machine\n{}", indented(to_text(request.gpus)));
    return text;
}

std::string describe_json(const DescribeRequest& request) {
    using Json = nlohmann::ordered_json;
    const RankCost cost = rank_cost(request);
    const TrainingFlops flops = training_flops(request);
    Json json;
    json["model"] = request.model.name;
    json["parameters"] = parameters(request.model);
    json["active_parameters"] = active_parameters(request.model);
    json["left_out"] = request.left_out;
    json["flops_per_token"] = model_flops_per_token(request.model, CausalAttention::full).value();
    json["training"] = {{"tokens", request.tokens},
                        {"flops", flops.headline().value()},
                        {"flops_counted_parameters", flops.counted.value()},
                        {"flops_matrix_products", flops.products.value()}};
    json["single_device_years"] = Json::array();
    for (const Worker& worker : workers(request)) {
        json["single_device_years"].push_back(
            {{"device", worker.device},
             {"tflops", worker.rate.value() / 1e12},
             {"rate_is", worker.rate_is},
             {"years", years(flops.headline(), worker.rate)},
             {"years_matrix_products", years(flops.products, worker.rate)}});
    }
    for (const MemoryItem& item : cost.memory) {
        json["memory_bytes"][item.name] = item.bytes.value();
    }
    json["memory_bytes"]["total"] = total(cost.memory).value();
    json["volumes"] = Json::array();
    for (const Volume& volume : cost.volumes) {
        json["volumes"].push_back({{"group", to_string(volume.group)},
                                   {"op", volume.op},
                                   {"bytes_per_rank_per_step", volume.payload.value()},
                                   {"bytes_sent_per_rank_per_step", volume.on_the_wire.value()},
                                   {"count", volume.count}});
    }
    for (const Proportion& proportion : request.proportions) {
        json["proportions"].push_back({{"name", proportion.name},
                                       {"original", proportion.original},
                                       {"shrunk", proportion.shrunk},
                                       {"kept", proportion.kept}});
    }
    json["devices"] = Json::array();
    for (const GpuDescription& gpu : request.gpus.devices) {
        json["devices"].push_back({{"ordinal", gpu.ordinal},
                                   {"name", gpu.name},
                                   {"uuid", gpu.uuid},
                                   {"pci_bus_id", gpu.pci_bus_id},
                                   {"capability", gpu.capability},
                                   {"multiprocessors", gpu.multiprocessors},
                                   {"memory_bytes", gpu.memory.value()}});
    }
    return json.dump(2) + "\n";
}

}  // namespace traindyno
