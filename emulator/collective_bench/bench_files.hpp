// SPDX-License-Identifier: Apache-2.0
// Results of a benchmark of collectives as JSON and CSV.
#pragma once

#include <string>
#include <vector>

#include "emulator/collective_bench/bench_row.hpp"
#include "emulator/study/study.hpp"

namespace traindyno {

/// Where and how the rows were measured.
struct BenchHeader {
    std::string version;
    std::string created;  ///< ISO 8601
    std::string command;
    std::string mpi;
    std::string buffers;  ///< the memory they lie in
    std::vector<HostInfo> hosts;
    std::vector<std::string> flags_raised;  ///< what makes the figures worth less
};

/// { "schema": "traindyno.collectives/1", header, "rows": [{backend, op, ranks, dtype, reduction,
/// root, placement, bytes, count, iterations, time_us{min,p50,p95,max}, algbw_gbs, busbw_gbs,
/// wrong, predicted_us}] }; null where there is nothing.
[[nodiscard]] std::string bench_json(const BenchHeader& header, const std::vector<BenchRow>& rows);

/// The rows with a header line; fields as above, times as min_us, p50_us, p95_us, max_us; empty
/// where there is nothing.
[[nodiscard]] std::string bench_csv(const std::vector<BenchRow>& rows);

}  // namespace traindyno
