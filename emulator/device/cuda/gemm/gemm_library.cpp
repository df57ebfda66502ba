// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/gemm/gemm_library.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "emulator/device/cuda/gemm/gemm_descriptors.hpp"
#include "emulator/device/cuda/gemm/gemm_timer.hpp"
#include "emulator/device/gemm_plans/choose_algorithm.hpp"

namespace traindyno {

namespace {

constexpr int algorithms_tried = 16;
constexpr double finals_us = 200e3;
constexpr std::chrono::milliseconds warm_up_time{30};
constexpr double measure_us = 100e3;

PlanScope scope_of_current_device() {
    int device = 0;
    TD_CUDA(cudaGetDevice(&device));
    cudaDeviceProp properties{};
    TD_CUDA(cudaGetDeviceProperties(&properties, device));
    return {.device = properties.name,
            .capability = fmt::format("{}.{}", properties.major, properties.minor),
            .multiprocessors = properties.multiProcessorCount,
            .library = fmt::format("cuBLASLt {}", cublasLtGetVersion())};
}

/// Nothing when cuBLASLt offers no algorithm, or none that runs.
std::optional<TunedPlan> tune(const LtSession& session, GemmDescriptors& descriptors) {
    const std::vector<cublasLtMatmulAlgo_t> algorithms =
        offered_algorithms(session, descriptors, algorithms_tried);
    if (algorithms.empty()) {
        return std::nullopt;
    }
    GemmTimer timer(session, descriptors);
    timer.warm_up(algorithms[0], warm_up_time);
    const std::optional<Choice> choice =
        choose_algorithm(algorithms.size(), finals_us, [&](std::size_t algorithm, int launches) {
            return timer.microseconds(algorithms[algorithm], launches);
        });
    if (!choice) {
        return std::nullopt;
    }
    using Words = decltype(TunedPlan::algorithm);
    return TunedPlan{.algorithm = std::bit_cast<Words>(algorithms[choice->algorithm]),
                     .microseconds = choice->microseconds,
                     .rank = static_cast<int>(choice->algorithm)};
}

cublasLtMatmulAlgo_t opaque(const TunedPlan& plan) {
    return std::bit_cast<cublasLtMatmulAlgo_t>(plan.algorithm);
}

}  // namespace

struct GemmPlan {
    GemmDescriptors descriptors;
    TunedPlan tuned;
    cublasLtMatmulAlgo_t algorithm;
};

const GemmKey& key_of(const GemmPlan& plan) {
    return plan.descriptors.key();
}

const TunedPlan& tuned(const GemmPlan& plan) {
    return plan.tuned;
}

GemmLibrary::GemmLibrary(const std::string& plan_file)
    : session_(std::make_unique<LtSession>(make_lt_session())),
      cache_(plan_file, scope_of_current_device()) {}

GemmLibrary::~GemmLibrary() = default;

std::unique_ptr<GemmPlan> GemmLibrary::make_plan(const GemmKey& key) {
    GemmDescriptors descriptors(key, session_->multiprocessors);
    std::optional<TunedPlan> plan = cache_.find(key);
    if (plan && can_run(*session_, descriptors, opaque(*plan))) {
        ++counts_.from_file;
    } else {
        plan = tune(*session_, descriptors);
        if (!plan) {
            return nullptr;
        }
        cache_.add(key, *plan);
        ++counts_.tuned;
    }
    return std::make_unique<GemmPlan>(GemmPlan{std::move(descriptors), *plan, opaque(*plan)});
}

GemmPlan* GemmLibrary::find_or_make(const GemmKey& key) {
    auto found = plans_.find(key);
    if (found == plans_.end()) {
        found = plans_.emplace(key, make_plan(key)).first;
    }
    return found->second.get();
}

GemmPlan& GemmLibrary::prepare(const GemmKey& key) {
    GemmPlan* const plan = find_or_make(key);
    if (plan == nullptr) {
        throw LibraryError("cuBLASLt",
                           CUBLAS_STATUS_NOT_SUPPORTED,
                           fmt::format("it has no algorithm for {}", to_text(key)),
                           "cublasLtMatmulAlgoGetHeuristic",
                           Where::here());
    }
    return *plan;
}

double GemmLibrary::measure(const GemmKey& key) {
    GemmPlan* const plan = find_or_make(key);
    if (plan == nullptr) {
        return std::numeric_limits<double>::infinity();
    }
    GemmTimer timer(*session_, plan->descriptors);
    timer.warm_up(plan->algorithm, warm_up_time);
    const double fitting = measure_us / plan->tuned.microseconds;
    const std::vector<double> samples =
        timer.microseconds(plan->algorithm, static_cast<int>(std::clamp(fitting, 20.0, 200.0)));
    return samples.empty() ? std::numeric_limits<double>::infinity() : median(samples);
}

void GemmLibrary::run(GemmPlan& plan, const GemmOperands& operands, cudaStream_t stream) {
    TD_CUBLASLT(launch(*session_, plan.descriptors, plan.algorithm, operands, stream));
}

}  // namespace traindyno
