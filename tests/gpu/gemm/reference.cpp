// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/gemm/reference.hpp"

#include <cmath>
#include <cstring>
#include <numbers>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

namespace traindyno::test {

namespace {

const double root = std::sqrt(2 / std::numbers::pi);
constexpr double cubic = 0.044715;
constexpr double steepest = 1.13;       // the largest slope of GELU is 1.129
constexpr double tanh_error = 0x1p-10;  // tanh.approx of PTX: 2^-11, with room

template <class T>
T value_at(const std::byte* in) {
    T value;
    std::memcpy(&value, in, sizeof(value));
    return value;
}

double of_fp8(__nv_fp8_storage_t bits, __nv_fp8_interpretation_t kind) {
    return static_cast<double>(__half2float(__half(__nv_cvt_fp8_to_halfraw(bits, kind))));
}

/// Of rounding a result to `type`, relative: a whole unit in the last place.
double rounding(GemmType type) {
    return type == GemmType::fp32 ? 0x1p-22 : type == GemmType::bf16 ? 0x1p-7 : 0x1p-10;
}

/// Of a sum of k products, relative to the sum of their magnitudes.
double summing(const GemmKey& key) {
    const auto k = static_cast<double>(key.k);
    const double fp32 = (k + 2) * 0x1p-23;
    if (is_fp8(key.type_a)) {
        // Hopper adds 32 products to a sum at a time, each of them cut to 13 bits below the largest
        // (DeepSeek-V3, arXiv:2412.19437, section 3.3.2, sees about 14 bits).
        return (k / 32 + 1) * 33 * 0x1p-13;
    }
    return key.compute == ComputeMode::tf32 ? 0x1p-9 + fp32 : fp32;
}

struct Sums {
    std::vector<double> values;
    std::vector<double> magnitudes;
};

double element_a(const GemmKey& key, const HostOperands& in, std::int64_t i, std::int64_t l) {
    return in.a[static_cast<std::size_t>(key.transpose_a == Transpose::yes ? l * key.m + i
                                                                           : i * key.k + l)];
}

double element_b(const GemmKey& key, const HostOperands& in, std::int64_t l, std::int64_t j) {
    return in.b[static_cast<std::size_t>(key.transpose_b == Transpose::yes ? j * key.k + l
                                                                           : l * key.n + j)];
}

/// op(A) op(B), plus C and the bias where the key has them added.
Sums sums_of(const GemmKey& key, const HostOperands& in) {
    const bool add_bias = key.epilogue == Epilogue::bias || key.epilogue == Epilogue::gelu_aux_bias;
    Sums sums;
    for (std::int64_t i = 0; i < key.m; ++i) {
        for (std::int64_t j = 0; j < key.n; ++j) {
            double sum = add_bias ? in.vector[static_cast<std::size_t>(j)] : 0;
            sum += key.accumulate == Accumulate::yes ? in.c[static_cast<std::size_t>(i * key.n + j)]
                                                     : 0;
            double magnitude = std::abs(sum);
            for (std::int64_t l = 0; l < key.k; ++l) {
                const double product = element_a(key, in, i, l) * element_b(key, in, l, j);
                sum += product;
                magnitude += std::abs(product);
            }
            sums.values.push_back(sum);
            sums.magnitudes.push_back(magnitude);
        }
    }
    return sums;
}

/// C is a function of each sum: what it is, and its bound given the sum's.
template <class Function>
Expected results(const GemmKey& key, const Sums& sums, const Function& function) {
    Expected c;
    for (std::size_t i = 0; i < sums.values.size(); ++i) {
        const auto [value, error] = function(i, sums.values[i], summing(key) * sums.magnitudes[i]);
        c.values.push_back(value);
        c.bounds.push_back(error + rounding(key.type_c) * std::abs(value) + 1e-30);
    }
    return c;
}

Expected results_of(const GemmKey& key, const Sums& sums, const HostOperands& in) {
    using Result = std::pair<double, double>;
    switch (key.epilogue) {
        case Epilogue::gelu_aux:
        case Epilogue::gelu_aux_bias:
            return results(key, sums, [](std::size_t, double x, double error) {
                return Result(gelu(x), steepest * error + tanh_error * std::abs(x));
            });
        case Epilogue::dgelu:
        case Epilogue::dgelu_bgrad:
            return results(key, sums, [&](std::size_t i, double sum, double error) {
                const double x = in.aux[i];
                const double slope_error = 8 * tanh_error * (1 + std::abs(x));
                return Result(sum * gelu_slope(x), steepest * error + slope_error * std::abs(sum));
            });
        case Epilogue::none:
        case Epilogue::bias:
        case Epilogue::bgrad_a:
            break;
    }
    return results(
        key, sums, [](std::size_t, double sum, double error) { return Result(sum, error); });
}

/// Sums over the rows of C: from its exact or its rounded values.
Expected column_sums(const GemmKey& key, const Expected& c) {
    const auto n = static_cast<std::size_t>(key.n);
    Expected sums{std::vector<double>(n), std::vector<double>(n)};
    for (std::size_t i = 0; i < c.values.size(); ++i) {
        sums.values[i % n] += c.values[i];
        sums.bounds[i % n] +=
            c.bounds[i] + static_cast<double>(key.m) * 0x1p-23 * std::abs(c.values[i]);
    }
    for (std::size_t j = 0; j < n; ++j) {
        sums.bounds[j] += rounding(vector_type(key)) * std::abs(sums.values[j]);
    }
    return sums;
}

/// Sums of op(A) over k.
Expected row_sums_of_a(const GemmKey& key, const HostOperands& in) {
    Expected sums;
    for (std::int64_t i = 0; i < key.m; ++i) {
        double sum = 0;
        double magnitude = 0;
        for (std::int64_t l = 0; l < key.k; ++l) {
            sum += element_a(key, in, i, l);
            magnitude += std::abs(element_a(key, in, i, l));
        }
        sums.values.push_back(sum);
        sums.bounds.push_back(summing(key) * magnitude +
                              rounding(vector_type(key)) * std::abs(sum));
    }
    return sums;
}

}  // namespace

double load(GemmType type, const std::byte* in) {
    switch (type) {
        case GemmType::fp32:
            return static_cast<double>(value_at<float>(in));
        case GemmType::bf16:
            return static_cast<double>(__bfloat162float(value_at<__nv_bfloat16>(in)));
        case GemmType::fp16:
            return static_cast<double>(__half2float(value_at<__half>(in)));
        case GemmType::e4m3:
            return of_fp8(value_at<__nv_fp8_storage_t>(in), __NV_E4M3);
        case GemmType::e5m2:
            return of_fp8(value_at<__nv_fp8_storage_t>(in), __NV_E5M2);
    }
    return 0;
}

double gelu(double x) {
    return 0.5 * x * (1 + std::tanh(root * (x + cubic * x * x * x)));
}

double gelu_slope(double x) {
    const double t = std::tanh(root * (x + cubic * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * cubic * x * x);
}

double gelu_of_erf(double x) {
    return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
}

ExpectedOutputs expected_outputs(const GemmKey& key, const HostOperands& in) {
    const Sums sums = sums_of(key, in);
    ExpectedOutputs outputs;
    outputs.c = results_of(key, sums, in);
    if (key.epilogue == Epilogue::gelu_aux || key.epilogue == Epilogue::gelu_aux_bias) {
        outputs.aux = results(
            key, sums, [](std::size_t, double sum, double error) { return std::pair(sum, error); });
    }
    if (key.epilogue == Epilogue::dgelu_bgrad) {
        outputs.vector = column_sums(key, outputs.c);
    }
    if (key.epilogue == Epilogue::bgrad_a) {
        outputs.vector = row_sums_of_a(key, in);
    }
    return outputs;
}

}  // namespace traindyno::test
