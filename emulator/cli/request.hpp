// SPDX-License-Identifier: Apache-2.0
// What the user asked for, typed and checked: flags become a model, a setup and a list of points.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collectives/auto/carrier.hpp"
#include "emulator/cli/flags.hpp"
#include "emulator/gpu/module.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/machine/profile.hpp"
#include "emulator/model/catalog.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"
#include "emulator/study/measure_point.hpp"
#include "emulator/study/study.hpp"

namespace traindyno {

enum class DeviceKind : std::uint8_t { cpu, cuda, timed };

template <>
struct EnumNames<DeviceKind> {
    static constexpr auto names = enum_table<DeviceKind>("cpu", "cuda", "timed");
};

/// The workload: what is trained and how, for one size of the job.
struct Workload {
    Model model;
    std::optional<Model> original;  ///< before --shrink, --layers, --seq
    TrainingSetup setup;            ///< global_batch belongs to the point
    std::int64_t tp = 1;
    std::int64_t pp = 1;
    std::int64_t cp = 1;
    std::int64_t ep = 1;
    std::int64_t shard = 0;               ///< Layout::shard of points with more replicas
    std::vector<std::string> left_out{};  ///< of the model's file: what the shape lacks
};

/// One point to measure.
struct PlannedPoint {
    std::int64_t ranks = 0;
    Layout layout;
    std::int64_t global_batch = 0;

    friend bool operator==(const PlannedPoint&, const PlannedPoint&) = default;
};

struct MeasureRequest {
    Workload workload;
    Scaling scaling = Scaling::weak;
    std::vector<PlannedPoint> points;  ///< ascending in ranks
    DeviceKind device = DeviceKind::cpu;
    std::optional<Carrier> collectives{};  ///< not cuda; empty: the fastest, as measured
    std::string tuning{};                  ///< file of what was measured, or ""
    GpuOptions gpu;  ///< cuda only; the device's ordinal is chosen at the launch
    std::optional<MachineProfile>
        machine;  ///< timed: what is stood in for; cuda: whose peak counts
    std::optional<std::int64_t> threads;
    bool allow_oversubscribe = false;
    std::string out;
    bool resume = false;
    bool json = false;
    std::optional<double> min_efficiency;
    MeasureOptions measure;
};

struct DescribeArguments {
    Workload workload;
    Layout layout;
    double tokens = 300e9;  ///< GPT-3's training tokens (arXiv:2005.14165, Table D.1)
    bool json = false;
};

struct ShowArguments {
    Workload workload;
    Layout layout;
    std::optional<MachineProfile> machine;  ///< whose compute times count; else unit time
    std::optional<WorldRank> rank;          ///< whose program is printed
};

struct ReportArguments {
    std::vector<std::string> results;
    std::string out;
};

/// Each throws ConfigError with every problem found in `flags`; `ranks` is the size of the job,
/// `gpus` what this host has.
[[nodiscard]] MeasureRequest measure_request(const Flags& flags,
                                             std::int64_t ranks,
                                             const GpuInventory& gpus,
                                             Problems& problems);
/// Whether `flags` may mean a GPU: only then is it worth looking for one.
[[nodiscard]] bool may_use_gpu(const Flags& flags);
[[nodiscard]] DescribeArguments describe_arguments(const Flags& flags, Problems& problems);
[[nodiscard]] ShowArguments show_arguments(const Flags& flags, Problems& problems);
[[nodiscard]] ReportArguments report_arguments(const Flags& flags, Problems& problems);

}  // namespace traindyno
