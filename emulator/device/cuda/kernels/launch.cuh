// SPDX-License-Identifier: Apache-2.0
// From operands to kernel templates: element type, width of vectors, grid.
#pragma once

#include <array>
#include <type_traits>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/kernels/run_kinds.hpp"
#include "emulator/device/cuda/kernels/storage.cuh"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno::cuda {

/// Calls `run` with a value of the storage type.
template <class Run>
void with_type(DType type, const Run& run) {
    switch (type) {
        case DType::fp32:
            return run(float{});
        case DType::bf16:
            return run(__nv_bfloat16{});
        case DType::fp16:
            return run(__half{});
        case DType::fp64:
        case DType::int32:
        case DType::int64:
            break;
    }
    TD_EXPECT(!"a type that kernels compute with");
}

[[nodiscard]] inline Placement placement_of(const Operand& operand) {
    return {reinterpret_cast<std::uintptr_t>(operand.data), element_size(operand.dtype)};
}

/// Calls `run` with the width of vectors that rows of `columns` elements allow: full or 1.
template <class T, class Run, class... Arrays>
void with_row_width(std::int64_t columns, const Run& run, const Arrays&... arrays) {
    const std::array<Placement, sizeof...(arrays)> places{placement_of(arrays)...};
    if (rows_are_vectors(places, columns, full_width<T>)) {
        run(std::integral_constant<int, full_width<T>>{});
    } else {
        run(std::integral_constant<int, 1>{});
    }
}

[[nodiscard]] inline dim3 grid_of(std::int64_t x, std::int64_t y = 1) {
    return {static_cast<unsigned>(x), static_cast<unsigned>(y)};
}

/// Throws LibraryError if the launch before was refused.
inline void check_launch(const char* kernel, Where where = Where::here()) {
    check_cuda(cudaGetLastError(), kernel, where);
}

}  // namespace traindyno::cuda
