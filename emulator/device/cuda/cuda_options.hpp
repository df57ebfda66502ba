// SPDX-License-Identifier: Apache-2.0
// What a CUDA device is made with.
#pragma once

#include <cstdint>
#include <string>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/precision.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// What weights and activations hold. Zeros draw less power and run faster than training does.
enum class InputData : std::uint8_t { normal, zeros };

template <>
struct EnumNames<InputData> {
    static constexpr auto names = enum_table<InputData>("normal", "zeros");
};

/// Of a stream among those of the device: where both wait for a multiprocessor, thread blocks of
/// the highest priority start first.
enum class StreamPriority : std::uint8_t { normal, highest };

template <>
struct EnumNames<StreamPriority> {
    static constexpr auto names = enum_table<StreamPriority>("normal", "highest");
};

/// Whether a matrix product takes over the operations after it, where it can.
enum class Folding : std::uint8_t {
    timed,   ///< where one launch was measured to be faster
    never,   ///< for comparison: every operation is a kernel of its own
    always,  ///< for comparison: wherever cuBLASLt has an algorithm
};

struct CudaOptions {
    int ordinal = 0;  ///< CUDA's number among the devices visible to this process
    Precision precision = Precision::bf16;
    InputData data = InputData::normal;
    unsigned seed = 0;
    FlopRate peak{0};           ///< dense peak of the device in that precision; 0 = unknown
    Bytes memory_per_group{0};  ///< left free for each group's communicator
    int reserved_sms = 0;       ///< multiprocessors that matrix products leave to communication
    Folding folding = Folding::timed;
    std::string plan_cache{};  ///< file of tuned plans; "" = tune anew and keep nothing
};

}  // namespace traindyno
