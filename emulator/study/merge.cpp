// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/study/analysis.hpp"

namespace traindyno {

namespace {

/// Collects "what: a and b" for values that should be equal.
class Comparison {
  public:
    template <class T>
    void expect_equal(std::string_view what, const T& a, const T& b) {
        if (!(a == b)) {
            list_.push_back(fmt::format("{}: {} and {}", what, text(a), text(b)));
        }
    }

    [[nodiscard]] std::vector<std::string> list() && { return std::move(list_); }

  private:
    static std::string text(const std::string& value) { return value.empty() ? "none" : value; }

    static std::string text(std::int64_t value) { return std::to_string(value); }

    static std::string text(bool value) { return value ? "yes" : "no"; }

    template <class E>
    requires std::is_enum_v<E>

    static std::string text(E value) { return std::string(to_string(value)); }

    std::vector<std::string> list_;
};

void compare_models(const Model& a, const Model& b, Comparison& comparison) {
    comparison.expect_equal("model", a.name, b.name);
    comparison.expect_equal("layers", a.layers, b.layers);
    comparison.expect_equal("hidden", a.hidden, b.hidden);
    comparison.expect_equal("heads", a.heads, b.heads);
    comparison.expect_equal("kv_heads", a.kv_heads, b.kv_heads);
    comparison.expect_equal("head_size", a.head_size, b.head_size);
    comparison.expect_equal("ffn", a.ffn, b.ffn);
    comparison.expect_equal("seq", a.seq, b.seq);
    comparison.expect_equal("vocab", a.vocab, b.vocab);
    comparison.expect_equal("gated_mlp", a.gated_mlp, b.gated_mlp);
    comparison.expect_equal("tied_embeddings", a.tied_embeddings, b.tied_embeddings);
    comparison.expect_equal("norm", a.norm, b.norm);
    comparison.expect_equal("positions", a.positions, b.positions);
    comparison.expect_equal("bias", a.bias, b.bias);
}

void compare_setups(const TrainingSetup& a, const TrainingSetup& b, Comparison& comparison) {
    comparison.expect_equal("micro_batch", a.micro_batch, b.micro_batch);
    comparison.expect_equal("precision", a.precision, b.precision);
    comparison.expect_equal("recompute", a.recompute, b.recompute);
    comparison.expect_equal("schedule", a.schedule, b.schedule);
    comparison.expect_equal("bucket", a.bucket.value(), b.bucket.value());
    comparison.expect_equal("overlap_gradients", a.overlap_gradients, b.overlap_gradients);
    comparison.expect_equal("overlap_p2p", a.overlap_p2p, b.overlap_p2p);
    comparison.expect_equal("sequence_parallel", a.sequence_parallel, b.sequence_parallel);
    comparison.expect_equal("overlap_tp", a.overlap_tp, b.overlap_tp);
    comparison.expect_equal("memory", a.memory, b.memory);
}

/// Weak scaling fixes the batch per replica, strong scaling the batch.
void compare_batches(const Study& a, const Study& b, Comparison& comparison) {
    if (a.points.empty() || b.points.empty() || a.scaling != b.scaling) {
        return;
    }
    const Point& of_a = a.points.front();
    const Point& of_b = b.points.front();
    if (a.scaling == Scaling::strong) {
        comparison.expect_equal("global_batch", of_a.global_batch, of_b.global_batch);
    } else {
        comparison.expect_equal("batch per replica",
                                of_a.global_batch / of_a.layout.dp,
                                of_b.global_batch / of_b.layout.dp);
    }
}

void add_once(std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) {
        list.push_back(text);
    }
}

void flag_difference(Study& into,
                     std::string_view what,
                     const std::string& newer,
                     const std::string& older) {
    if (newer != older) {
        add_once(into.flags_raised,
                 fmt::format(R"(merged jobs differ in {}: "{}" and "{}")", what, newer, older));
    }
}

std::string device_names(const std::vector<GpuInfo>& devices) {
    std::set<std::string> names;
    for (const GpuInfo& device : devices) {
        names.insert(device.name);
    }
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

/// The value at `name`, or `none`.
std::string value_or(const std::map<std::string, std::string>& values,
                     const std::string& name,
                     const std::string& none) {
    const auto found = values.find(name);
    return found == values.end() ? none : found->second;
}

/// Flags every name whose values differ.
void flag_differences(Study& into,
                      std::string_view kind,
                      const std::map<std::string, std::string>& newer,
                      const std::map<std::string, std::string>& older,
                      const std::string& none) {
    for (const auto& [name, value] : newer) {
        flag_difference(into, fmt::format("{}{}", kind, name), value, value_or(older, name, none));
    }
    for (const auto& [name, value] : older) {
        if (!newer.contains(name)) {
            flag_difference(into, fmt::format("{}{}", kind, name), none, value);
        }
    }
}

void merge_gpus(Study& into, const Study& older) {
    EnvironmentInfo& environment = into.environment;
    flag_difference(
        into, "GPUs", device_names(environment.devices), device_names(older.environment.devices));
    flag_differences(
        into, "version of ", environment.gpu_libraries, older.environment.gpu_libraries, "none");
    for (const GpuInfo& device : older.environment.devices) {
        const bool known = std::any_of(
            environment.devices.begin(), environment.devices.end(), [&](const GpuInfo& other) {
                return other.uuid == device.uuid;
            });
        if (!known) {
            environment.devices.push_back(device);
        }
    }
    for (const std::string& line : older.environment.nccl) {
        add_once(environment.nccl, line);
    }
}

void merge_environment(Study& into, const Study& older) {
    EnvironmentInfo& environment = into.environment;
    for (const HostInfo& host : older.environment.hosts) {
        const bool known = std::any_of(environment.hosts.begin(),
                                       environment.hosts.end(),
                                       [&](const HostInfo& h) { return h.name == host.name; });
        if (!known) {
            environment.hosts.push_back(host);
        }
    }
    flag_difference(into, "traindyno version", into.version, older.version);
    flag_difference(into, "MPI", environment.mpi, older.environment.mpi);
    flag_difference(
        into, "compute library", environment.compute_library, older.environment.compute_library);
    flag_difference(into, "binding", environment.binding, older.environment.binding);
    merge_gpus(into, older);
    environment.clock_error_seconds =
        std::max(environment.clock_error_seconds, older.environment.clock_error_seconds);
    flag_differences(into, "", environment.env, older.environment.env, "not set");
}

void merge_points(Study& into, const Study& older) {
    for (const Point& point : older.points) {
        const bool measured_again =
            std::any_of(into.points.begin(), into.points.end(), [&](const Point& p) {
                return p.ranks == point.ranks;
            });
        if (measured_again) {
            add_once(
                into.flags_raised,
                fmt::format("{} ranks were measured more than once: the result of {} is shown, "
                            "that of {} is not",
                            point.ranks,
                            into.created,
                            older.created));
        } else {
            into.points.push_back(point);
        }
    }
}

}  // namespace

std::vector<std::string> differences(const Study& a, const Study& b) {
    Comparison comparison;
    compare_models(a.model, b.model, comparison);
    compare_setups(a.setup, b.setup, comparison);
    comparison.expect_equal("scaling", a.scaling, b.scaling);
    comparison.expect_equal("device", a.device, b.device);
    comparison.expect_equal("machine", a.machine, b.machine);
    comparison.expect_equal("provenance", a.provenance, b.provenance);
    compare_batches(a, b, comparison);
    return std::move(comparison).list();
}

Study merge(std::vector<Study> studies) {
    TD_EXPECT(!studies.empty());
    // ISO 8601 times sort as text.
    std::stable_sort(studies.begin(), studies.end(), [](const Study& a, const Study& b) {
        return a.created > b.created;
    });
    Study merged = std::move(studies.front());
    Problems problems;
    for (std::size_t i = 1; i < studies.size(); ++i) {
        const Study& older = studies[i];
        for (const std::string& difference : differences(merged, older)) {
            problems.add(
                fmt::format("the results of {} and {} cannot form one curve ({}) report them "
                            "separately",
                            merged.created,
                            older.created,
                            difference));
        }
        merge_environment(merged, older);
        merge_points(merged, older);
        for (const std::string& flag : older.flags_raised) {
            add_once(merged.flags_raised, flag);
        }
        merged.commands.insert(
            merged.commands.begin(), older.commands.begin(), older.commands.end());
    }
    problems.throw_if_any();
    complete(merged);
    return merged;
}

std::vector<Study> curves_of(std::vector<Study> studies) {
    std::vector<std::vector<Study>> groups;
    for (Study& study : studies) {
        const auto fitting = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
            return differences(group.front(), study).empty();
        });
        if (fitting == groups.end()) {
            groups.emplace_back().push_back(std::move(study));
        } else {
            fitting->push_back(std::move(study));
        }
    }
    std::vector<Study> curves;
    curves.reserve(groups.size());
    for (std::vector<Study>& group : groups) {
        curves.push_back(merge(std::move(group)));
    }
    return curves;
}

}  // namespace traindyno
