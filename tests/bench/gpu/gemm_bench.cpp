// SPDX-License-Identifier: Apache-2.0
// Matrix products of a GPT-3 175B layer: the plan we tune against cuBLASLt's own list.
//
//     gpu_gemm_bench [plan file]
//
// Each of the first 16 algorithms that cuBLASLt's heuristics offer and our plan run in turns on the
// same operands. Exit code 1 when a plan reaches less than 97 % of the best of the 16.
#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/gemm/gemm_descriptors.hpp"
#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "emulator/device/cuda/gemm/gemm_timer.hpp"
#include "emulator/device/gemm_plans/choose_algorithm.hpp"
#include "tests/bench/gpu/figures.hpp"

namespace traindyno {
namespace {

// GPT-3 175B (Brown et al., arXiv:2005.14165, table 2.1), one sequence.
constexpr std::int64_t hidden = 12288;
constexpr std::int64_t tokens = 2048;
constexpr int algorithms_compared = 16;
constexpr int rounds = 7;
constexpr int launches_per_round = 6;
constexpr std::chrono::milliseconds warm_up_time{200};
constexpr double least_ratio = 0.97;

struct Case {
    std::string name;
    GemmKey key;
};

/// y[t,out] = x[t,in] W[out,in]^T and its gradients, in bf16.
std::vector<Case> layer_in_bf16(const std::string& name, std::int64_t in, std::int64_t out) {
    return {
        {name + " forward bf16", {.m = tokens, .n = out, .k = in, .transpose_b = Transpose::yes}},
        {name + " dgrad bf16", {.m = tokens, .n = in, .k = out}},
        {name + " wgrad bf16",
         {.m = out,
          .n = in,
          .k = tokens,
          .transpose_a = Transpose::yes,
          .accumulate = Accumulate::yes,
          .type_c = GemmType::fp32}}};
}

/// The same in fp8: gradients read transposed copies, in the one layout there is.
std::vector<Case> layer_in_fp8(const std::string& name, std::int64_t in, std::int64_t out) {
    std::vector<Case> cases = layer_in_bf16(name, in, out);
    const char* passes[] = {" forward fp8", " dgrad fp8", " wgrad fp8"};
    for (std::size_t pass = 0; pass < cases.size(); ++pass) {
        GemmKey& key = cases[pass].key;
        cases[pass].name = name + passes[pass];
        key.transpose_a = Transpose::no;
        key.transpose_b = Transpose::yes;
        key.type_a = pass == 0 ? GemmType::e4m3 : GemmType::e5m2;
        key.type_b = GemmType::e4m3;
        key.compute = pass == 0 ? ComputeMode::fast_fp8 : ComputeMode::fp32;
    }
    return cases;
}

std::vector<Case> all_cases(std::int64_t tensor_parallel) {
    const std::int64_t h = hidden;
    const std::int64_t tp = tensor_parallel;
    std::vector<Case> cases;
    for (const auto layer : {layer_in_bf16, layer_in_fp8}) {
        for (const auto& part : {layer("qkv", h, 3 * h / tp),
                                 layer("projection", h / tp, h),
                                 layer("mlp up", h, 4 * h / tp),
                                 layer("mlp down", 4 * h / tp, h)}) {
            cases.insert(cases.end(), part.begin(), part.end());
        }
    }
    return cases;
}

/// Median microseconds of each algorithm, in turns; nothing for one that does not run.
std::vector<std::optional<double>> times_in_turns(
    GemmTimer& timer, const std::vector<cublasLtMatmulAlgo_t>& algorithms) {
    std::vector<std::vector<double>> samples(algorithms.size());
    timer.warm_up(algorithms.back(), warm_up_time);
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < algorithms.size(); ++i) {
            const std::vector<double> more = timer.microseconds(algorithms[i], launches_per_round);
            samples[i].insert(samples[i].end(), more.begin(), more.end());
        }
    }
    std::vector<std::optional<double>> times;
    for (const std::vector<double>& of_one : samples) {
        times.push_back(of_one.empty() ? std::nullopt : std::optional(median(of_one)));
    }
    return times;
}

/// Our rate over that of the best of cuBLASLt's list; nothing where the product is not offered.
std::optional<double> compare(const LtSession& session, GemmLibrary& library, const Case& item) {
    const GemmKey& key = item.key;
    GemmDescriptors descriptors(key, session.multiprocessors);
    std::vector<cublasLtMatmulAlgo_t> algorithms =
        offered_algorithms(session, descriptors, algorithms_compared);
    if (algorithms.empty()) {
        fmt::print("{:<24} not offered by cuBLASLt here\n", item.name);
        return std::nullopt;
    }
    const TunedPlan& plan = tuned(library.prepare(key));
    algorithms.push_back(std::bit_cast<cublasLtMatmulAlgo_t>(plan.algorithm));
    GemmTimer timer(session, descriptors);
    std::vector<std::optional<double>> times = times_in_turns(timer, algorithms);
    TD_EXPECT(times.back().has_value());
    const double ours = *times.back();
    times.pop_back();
    std::optional<double> best;
    std::size_t rank = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
        if (times[i] && (!best || *times[i] < *best)) {
            best = times[i];
            rank = i;
        }
    }
    TD_EXPECT(best.has_value());
    const double flop =
        2.0 * static_cast<double>(key.m) * static_cast<double>(key.n) * static_cast<double>(key.k);
    const auto teraflops = [flop](double microseconds) { return flop / microseconds * 1e-6; };
    fmt::print("{:<24} {:>6} x {:>6} x {:>6} {:>8.1f} #{:<3} {:>8.1f} #{:<3} {:>8} {:>7.3f}\n",
               item.name,
               key.m,
               key.n,
               key.k,
               teraflops(ours),
               plan.rank,
               teraflops(*best),
               rank,
               times[0] ? fmt::format("{:.1f}", teraflops(*times[0])) : "fails",
               *best / ours);
    return *best / ours;
}

int run(const std::string& plan_file) {
    const LtSession session = make_lt_session();
    GemmLibrary library(plan_file);
    cudaDeviceProp device{};
    int ordinal = 0;
    TD_CUDA(cudaGetDevice(&ordinal));
    TD_CUDA(cudaGetDeviceProperties(&device, ordinal));
    fmt::print("{}, cuBLASLt {}; medians of {} launches in turns, TFLOP/s\n",
               device.name,
               cublasLtGetVersion(),
               rounds * launches_per_round);
    double worst = 1e9;
    for (const std::int64_t tensor_parallel : {1, 8}) {
        fmt::print("tensor parallel {}\n{:<24} {:>24} {:>13} {:>13} {:>8} {:>7}\n",
                   tensor_parallel,
                   "product",
                   "m x n x k",
                   "ours",
                   "best of 16",
                   "#0",
                   "ratio");
        for (const Case& item : all_cases(tensor_parallel)) {
            worst = std::min(worst, compare(session, library, item).value_or(worst));
        }
    }
    library.save_plans();
    fmt::print("worst ratio {:.3f}\n", worst);
    record_figure("matrix products / best of 16", worst, "");
    return worst < least_ratio ? 1 : 0;
}

}  // namespace
}  // namespace traindyno

int main(int argc, char** argv) {
    try {
        return traindyno::run(argc > 1 ? argv[1] : "");
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
