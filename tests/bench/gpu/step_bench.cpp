// SPDX-License-Identifier: Apache-2.0
// Whole steps of GPT-3 175B on one GPU: the rate of a layer in bf16 and fp8, what launching and
// tracing cost, and all 96 layers in the memory of one.
//
//     step_bench
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "collectives/communicator.hpp"
#include "emulator/device/cuda/cuda_device.hpp"
#include "emulator/engine/cuda/stream_runner.hpp"
#include "emulator/model/catalog.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/flops.hpp"
#include "tests/bench/gpu/figures.hpp"

namespace traindyno {
namespace {

constexpr int steps_to_warm = 5;
constexpr int steps_to_measure = 15;

struct Workload {
    Precision precision = Precision::bf16;
    std::int64_t layers = 1;
    std::int64_t micro_batches = 1;
    MemoryMode memory = MemoryMode::faithful;
    StepLaunch launch = StepLaunch::eager;
};

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// FLOPs of `op`, causal attention counted half.
double causal_flops(const ComputeOp& op) {
    const bool attention = std::holds_alternative<AttentionForward>(op) ||
                           std::holds_alternative<AttentionBackward>(op);
    return flops(op).value() * (attention ? 0.5 : 1.0);
}

/// A program, prepared and warm on device 0.
class Subject {
  public:
    explicit Subject(const Workload& workload) : program_(program_of(workload)), order_(program_) {
        device_ = std::make_unique<CudaDevice>(
            CudaOptions{.ordinal = 0, .precision = workload.precision, .seed = 1});
        device_->prepare(program_);
        runner_ = std::make_unique<StreamRunner>(
            order_, *device_, *alone_, StreamRunnerOptions{.launch = workload.launch});
        for (int i = 0; i < steps_to_warm; ++i) {
            (void)step(Tracing::on);
            (void)step(Tracing::off);
        }
    }

    StepTrace step(Tracing tracing) { return runner_->run_step(Traffic::real, tracing); }

    /// TFLOP/s of the transformer layers: their tasks' FLOPs over the time from the begin of each
    /// to its end.
    double layer_rate() {
        std::vector<double> rates;
        for (int i = 0; i < steps_to_measure; ++i) {
            const StepTrace trace = step(Tracing::on);
            double work = 0;
            double seconds = 0;
            for (std::size_t t = 0; t < program_.tasks.size(); ++t) {
                const Block& block = program_.blocks[program_.tasks[t].block.index()];
                if (block.name != "layer_forward" && block.name != "layer_backward") {
                    continue;
                }
                const TaskId task{static_cast<std::int64_t>(t)};
                seconds += to_seconds(trace.spans[order_.last_of(task) - 1].end -
                                      trace.spans[order_.first_of(task)].begin);
                for (const BlockOp& op : block.ops) {
                    work += causal_flops(std::get<ComputeOp>(op.op));
                }
            }
            rates.push_back(work / seconds / 1e12);
        }
        return median(rates);
    }

    /// Share of the step in which no operation runs.
    double launch_gap() {
        std::vector<double> gaps;
        for (int i = 0; i < steps_to_measure; ++i) {
            const StepTrace trace = step(Tracing::on);
            SimTime busy{0};
            for (const Span& span : trace.spans) {
                busy += span.length();
            }
            gaps.push_back(1 - to_seconds(busy) / to_seconds(trace.length()));
        }
        return median(gaps);
    }

    /// Time of a traced step over an untraced one, in turns.
    double tracing_cost() {
        std::vector<double> ratios;
        for (int i = 0; i < steps_to_measure; ++i) {
            const double traced = to_seconds(step(Tracing::on).length());
            ratios.push_back(traced / to_seconds(step(Tracing::off).length()));
        }
        return median(ratios);
    }

  private:
    static StepProgram program_of(const Workload& workload) {
        const Model model = apply(load_model("gpt3-175b"), {.layers = workload.layers});
        return build_step(model,
                          Layout{},
                          {.micro_batch = 1,
                           .global_batch = workload.micro_batches,
                           .precision = workload.precision,
                           .memory = workload.memory},
                          WorldRank{0});
    }

    StepProgram program_;
    IssueOrder order_;
    std::unique_ptr<Communicator> alone_ = Communicator::serial();
    std::unique_ptr<CudaDevice> device_;
    std::unique_ptr<StreamRunner> runner_;
};

void print(const std::string& name, double value, const std::string& unit) {
    fmt::print("{:<32} {:>10.4f} {}\n", name, value, unit);
    std::fflush(stdout);
    record_figure(name, value, unit);
}

void run() {
    double bf16 = 0;
    {
        Subject layer({});
        bf16 = layer.layer_rate();
        print("layer bf16", bf16, "TFLOP/s");
    }
    {
        Subject layer({.precision = Precision::fp8, .micro_batches = 4});
        const double fp8 = layer.layer_rate();
        print("layer fp8", fp8, "TFLOP/s");
        print("layer fp8 / bf16", fp8 / bf16, "");
    }
    const Workload whole{.micro_batches = 4, .memory = MemoryMode::aliased};
    {
        Workload eager = whole;
        eager.layers = 12;
        Subject subject(eager);
        print("launch gap, eager", subject.launch_gap(), "");
        print("step traced / untraced", subject.tracing_cost(), "");
    }
    {
        Workload graph = whole;
        graph.layers = 12;
        graph.launch = StepLaunch::graph;
        Subject subject(graph);
        print("launch gap, graph", subject.launch_gap(), "");
    }
    {
        Workload all = whole;
        all.layers = 96;
        Subject subject(all);
        const double rate = subject.layer_rate();
        print("96 layers aliased", rate, "TFLOP/s");
        print("96 layers aliased / one layer", rate / bf16, "");
    }
}

}  // namespace
}  // namespace traindyno

int main() {
    try {
        traindyno::run();
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "step_bench: {}\n", error.what());
        return 1;
    }
}
