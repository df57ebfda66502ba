// SPDX-License-Identifier: Apache-2.0
// Runs a step program on symbols instead of numbers: two orders of operations are equivalent when
// every operation sees the same symbols.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "emulator/device/kernel_plan/fusion.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

/// A number that stands for everything an operation has read, by task and operation of its block.
using OperationInputs = std::vector<std::vector<std::uint64_t>>;

/// Memory cut wherever a slice begins or ends; one symbol for each piece.
class SymbolicStep {
  public:
    /// `program` must outlive it.
    explicit SymbolicStep(const StepProgram& program);

    void run(std::size_t task, std::uint32_t op);
    void spoil(const Slice& slice, std::size_t task);

    /// One symbol for all that `slice` holds.
    [[nodiscard]] std::uint64_t content(const Slice& slice, const Task& task);

    [[nodiscard]] OperationInputs take() { return std::move(inputs_); }

  private:
    [[nodiscard]] std::span<std::uint64_t> pieces_of(const Slice& slice, const Task& task);

    const StepProgram& program_;
    std::array<std::vector<std::int64_t>, enum_count<Space>> cuts_;
    std::array<std::vector<std::uint64_t>, enum_count<Space>> symbols_;
    OperationInputs inputs_;
};

/// Operations one after the other, as the program lists them.
OperationInputs run_symbolically(const StepProgram& program);

/// The same with the steps of `plans` (by block), each when its first operation is due. A product
/// that its step does not store leaves its place unusable.
OperationInputs run_symbolically(const StepProgram& program, const std::vector<BlockPlan>& plans);

/// `program` with its blocks in the order in which `plans` run them.
StepProgram reordered(StepProgram program, const std::vector<BlockPlan>& plans);

}  // namespace traindyno
