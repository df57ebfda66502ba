// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/gemm/trial.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "emulator/device/cuda/gemm/normal_numbers.hpp"

namespace traindyno::test {

namespace {

constexpr std::size_t most_aligned = 256;
constexpr std::byte poison{0xff};  // NaN in every type
constexpr float scale_of_a = 0.5F;
constexpr float scale_of_b = 4.0F;

std::size_t size_of(GemmType type) {
    return static_cast<std::size_t>(element_size(type));
}

bool reads_vector(Epilogue epilogue) {
    return epilogue == Epilogue::bias || epilogue == Epilogue::gelu_aux_bias;
}

bool reads_aux(Epilogue epilogue) {
    return epilogue == Epilogue::dgelu || epilogue == Epilogue::dgelu_bgrad;
}

}  // namespace

Trial::Trial(const GemmKey& key)
    : key_(key),
      stream_(make_stream()),
      a_(add(key.type_a, key.m * key.k)),
      b_(add(key.type_b, key.k * key.n)),
      c_(add(key.type_c, key.m * key.n)),
      vector_(add(vector_type(key), uses_vector(key.epilogue) ? vector_elements(key) : 0)),
      aux_(add(key.type_c, uses_aux(key.epilogue) ? key.m * key.n : 0)),
      scale_a_(add(GemmType::fp32, is_fp8(key.type_a) ? 1 : 0)),
      scale_b_(add(GemmType::fp32, is_fp8(key.type_b) ? 1 : 0)),
      memory_(Bytes{static_cast<std::int64_t>(image_.size())}) {
    const bool fp8 = is_fp8(key.type_a);
    HostOperands in;
    in.a = put_numbers(a_, 1, fp8 ? static_cast<double>(scale_of_a) : 1);
    in.b = put_numbers(b_, 2, fp8 ? static_cast<double>(scale_of_b) : 1);
    if (key.accumulate == Accumulate::yes) {
        in.c = put_numbers(c_, 3, 1);
    }
    if (reads_vector(key.epilogue)) {
        in.vector = put_numbers(vector_, 4, 1);
    }
    if (reads_aux(key.epilogue)) {
        in.aux = put_numbers(aux_, 5, 1);
    }
    put_scale(scale_a_, scale_of_a);
    put_scale(scale_b_, scale_of_b);
    operands_ = {.a = on_device(a_),
                 .b = on_device(b_),
                 .c = on_device(c_),
                 .vector = on_device(vector_),
                 .aux = on_device(aux_),
                 .scale_a = reinterpret_cast<const float*>(on_device(scale_a_)),
                 .scale_b = reinterpret_cast<const float*>(on_device(scale_b_))};
    expected_ = expected_outputs(key, in);
    reset();
}

Trial::Region Trial::add(GemmType type, std::int64_t elements) {
    const std::size_t begin = (image_.size() + most_aligned - 1) / most_aligned * most_aligned +
                              static_cast<std::size_t>(key_.alignment) % most_aligned;
    const Region region{
        .type = type, .offset = begin, .elements = static_cast<std::size_t>(elements)};
    image_.resize(begin + region.elements * size_of(type) + most_aligned, poison);
    return region;
}

/// The stored values, rounded to their type, times `factor`.
std::vector<double> Trial::put_numbers(const Region& region, unsigned seed, double factor) {
    std::mt19937 bits(seed);
    std::normal_distribution<float> normal;
    std::vector<double> values;
    for (std::size_t i = 0; i < region.elements; ++i) {
        std::byte* const at = &image_[region.offset + i * size_of(region.type)];
        store(region.type, normal(bits), at);
        values.push_back(load(region.type, at) * factor);
    }
    return values;
}

void Trial::put_scale(const Region& region, float scale) {
    if (region.elements > 0) {
        store(GemmType::fp32, scale, &image_[region.offset]);
    }
}

std::byte* Trial::on_device(const Region& region) const {
    return region.elements == 0 ? nullptr : memory_.data() + region.offset;
}

void Trial::reset() {
    TD_CUDA(cudaMemcpyAsync(
        memory_.data(), image_.data(), image_.size(), cudaMemcpyHostToDevice, stream()));
    TD_CUDA(cudaStreamSynchronize(stream()));
}

std::vector<std::byte> Trial::download() const {
    std::vector<std::byte> image(image_.size());
    TD_CUDA(cudaMemcpyAsync(
        image.data(), memory_.data(), image.size(), cudaMemcpyDeviceToHost, stream()));
    TD_CUDA(cudaStreamSynchronize(stream()));
    return image;
}

/// Puts back in `image` what was in the region before the run.
void Trial::compare(const char* name,
                    const Region& region,
                    const Expected& expected,
                    std::vector<std::byte>& image) const {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
        const std::size_t at = region.offset + i * size_of(region.type);
        const double value = load(region.type, &image[at]);
        // Written so that NaN is wrong.
        if (!(std::abs(value - expected.values[i]) <= expected.bounds[i]) && wrong++ == 0) {
            ADD_FAILURE() << name << "[" << i << "] is " << value << ", not " << expected.values[i]
                          << " within " << expected.bounds[i] << ": " << to_text(key_);
        }
        std::copy_n(&image_[at], size_of(region.type), &image[at]);
    }
    EXPECT_EQ(wrong, 0U) << "of " << expected.values.size() << " elements of " << name;
}

void Trial::expect_outputs() const {
    std::vector<std::byte> image = download();
    compare("C", c_, expected_.c, image);
    compare("the vector", vector_, expected_.vector, image);
    compare("aux", aux_, expected_.aux, image);
    const auto changed = std::mismatch(image.begin(), image.end(), image_.begin()).first;
    EXPECT_TRUE(changed == image.end())
        << "byte " << changed - image.begin() << " is no output: " << to_text(key_);
}

std::vector<std::byte> Trial::c() const {
    const std::vector<std::byte> image = download();
    const auto begin = image.begin() + static_cast<std::ptrdiff_t>(c_.offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(c_.elements * size_of(c_.type))};
}

}  // namespace traindyno::test
