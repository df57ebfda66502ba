// SPDX-License-Identifier: Apache-2.0
// Measures and checks a collective on several communicators, side by side.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/collective_bench/bench_buffers.hpp"
#include "emulator/collective_bench/bench_row.hpp"
#include "emulator/collective_bench/operation_watch.hpp"

namespace traindyno {

/// A communicator of all ranks, and its name.
struct Contender {
    std::string name;
    std::unique_ptr<Communicator> communicator;
};

/// Who carries such an operation: the contender, or whom it chose.
[[nodiscard]] std::string_view carrier_of(const Contender& contender, BenchOp op, Bytes bytes);

struct BenchPlan {
    BenchCase what;
    std::vector<OpShape> shapes;
    std::int64_t iterations = 20;
    std::int64_t warm_up = 5;
    std::int64_t checks = 1;  ///< operations compared with their expected result, per row
    BenchModel model{};       ///< may be empty
    BenchMemory memory = ordinary_memory();
    SimTime timeout = std::chrono::seconds{120};  ///< of one operation
};

/// Called on every rank, in the same order.
struct BenchListener {
    /// Begins with a size, e.g. "16.0 MiB in place".
    std::function<void(const std::string& text)> on_progress;
    /// The rows of one size, contender by contender, out of place before in place.
    std::function<void(const std::vector<BenchRow>& rows)> on_rows;
};

/// For each size and placement: warm-up, then the contenders take turns, each turn some iterations
/// that begin at a barrier, then the checks; nothing lies between the iterations of a turn. Where
/// values are wrong, the result has a line for each row and rank that saw some: first element,
/// value, expected value. Past BenchPlan::timeout HangError, or where a library blocks the end of
/// the process (Watchdog). Collective over `control`, which has the contenders' members.
[[nodiscard]] std::vector<std::string> measure_collectives(Communicator& control,
                                                           const std::vector<Contender>& contenders,
                                                           const BenchPlan& plan,
                                                           const BenchListener& listener);

/// One operation, to its end.
void run_once(Communicator& group,
              const BenchCase& what,
              const OpBuffers& buffers,
              OperationWatch& watch);

/// Of one time per iteration; at least one.
[[nodiscard]] BenchTime summarize_iterations(const std::vector<double>& seconds);

}  // namespace traindyno
