// SPDX-License-Identifier: Apache-2.0
// A graph compiled by cuDNN for one device, ready to run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emulator/base/units.hpp"
#include "emulator/device/cuda/attention/cudnn_descriptor.hpp"
#include "emulator/device/cuda/attention/cudnn_graph.hpp"

namespace traindyno::cuda {

/// What a plan is compiled for: the handle's device, or a device described in words, which needs
/// no GPU and serves to ask whether cuDNN would.
struct PlanTarget {
    cudnnHandle_t handle = nullptr;
    const Descriptor* device = nullptr;  ///< finalized CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR
};

/// A tensor's address, device or host, by the id it has in the graph.
struct BoundTensor {
    std::int64_t id = 0;
    void* address = nullptr;
};

class CudnnPlan {
  public:
    /// `parts`: everything the plan was made of and, last, the finalized plan.
    CudnnPlan(const CudnnLibrary& cudnn, std::vector<Descriptor> parts, const CudnnGraph& graph);

    [[nodiscard]] Bytes workspace_size() const { return workspace_size_; }

    /// On the handle's stream. `workspace` has workspace_size() bytes.
    void execute(cudnnHandle_t handle, std::span<const BoundTensor> tensors, void* workspace);

  private:
    const CudnnLibrary* cudnn_;
    std::vector<Descriptor> parts_;
    std::vector<GraphTensor> host_tensors_;
    Bytes workspace_size_;
    std::vector<std::int64_t> ids_;  ///< of the execution that is launched; kept to allocate once
    std::vector<void*> addresses_;
};

/// Why a configuration that cuDNN's heuristics proposed did not become a plan.
struct RefusedPlan {
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    std::string text;
};

struct PlanSearch {
    std::optional<CudnnPlan> plan;
    std::vector<RefusedPlan> refused;
};

/// The first configuration that compiles, in the heuristics' order: mode A, then fallbacks.
[[nodiscard]] PlanSearch find_plan(const CudnnLibrary& cudnn,
                                   const CudnnGraph& graph,
                                   const PlanTarget& target);

}  // namespace traindyno::cuda
