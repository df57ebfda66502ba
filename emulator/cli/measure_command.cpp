// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "collectives/auto/auto_communicator.hpp"
#include "emulator/cli/backends.hpp"
#include "emulator/cli/commands.hpp"
#include "emulator/cli/environment.hpp"
#include "emulator/cli/gpu_search.hpp"
#include "emulator/cli/host_traffic.hpp"
#include "emulator/cli/import_flags.hpp"
#include "emulator/cli/launch_check.hpp"
#include "emulator/cli/on_first.hpp"
#include "emulator/cli/progress.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/cli/version.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/gpu/nvml.hpp"
#include "emulator/gpu/telemetry.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/report/report.hpp"
#include "emulator/study/analysis.hpp"
#include "emulator/study/result_files.hpp"
#include "emulator/study/run_points.hpp"
#include "emulator/study/study_json.hpp"

namespace traindyno {

namespace {

/// The GPU of this rank for the study's list.
std::optional<GpuInfo> own_gpu(const LaunchVerdict& launch, const std::string& host) {
    if (!launch.resources.gpu) {
        return std::nullopt;
    }
    const GpuDescription& gpu = *launch.resources.gpu;
    return GpuInfo{.host = host,
                   .name = gpu.name,
                   .uuid = gpu.uuid,
                   .memory_bytes = gpu.memory.value(),
                   .capability = gpu.capability};
}

/// Everything a study says before its first point. Collective over `world`.
Study header(const MeasureRequest& request,
             const LaunchVerdict& launch,
             const GpuInventory& gpus,
             Communicator& world,
             const std::string& command_line) {
    const HostInfo host = this_host();
    Study study;
    study.version = version();
    study.commands = {command_line};
    study.created = utc_now();
    study.environment = {
        .hosts = gather_hosts(world, host),
        .mpi = MpiSession::version(),
        .compute_library = request.device == DeviceKind::cpu ? cpu_compute_library() : "",
        .binding = launch.binding,
        .clock = launch.clock,
        .clock_error_seconds = launch.clock_error_seconds,
        .env = steering_variables()};
    study.environment.devices = gather_gpus(world, own_gpu(launch, host.name));
    if (request.device == DeviceKind::cuda) {
        for (const LibraryVersion& library : gpus.libraries) {
            study.environment.gpu_libraries[library.name] = library.version;
        }
    }
    study.model = request.workload.model;
    study.parameters = static_cast<double>(parameters(study.model));
    study.flops_per_token = model_flops_per_token(study.model, CausalAttention::full).value();
    study.setup = request.workload.setup;
    study.setup.global_batch = request.points.back().global_batch;
    study.scaling = request.scaling;
    study.device = to_string(request.device);
    study.machine = request.device == DeviceKind::timed ? request.machine->name : "";
    study.flags_raised = launch.flags;
    for (const std::string& feature : request.workload.left_out) {
        study.flags_raised.push_back("left out of the model: " + feature);
    }
    if (study.setup.memory == MemoryMode::aliased) {
        study.flags_raised.emplace_back(
            "aliased memory: the layers of a stage share one layer's memory");
    }
    if (request.device == DeviceKind::cuda && request.gpu.device.data == InputData::zeros) {
        study.flags_raised.emplace_back("tensors hold zeros: the GPU runs faster than in training");
    }
    if (request.measure.tracing == Tracing::off) {
        study.flags_raised.emplace_back("tracing off: there is no budget");
    }
    return study;
}

/// Points of an earlier job in `folder`, when this job continues it. ConfigError when it measured
/// something else.
std::vector<Point> earlier_points(const MeasureRequest& request, const Study& study) {
    const std::filesystem::path folder(request.out);
    if (!std::filesystem::exists(folder) || std::filesystem::is_empty(folder)) {
        return {};
    }
    if (!request.resume) {
        throw ConfigError(
            {fmt::format("{}: already holds files (they would be mixed with new results) use "
                         "--resume to go on, or another --out",
                         request.out)});
    }
    const Study earlier = read_results(folder);
    Problems problems;
    for (const std::string& difference : differences(earlier, study)) {
        problems.add(fmt::format("{}: --resume: measured something else ({}) use another --out",
                                 request.out,
                                 difference));
    }
    problems.throw_if_any();
    return earlier.points;
}

bool measured_already(const std::vector<Point>& points, const PlannedPoint& planned) {
    return std::any_of(points.begin(), points.end(), [&](const Point& point) {
        return point.ranks == planned.ranks && point.layout == planned.layout &&
               point.global_batch == planned.global_batch;
    });
}

std::vector<PointPlan> plans(const MeasureRequest& request, const std::vector<bool>& skip) {
    std::vector<PointPlan> plans;
    for (std::size_t i = 0; i < request.points.size(); ++i) {
        if (!skip[i]) {
            PointPlan plan{.model = request.workload.model,
                           .layout = request.points[i].layout,
                           .setup = request.workload.setup};
            plan.setup.global_batch = request.points[i].global_batch;
            plans.push_back(std::move(plan));
        }
    }
    return plans;
}

/// The study as it grows on rank 0, and its files.
class StudyRecorder {
  public:
    StudyRecorder(const MeasureRequest& request, Study study)
        : request_(request), study_(std::move(study)) {}

    /// Takes over earlier points and writes the header. Returns which planned points are done.
    std::string begin() {
        std::string done(request_.points.size(), '0');
        if (request_.out.empty()) {
            return done;
        }
        study_.points = earlier_points(request_, study_);
        for (std::size_t i = 0; i < request_.points.size(); ++i) {
            done[i] = measured_already(study_.points, request_.points[i]) ? '1' : '0';
        }
        write_header(request_.out, study_);
        return done;
    }

    void add(const Point& point) {
        study_.points.push_back(point);
        if (!request_.out.empty()) {
            write_point(request_.out, point);
        }
    }

    /// Derives what points imply together, writes study and report, prints the answer. `network`:
    /// what NCCL has said about it.
    const Study& finish(std::vector<std::string> network) {
        study_.environment.nccl = std::move(network);
        complete(study_);
        if (!request_.out.empty()) {
            write_study(request_.out, study_);
            print_notes(write_report(study_, request_.out));
        }
        if (request_.json) {
            fmt::print("{}\n", to_json(study_));
            return study_;
        }
        fmt::print("{}", summary_text(study_));
        if (!request_.out.empty()) {
            fmt::print(
                "report: {}\n",
                std::filesystem::absolute(std::filesystem::path(request_.out) / "report.html")
                    .string());
        }
        return study_;
    }

  private:
    const MeasureRequest& request_;
    Study study_;
};

/// Whether the largest point reaches --min-efficiency.
ExitCode gate(const MeasureRequest& request, const Study& study) {
    if (!request.min_efficiency || study.points.empty()) {
        return ExitCode::done;
    }
    const Point& largest = study.points.back();
    if (largest.efficiency >= *request.min_efficiency) {
        return ExitCode::done;
    }
    fmt::print(stderr,
               "traindyno: gate missed: efficiency {:.3f} on {} ranks (below --min-efficiency {}) "
               "see the loss table\n",
               largest.efficiency,
               largest.ranks,
               *request.min_efficiency);
    return ExitCode::gate;
}

void append(std::vector<std::string>& list, const std::vector<std::string>& more) {
    list.insert(list.end(), more.begin(), more.end());
}

/// Begins the study on rank 0. Returns on all ranks which planned points are done.
std::vector<bool> begin(Communicator& world, StudyRecorder& recorder) {
    const std::string done = on_first(world, [&] { return recorder.begin(); });
    std::vector<bool> skip(done.size());
    std::transform(done.begin(), done.end(), skip.begin(), [](char c) { return c == '1'; });
    return skip;
}

/// Clocks, power and energy of this rank's GPU; null without one, or without NVML.
std::unique_ptr<TelemetrySource> telemetry_of(const LaunchVerdict& launch) {
    if (!launch.resources.gpu) {
        return nullptr;
    }
    const std::string& uuid = launch.resources.gpu->uuid;
    NvmlGpuSearch search = Nvml().gpu(uuid);
    return search.gpu ? nvml_telemetry(*std::move(search.gpu), uuid) : nullptr;
}

void announce(const LaunchVerdict& launch, ProgressLine& line) {
    for (const std::string& flag : launch.flags) {
        line.keep_once("flag: " + flag);
    }
    for (const std::string& note : launch.notes) {
        line.keep_once("note: " + note);
    }
}

std::vector<std::string> network(const MeasureRequest& request) {
    return request.device == DeviceKind::cuda ? find_gpu_module().module->network()
                                              : std::vector<std::string>{};
}

}  // namespace

ExitCode measure_command(const Flags& flags,
                         Problems& problems,
                         MpiSession& session,
                         const std::string& command_line) {
    const auto world = session.world();
    const GpuInventory gpus = agree_on_gpus(*world, flags, session.rank());
    const MeasureRequest request = measure_request(flags, session.size(), gpus, problems);
    LaunchVerdict launch = inspect_launch(*world, request, gpus, command_line);
    append(launch.flags, import_gaps(flags));
    append(launch.notes, import_notes(flags));
    StudyRecorder recorder(request, header(request, launch, gpus, *world, command_line));
    const std::vector<bool> skip = begin(*world, recorder);
    static_cast<void>(on_first(*world, [&] {
        *launch.resources.tuning = read_tuning(request);
        return std::string();
    }));
    share_rows(*world, *launch.resources.tuning);
    launch.resources.heap = make_host_heap(*world, launch.hosts, request);
    std::optional<ProgressLine> line;
    if (session.rank() == WorldRank{0}) {
        announce(launch, line.emplace());
    }
    const auto backend = make_backend(request, launch.resources);
    const auto telemetry = telemetry_of(launch);
    run_points(*world,
               *backend,
               {.points = plans(request, skip),
                .options = request.measure,
                .hosts = launch.hosts,
                .waiting = launch.waiting,
                .progress =
                    [&](const std::string& text) {
                        if (line) {
                            line->show(text);
                        }
                    },
                .gpu = telemetry.get(),
                .note =
                    [&](const std::string& text) {
                        if (line) {
                            line->keep_once("note: " + text);
                        }
                    },
                .on_point =
                    [&](const Point& point) {
                        recorder.add(point);
                        if (line) {
                            line->begin_part();
                        }
                    }});
    line.reset();

    const std::string code = on_first(*world, [&] {
        if (!request.tuning.empty()) {
            launch.resources.tuning->write(request.tuning);
        }
        return std::to_string(static_cast<int>(gate(request, recorder.finish(network(request)))));
    });
    return static_cast<ExitCode>(std::stoi(code));
}

}  // namespace traindyno
