// SPDX-License-Identifier: Apache-2.0
// Results of a benchmark of collectives as text: nccl-tests' columns, then what it does not print.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/collective_bench/bench_row.hpp"

namespace traindyno {

enum class ModelColumn : std::uint8_t { absent, present };

/// Columns 1 to 13 are nccl-tests' (size, count, type, redop, root; time, algbw, busbw, #wrong out
/// of place and in place), so that what reads its tables reads these. Behind them min, p95 and max
/// of both placements and, where `model` is there, the model's time. Lines that are not rows begin
/// with '#'. Ends with a newline, as all texts here.
[[nodiscard]] std::string bench_heading(ModelColumn model);

/// The line of one size and backend, from its one or two placements.
[[nodiscard]] std::string bench_line(const std::vector<BenchRow>& placements, ModelColumn model);

/// Wrong values and mean bus bandwidth over the rows of one backend.
[[nodiscard]] std::string bench_footing(const std::vector<BenchRow>& rows);

/// What measure_collectives complains of, for standard error; the first lines and a sum. "" where
/// all is right.
[[nodiscard]] std::string complaint_text(const std::vector<std::string>& complaints);
[[nodiscard]] ExitCode exit_code_of(const std::vector<std::string>& complaints);

}  // namespace traindyno
