// SPDX-License-Identifier: Apache-2.0
// Matrix products on the current GPU: tuned once, then launched.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "emulator/device/cuda/gemm/gemm_operands.hpp"
#include "emulator/device/gemm_plans/gemm_key.hpp"
#include "emulator/device/gemm_plans/plan_cache.hpp"

namespace traindyno {

struct LtSession;

/// A product that is ready to run; owned by its GemmLibrary.
struct GemmPlan;

/// The key, and what tuning found: its time is that of the tuning run, perhaps days ago.
[[nodiscard]] const GemmKey& key_of(const GemmPlan& plan);
[[nodiscard]] const TunedPlan& tuned(const GemmPlan& plan);

/// Where plans came from.
struct PlanCounts {
    int tuned = 0;
    int from_file = 0;

    friend bool operator==(const PlanCounts&, const PlanCounts&) = default;
};

/// For one thread and, because there is one workspace, for products that do not overlap in time.
class GemmLibrary {
  public:
    /// On the current device. `plan_file` as CudaOptions::plan_cache: "" keeps nothing.
    explicit GemmLibrary(const std::string& plan_file);
    GemmLibrary(const GemmLibrary&) = delete;
    GemmLibrary& operator=(const GemmLibrary&) = delete;
    GemmLibrary(GemmLibrary&&) = delete;
    GemmLibrary& operator=(GemmLibrary&&) = delete;
    ~GemmLibrary();

    /// Takes the plan from the file or tunes: 16 algorithms, about half a second for a large
    /// product. Tuning needs memory for the operands once more and waits for the device, so call it
    /// before the model's memory is taken. Valid as long as this library. ContractError when the
    /// key breaks a rule, LibraryError when cuBLASLt has no algorithm for it.
    GemmPlan& prepare(const GemmKey& key);

    /// Microseconds of one launch, measured now, with memory as for tuning; infinity when cuBLASLt
    /// has no algorithm. For comparing a fused epilogue with the plain product and a kernel.
    [[nodiscard]] double measure(const GemmKey& key);

    /// Queues the product on `stream`: no allocation, no waiting. Can be captured in a graph once
    /// it has run, since CUDA loads its kernel at the first launch.
    void run(GemmPlan& plan, const GemmOperands& operands, cudaStream_t stream);

    /// Writes newly tuned plans to the file, see PlanCache::save.
    void save_plans() { cache_.save(); }

    /// Damages found in the plan file.
    [[nodiscard]] const std::vector<std::string>& notes() const { return cache_.notes(); }

    [[nodiscard]] PlanCounts counts() const { return counts_; }

  private:
    std::unique_ptr<GemmPlan> make_plan(const GemmKey& key);
    GemmPlan* find_or_make(const GemmKey& key);

    std::unique_ptr<LtSession> session_;
    PlanCache cache_;
    PlanCounts counts_;
    std::map<GemmKey, std::unique_ptr<GemmPlan>> plans_;  ///< null: cuBLASLt has no algorithm
};

}  // namespace traindyno
