// SPDX-License-Identifier: Apache-2.0
// Where the matrices of a GPU matrix product lie.
#pragma once

namespace traindyno {

/// Device pointers, each a multiple of GemmKey::alignment. What a product does not use is null.
struct GemmOperands {
    const void* a = nullptr;
    const void* b = nullptr;
    void* c = nullptr;
    /// Epilogue's vector: a bias that is read, or a bias gradient that is overwritten.
    void* vector = nullptr;
    /// Epilogue's x[m,n] in C's type, the argument of GELU: written forward, read backward.
    void* aux = nullptr;
    /// fp8: A and B are multiplied by these factors, fp32 on the device, as they are read.
    const float* scale_a = nullptr;
    const float* scale_b = nullptr;
};

}  // namespace traindyno
