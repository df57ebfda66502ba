// SPDX-License-Identifier: Apache-2.0
// Memory, plans and scratch of one program on a GPU, and the call that launches one operation.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/cuda_options.hpp"
#include "emulator/device/cuda/device_memory.hpp"
#include "emulator/device/cuda/fp8_state.hpp"
#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/cuda/launch_plan.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

class CudaExecutor {
  public:
    /// Everything that can be made beforehand is: plans, memory, scratch; every kernel has run once
    /// when this returns. Throws ConfigError, itemised, when the memory does not suffice.
    CudaExecutor(const StepProgram& program, const CudaOptions& options, cudaStream_t stream);

    /// Launches `op` on the stream. Does nothing for an operation that an earlier launch covers.
    void run(const ComputeOp& op, const Task& task);

    [[nodiscard]] const DeviceMemory& memory() const { return *memory_; }

    /// How attention runs: "cuDNN 9.19.0", or why not.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

  private:
    void make_attentions(const StepProgram& program);
    void size_scratch(const StepProgram& program);
    void find_first_update(const StepProgram& program);
    void require_memory(const StepProgram& program) const;
    void allocate(const StepProgram& program);
    void fill(const StepProgram& program);
    void warm_up(const StepProgram& program);

    void run_op(const ComputeOp& op, const MatMul& product, const Task& task);
    void run_op(const AttentionForward& op, const Task& task);
    void run_op(const AttentionBackward& op, const Task& task);
    void run_op(const Elementwise& op, const Task& task);
    void run_op(const OptimizerStep& op, const Task& task);
    void add_bias_gradient(const ProductLaunch& launch, const Task& task);

    [[nodiscard]] std::byte* address(const Slice& slice, const Task& task) const;
    [[nodiscard]] cuda::KernelContext context(const Task& task) const;

    CudaOptions options_;
    DType storage_;
    DType gradient_;
    cudaStream_t stream_;
    int multiprocessors_ = 0;
    GemmLibrary gemms_;
    std::optional<Fp8Plan> fp8_plan_;  ///< in fp8 only
    LaunchPlan plan_;
    cuda::AttentionFactory attention_factory_;
    std::map<AttentionShape, std::unique_ptr<cuda::Attention>> attentions_;
    Bytes attention_workspace_size_{0};
    std::int64_t scratch_elements_ = 0;
    std::unique_ptr<DeviceMemory> memory_;
    std::unique_ptr<Fp8State> fp8_;            ///< in fp8 only
    const ComputeOp* first_update_ = nullptr;  ///< first OptimizerStep: then all casts are done
    DeviceBytes scratch_;
    DeviceBytes attention_workspace_;
    DeviceBytes bias_gradient_;   ///< that a product stores before it is added
    std::vector<Operand> reads_;  ///< of the operation that is launched; kept to allocate once
    std::vector<Operand> writes_;
    std::vector<std::string> notes_;
};

}  // namespace traindyno
