// SPDX-License-Identifier: Apache-2.0
// Matrix products with epilogues in fp64 on the host, with bounds on how far a GPU may differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/device/gemm_plans/gemm_key.hpp"

namespace traindyno::test {

/// The value of one element that lies at `in`.
[[nodiscard]] double load(GemmType type, const std::byte* in);

/// The tanh form of GELU (Hendrycks and Gimpel, arXiv:1606.08415), its derivative, and the exact
/// form.
[[nodiscard]] double gelu(double x);
[[nodiscard]] double gelu_slope(double x);
[[nodiscard]] double gelu_of_erf(double x);

/// Operands in row-major order; what the product does not use is empty.
struct HostOperands {
    std::vector<double> a;
    std::vector<double> b;
    std::vector<double> c;
    std::vector<double> vector;
    std::vector<double> aux;
};

/// Values of one output and how far each may be off; empty when it is no output.
struct Expected {
    std::vector<double> values;
    std::vector<double> bounds;
};

struct ExpectedOutputs {
    Expected c;
    Expected vector;
    Expected aux;
};

/// `in` holds what was read: C only where it is accumulated to.
[[nodiscard]] ExpectedOutputs expected_outputs(const GemmKey& key, const HostOperands& in);

}  // namespace traindyno::test
