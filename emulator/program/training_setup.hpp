// SPDX-License-Identifier: Apache-2.0
// How the model is trained: batch, precision, recomputation, schedule, overlap.
#pragma once

#include <cstdint>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/precision.hpp"

namespace traindyno {

enum class Recompute : std::uint8_t {
    none,       ///< every activation that backward needs is kept
    selective,  ///< core attention runs again in backward (Korthikanti et al., arXiv:2205.05198,
                ///< section 5)
    full,       ///< only each layer's input is kept; its forward runs again in backward
};
enum class Schedule : std::uint8_t { gpipe, one_f_one_b };
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
    static constexpr auto names = enum_table<Schedule>("gpipe", "1f1b");
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

    friend bool operator==(const TrainingSetup&, const TrainingSetup&) = default;
};

}  // namespace traindyno
