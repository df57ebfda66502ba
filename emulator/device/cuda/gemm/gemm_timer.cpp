// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/gemm/gemm_timer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "emulator/device/cuda/gemm/normal_numbers.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t largest_alignment = 256;
constexpr std::int64_t cache_multiple = 4;  // the sets together are this many L2 caches
constexpr std::int64_t most_sets = 256;

/// Of A, B, C, the vector, aux and the two scales; 0 for what the product does not use.
std::vector<std::int64_t> operand_bytes(const GemmKey& key) {
    const bool fp8 = is_fp8(key.type_a);
    const std::int64_t scale = fp8 ? element_size(GemmType::fp32) : 0;
    return {key.m * key.k * element_size(key.type_a),
            key.k * key.n * element_size(key.type_b),
            key.m * key.n * element_size(key.type_c),
            uses_vector(key.epilogue) ? vector_elements(key) * element_size(vector_type(key)) : 0,
            uses_aux(key.epilogue) ? key.m * key.n * element_size(key.type_c) : 0,
            scale,
            scale};
}

/// Room for `bytes` from an address that is no more aligned than the key says.
std::int64_t room(std::int64_t bytes) {
    return bytes == 0 ? 0
                      : (bytes + largest_alignment - 1) / largest_alignment * largest_alignment +
                            largest_alignment;
}

std::int64_t cache_bytes() {
    int device = 0;
    int bytes = 0;
    TD_CUDA(cudaGetDevice(&device));
    TD_CUDA(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device));
    return bytes;
}

}  // namespace

GemmTimer::GemmTimer(const LtSession& session, GemmDescriptors& descriptors)
    : session_(session), descriptors_(descriptors), stream_(make_stream()) {
    const std::vector<std::int64_t> bytes = operand_bytes(descriptors.key());
    const std::int64_t set_bytes =
        std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0}, [](auto sum, auto b) {
            return sum + room(b);
        });
    TD_EXPECT(set_bytes > 0);
    const std::int64_t sets = std::clamp(
        (cache_multiple * cache_bytes() + set_bytes - 1) / set_bytes, std::int64_t{1}, most_sets);
    memory_ = DeviceBytes(Bytes{set_bytes * sets});
    sets_.resize(static_cast<std::size_t>(sets));
    fill_sets(bytes);
}

void GemmTimer::fill_sets(const std::vector<std::int64_t>& bytes) {
    const GemmKey& key = descriptors_.key();
    // Sums of k products of such numbers have a variance of 1: C stays small however often it is
    // added to. fp8 operands are scaled to use their range instead, as a cast would.
    const double deviation = is_fp8(key.type_a) ? 1.0 : std::pow(static_cast<double>(key.k), -0.25);
    const GemmType c = key.type_c;
    const std::array types{
        key.type_a, key.type_b, c, vector_type(key), c, GemmType::fp32, GemmType::fp32};
    const std::int64_t shift = key.alignment % largest_alignment;
    std::byte* begin = memory_.data();
    std::vector<std::vector<std::byte*>> pointers(sets_.size());
    for (std::vector<std::byte*>& of_set : pointers) {
        for (const std::int64_t size : bytes) {
            of_set.push_back(size == 0 ? nullptr : begin + shift);
            begin += room(size);
        }
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] == 0) {
            continue;
        }
        const std::vector<std::byte> numbers =
            normal_numbers(types[i], deviation, bytes[i] / element_size(types[i]));
        for (const std::vector<std::byte*>& of_set : pointers) {
            fill(of_set[i], bytes[i], numbers);
        }
    }
    std::transform(pointers.begin(), pointers.end(), sets_.begin(), [](const auto& p) {
        return GemmOperands{.a = p[0],
                            .b = p[1],
                            .c = p[2],
                            .vector = p[3],
                            .aux = p[4],
                            .scale_a = reinterpret_cast<const float*>(p[5]),
                            .scale_b = reinterpret_cast<const float*>(p[6])};
    });
}

/// Returns when `numbers` is no longer read.
void GemmTimer::fill(std::byte* to, std::int64_t bytes, const std::vector<std::byte>& numbers) {
    const auto size = static_cast<std::size_t>(bytes);
    std::size_t filled = std::min(size, numbers.size());
    TD_CUDA(cudaMemcpyAsync(to, numbers.data(), filled, cudaMemcpyHostToDevice, stream_.get()));
    while (filled < size) {  // whole repetitions, twice as many each time
        const std::size_t more = std::min(filled, size - filled);
        TD_CUDA(cudaMemcpyAsync(to + filled, to, more, cudaMemcpyDeviceToDevice, stream_.get()));
        filled += more;
    }
    TD_CUDA(cudaStreamSynchronize(stream_.get()));
}

cublasStatus_t GemmTimer::launch_next(const cublasLtMatmulAlgo_t& algorithm) {
    const GemmOperands& operands = sets_[next_];
    next_ = (next_ + 1) % sets_.size();
    return launch(session_, descriptors_, algorithm, operands, stream_.get());
}

void GemmTimer::warm_up(const cublasLtMatmulAlgo_t& algorithm, std::chrono::milliseconds time) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point end = Clock::now() + time;
    while (Clock::now() < end && launch_next(algorithm) == CUBLAS_STATUS_SUCCESS) {
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
    }
}

std::vector<double> GemmTimer::microseconds(const cublasLtMatmulAlgo_t& algorithm, int launches) {
    while (events_.size() <= static_cast<std::size_t>(launches)) {
        events_.push_back(make_event(EventTiming::on));
    }
    if (launch_next(algorithm) != CUBLAS_STATUS_SUCCESS) {
        return {};
    }
    TD_CUDA(cudaEventRecord(events_[0].get(), stream_.get()));
    for (std::size_t i = 1; i <= static_cast<std::size_t>(launches); ++i) {
        TD_CUBLASLT(launch_next(algorithm));
        TD_CUDA(cudaEventRecord(events_[i].get(), stream_.get()));
    }
    TD_CUDA(cudaStreamSynchronize(stream_.get()));
    std::vector<double> samples;
    for (std::size_t i = 1; i <= static_cast<std::size_t>(launches); ++i) {
        float milliseconds = 0;
        TD_CUDA(cudaEventElapsedTime(&milliseconds, events_[i - 1].get(), events_[i].get()));
        samples.push_back(1000.0 * static_cast<double>(milliseconds));
    }
    return samples;
}

}  // namespace traindyno
