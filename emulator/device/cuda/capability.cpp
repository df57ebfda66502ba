// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/capability.hpp"

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

constexpr int volta = 70;
constexpr int ampere = 80;
constexpr int ada = 89;

cudaDeviceProp properties_of(int ordinal) {
    cudaDeviceProp properties{};
    TD_CUDA(cudaGetDeviceProperties(&properties, ordinal));
    return properties;
}

int needed_by(Precision precision) {
    switch (precision) {
        case Precision::fp32:
        case Precision::fp16:
            return volta;
        case Precision::tf32:
        case Precision::bf16:
            return ampere;
        case Precision::fp8:
            return ada;
    }
    return 0;
}

}  // namespace

std::optional<std::string> lacks_precision(int capability, Precision precision) {
    const int needed = needed_by(precision);
    if (capability >= needed) {
        return std::nullopt;
    }
    return fmt::format(
        "it is sm_{}, and {} needs sm_{} or later", capability, to_string(precision), needed);
}

std::string device_name(int ordinal) {
    return properties_of(ordinal).name;
}

int multiprocessors_of(int ordinal) {
    int count = 0;
    TD_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, ordinal));
    return count;
}

void require_precision(int ordinal, Precision precision) {
    const cudaDeviceProp properties = properties_of(ordinal);
    const int capability = properties.major * 10 + properties.minor;
    if (const auto lack = lacks_precision(capability, precision)) {
        throw ConfigError(
            {fmt::format("--precision {}: {} cannot train in it ({}) use --precision {}",
                         to_string(precision),
                         properties.name,
                         *lack,
                         capability >= ampere ? "bf16" : "fp16")});
    }
}

void require_multiprocessors(int ordinal, int reserved) {
    const int multiprocessors = multiprocessors_of(ordinal);
    if (reserved >= multiprocessors) {
        throw ConfigError(
            {fmt::format("--reserve-sms {}: leaves nothing to compute with (the GPU has {} "
                         "multiprocessors) reserve as many as collectives use, e.g. 16",
                         reserved,
                         multiprocessors)});
    }
}

}  // namespace traindyno
