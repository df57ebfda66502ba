// SPDX-License-Identifier: Apache-2.0
// How the model is trained: batch, precision, recomputation, schedule, overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/base/dtype.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/precision.hpp"

namespace traindyno {

enum class Recompute : std::uint8_t {
    none,       ///< every activation that backward needs is kept
    selective,  ///< core attention runs again in backward (Korthikanti et al., arXiv:2205.05198,
                ///< section 5)
    full,       ///< only each layer's input is kept; its forward runs again in backward
};
enum class Schedule : std::uint8_t {
    gpipe,
    one_f_one_b,
    interleaved,  ///< 1F1B over several model chunks per rank (Narayanan et al., SC'21,
                  ///< section 2.2)
    zero_bubble,  ///< ZB-H1: backward split into input and weight gradients (Qi et al., ICLR 2024)
};
/// Which state of data-parallel ranks is cut into shards: each stage adds one (Rajbhandari et al.,
/// ZeRO, SC'20, section 5).
enum class Zero : std::uint8_t { none, optimizer, gradients, parameters };
enum class GradientReduction : std::uint8_t { last_micro_batch, every_micro_batch };
enum class SequenceParallel : std::uint8_t { off, on };
enum class ContextExchange : std::uint8_t { ring, all_gather };
enum class ContextBalance : std::uint8_t {
    contiguous,  ///< rank i holds part i of the sequence: later parts attend to more
    zigzag,      ///< rank i holds parts i and 2 cp - 1 - i of 2 cp: equal work under a causal mask
};
enum class Overlap : std::uint8_t { off, on };
enum class MemoryMode : std::uint8_t {
    faithful,  ///< every layer has its own weights, gradients, optimizer state and activations
    aliased,  ///< the layers of a stage share one layer's: the same kernels and traffic on a device
              ///< too small for all of them. Values mean nothing
};

template <>
struct EnumNames<Recompute> {
    static constexpr auto names = enum_table<Recompute>("none", "selective", "full");
};

template <>
struct EnumNames<Schedule> {
    static constexpr auto names =
        enum_table<Schedule>("gpipe", "1f1b", "interleaved", "zero-bubble");
};

template <>
struct EnumNames<Zero> {
    static constexpr auto names = enum_table<Zero>("0", "1", "2", "3");
};

template <>
struct EnumNames<GradientReduction> {
    static constexpr auto names =
        enum_table<GradientReduction>("last-micro-batch", "every-micro-batch");
};

template <>
struct EnumNames<SequenceParallel> {
    static constexpr auto names = enum_table<SequenceParallel>("off", "on");
};

template <>
struct EnumNames<ContextExchange> {
    static constexpr auto names = enum_table<ContextExchange>("ring", "all-gather");
};

template <>
struct EnumNames<ContextBalance> {
    static constexpr auto names = enum_table<ContextBalance>("contiguous", "zigzag");
};

template <>
struct EnumNames<Overlap> {
    static constexpr auto names = enum_table<Overlap>("off", "on");
};

template <>
struct EnumNames<MemoryMode> {
    static constexpr auto names = enum_table<MemoryMode>("faithful", "aliased");
};

struct TrainingSetup {
    std::int64_t micro_batch = 1;   ///< sequences per micro-batch and replica
    std::int64_t global_batch = 1;  ///< sequences per step over all replicas
    Precision precision = Precision::fp32;
    Recompute recompute = Recompute::none;
    Schedule schedule = Schedule::one_f_one_b;
    Bytes bucket =
        Bytes{std::int64_t{25} * 1024 * 1024};  ///< gradient bucket (PyTorch DDP's default, 25 MiB)
    Overlap overlap_gradients =
        Overlap::on;                    ///< reduce a bucket as soon as its last gradient is ready
    Overlap overlap_p2p = Overlap::on;  ///< post pipeline sends and receives beside compute
    MemoryMode memory = MemoryMode::faithful;

    // Pipeline.
    std::int64_t virtual_stages = 1;           ///< model chunks per rank, interleaved schedule
    std::vector<std::int64_t> stage_layers{};  ///< layers of each stage; empty: equally many
    // Tensor and context parallelism.
    SequenceParallel sequence_parallel = SequenceParallel::off;
    Overlap overlap_tp = Overlap::off;  ///< products and their communication in chunks
    ContextExchange context_exchange = ContextExchange::ring;
    ContextBalance context_balance = ContextBalance::zigzag;
    // Data parallelism.
    Zero zero = Zero::none;
    std::int64_t prefetch = 1;  ///< layers whose parameters are gathered ahead, ZeRO 3
    Overlap overlap_parameters = Overlap::on;  ///< gather parameters beside forward
    DType gradient_type = DType::fp32;         ///< of main gradients, in memory and on the wire
    GradientReduction gradient_reduction = GradientReduction::last_micro_batch;
    // Experts.
    double capacity_factor = 0;  ///< tokens an expert takes over its equal share; 0: all that come
    double expert_skew = 0;      ///< exponent of Zipf's law over the experts' loads; 0: balanced

    friend bool operator==(const TrainingSetup&, const TrainingSetup&) = default;
};

}  // namespace traindyno
