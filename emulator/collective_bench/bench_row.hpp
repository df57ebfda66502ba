// SPDX-License-Identifier: Apache-2.0
// What a benchmark of collectives found.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "emulator/collective_bench/bench_case.hpp"

namespace traindyno {

inline constexpr double micro = 1e6;  ///< microseconds in a second

/// Over the iterations; an iteration takes what the slowest rank takes. Seconds.
struct BenchTime {
    double min = 0;
    double p50 = 0;
    double p95 = 0;
    double max = 0;

    bool operator==(const BenchTime&) const = default;
};

/// One size, by one backend, in one placement.
struct BenchRow {
    std::string backend;
    BenchCase what;
    Placement placement = Placement::apart;
    std::int64_t ranks = 1;
    OpShape shape;
    std::int64_t iterations = 0;
    BenchTime time;
    std::optional<std::int64_t> wrong;    ///< elements on all ranks; empty: not checked
    std::optional<double> predicted_s{};  ///< by the model, where there is one
    /// Of a single-rank group busbw is 0: nothing is sent.
    [[nodiscard]] double algbw_gbs() const;
    [[nodiscard]] double busbw_gbs() const;

    [[nodiscard]] Bytes bytes() const { return size_of(shape, what.type); }
};

/// Seconds a backend should take, where that is known.
using BenchModel = std::function<std::optional<double>(
    std::string_view backend, BenchOp op, Bytes bytes, std::int64_t ranks)>;

}  // namespace traindyno
