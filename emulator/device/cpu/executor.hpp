// SPDX-License-Identifier: Apache-2.0
// Memory and compiled kernels of one program, and the call that runs one operation on them.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "emulator/device/cpu/attention.hpp"
#include "emulator/device/cpu/gemm.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/team.hpp"
#include "emulator/device/space_memory.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// Built and run on the team's master thread.
class CpuExecutor {
  public:
    CpuExecutor(const StepProgram& program,
                const Team& team,
                std::uint32_t seed,
                const HostMemory& shared);

    void run(const ComputeOp& op, const Task& task);

    [[nodiscard]] const SpaceMemory& memory() const { return memory_; }

  private:
    void compile(const ComputeOp& op);
    void fill(const StepProgram& program);
    [[nodiscard]] Operand resolve(const Slice& slice, const Task& task) const;

    void run_op(const MatMul& op, const Task& task);
    void run_op(const AttentionForward& op, const Task& task);
    void run_op(const AttentionBackward& op, const Task& task);
    void run_op(const Elementwise& op, const Task& task);
    void run_op(const OptimizerStep& op, const Task& task);

    const Team& team_;
    DType storage_;
    DType gradient_;
    std::uint32_t seed_;
    SpaceMemory memory_;
    std::map<GemmShape, Gemm> products_;
    std::map<AttentionShape, std::unique_ptr<Attention>> attentions_;
    std::vector<float> scratch_;
    std::vector<Operand> reads_;  ///< of the operation that runs; kept to allocate once
    std::vector<Operand> writes_;
};

}  // namespace traindyno
