// SPDX-License-Identifier: Apache-2.0
// The cast kernel against the host's conversion, code for code.
#include "emulator/device/cuda/fp8/fp8_cast.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/half_types.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::byte poison{0xa5};
constexpr std::size_t guard = 64;  // bytes behind each result that must stay as they are

std::size_t size_of_elements(std::int64_t rows, std::int64_t columns) {
    return static_cast<std::size_t>(rows * columns);
}

struct CastCase {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    Fp8Format format = Fp8Format::e4m3;

    friend void PrintTo(const CastCase& value, std::ostream* out) {
        *out << value.rows << "x" << value.columns << " " << to_string(value.format);
    }
};

/// Normal values of many magnitudes, with a few that saturate, underflow or are special.
std::vector<Bf16> random_values(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::uniform_int_distribution<int> exponent(-12, 12);
    std::uniform_int_distribution<int> special(0, 99);
    std::vector<Bf16> values(count);
    for (Bf16& value : values) {
        value = to_bf16(std::ldexp(normal(random), exponent(random)));
        switch (special(random)) {
            case 0:
                value = to_bf16(not_a_number);
                break;
            case 1:
                value = to_bf16(-1e30F);
                break;
            case 2:
                value = to_bf16(1e-38F);
                break;
            case 3:
                value = to_bf16(-0.0F);
                break;
            default:
                break;
        }
    }
    return values;
}

std::vector<std::byte> encoded(const std::vector<Bf16>& values, float scale, Fp8Format format) {
    std::vector<std::byte> codes(values.size());
    std::transform(values.begin(), values.end(), codes.begin(), [&](Bf16 value) {
        return static_cast<std::byte>(to_fp8(to_float(value) * scale, format));
    });
    return codes;
}

std::vector<std::byte> transposed(const std::vector<std::byte>& codes, const CastCase& c) {
    std::vector<std::byte> result(codes.size());
    for (std::int64_t row = 0; row < c.rows; ++row) {
        for (std::int64_t column = 0; column < c.columns; ++column) {
            result[static_cast<std::size_t>(column * c.rows + row)] =
                codes[static_cast<std::size_t>(row * c.columns + column)];
        }
    }
    return result;
}

/// Largest magnitude, NaNs aside.
float amax_of(const std::vector<Bf16>& values) {
    float largest = 0;
    for (const Bf16 value : values) {
        largest = std::fmax(largest, std::fabs(to_float(value)));
    }
    return largest;
}

bool is_nan(std::byte code, Fp8Format format) {
    return std::isnan(to_float(static_cast<Fp8>(code), format));
}

/// Equal but for the bits of NaNs; `actual` ends with the guard.
void expect_codes(const std::vector<std::byte>& actual,
                  const std::vector<std::byte>& expected,
                  Fp8Format format) {
    ASSERT_EQ(actual.size(), expected.size() + guard);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const bool both_nan = is_nan(actual[i], format) && is_nan(expected[i], format);
        if (actual[i] != expected[i] && !both_nan && wrong++ == 0) {
            ADD_FAILURE() << "first wrong code at " << i << ": " << std::to_integer<int>(actual[i])
                          << " instead of " << std::to_integer<int>(expected[i]);
        }
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_TRUE(std::all_of(actual.end() - guard, actual.end(), [](std::byte byte) {
        return byte == poison;
    })) << "written behind the end";
}

/// Device memory that a test copies to and from.
class DeviceCopy {
  public:
    DeviceCopy(std::span<const std::byte> content, std::size_t offset, cudaStream_t stream)
        : memory_(Bytes{static_cast<std::int64_t>(content.size() + offset)}),
          offset_(offset),
          size_(content.size()),
          stream_(stream) {
        TD_CUDA(cudaMemcpyAsync(data(), content.data(), size_, cudaMemcpyHostToDevice, stream_));
        TD_CUDA(cudaStreamSynchronize(stream_));
    }

    [[nodiscard]] std::byte* data() const { return memory_.data() + offset_; }

    [[nodiscard]] std::vector<std::byte> content() const {
        std::vector<std::byte> bytes(size_);
        TD_CUDA(cudaMemcpyAsync(bytes.data(), data(), size_, cudaMemcpyDeviceToHost, stream_));
        TD_CUDA(cudaStreamSynchronize(stream_));
        return bytes;
    }

    [[nodiscard]] float first_float() const {
        float value = 0;
        TD_CUDA(cudaMemcpyAsync(&value, data(), sizeof(value), cudaMemcpyDeviceToHost, stream_));
        TD_CUDA(cudaStreamSynchronize(stream_));
        return value;
    }

  private:
    DeviceBytes memory_;
    std::size_t offset_;
    std::size_t size_;
    cudaStream_t stream_;
};

/// One cast with all its memory. `offset` bytes shift every matrix.
class Trial {
  public:
    Trial(const CastCase& c, const std::vector<Bf16>& values, float scale, std::size_t offset = 0)
        : case_(c),
          stream_(make_stream()),
          source_(std::as_bytes(std::span(values)), offset, stream_.get()),
          scalars_(std::as_bytes(std::span<const float>(std::array<float, 2>{0, scale})),
                   0,
                   stream_.get()),
          plain_(poisoned(), offset, stream_.get()),
          transposed_(poisoned(), offset, stream_.get()) {}

    [[nodiscard]] Fp8Cast cast() const {
        auto* const scalars = reinterpret_cast<float*>(scalars_.data());
        return {.source = source_.data(),
                .rows = case_.rows,
                .columns = case_.columns,
                .format = case_.format,
                .scale = scalars + 1,
                .amax = scalars,
                .plain = plain_.data(),
                .transposed = transposed_.data()};
    }

    void run(const Fp8Cast& cast) const { cast_fp8(cast, stream_.get()); }

    [[nodiscard]] std::vector<std::byte> plain() const { return plain_.content(); }

    [[nodiscard]] std::vector<std::byte> transposed() const { return transposed_.content(); }

    [[nodiscard]] float amax() const { return scalars_.first_float(); }

    [[nodiscard]] std::vector<std::byte> poisoned() const {
        return std::vector<std::byte>(size_of_elements(case_.rows, case_.columns) + guard, poison);
    }

  private:
    CastCase case_;
    CudaStream stream_;
    DeviceCopy source_;
    DeviceCopy scalars_;  ///< amax, scale
    DeviceCopy plain_;
    DeviceCopy transposed_;
};

class Fp8CastTo : public testing::TestWithParam<CastCase> {};

TEST_P(Fp8CastTo, both_copies_is_the_cast_of_the_host) {
    TD_REQUIRE_GPU();
    const CastCase& c = GetParam();
    const std::vector<Bf16> values = random_values(size_of_elements(c.rows, c.columns), 11);
    for (const float scale : {1.0F, 0.37F, 96.0F}) {
        const std::vector<std::byte> expected = encoded(values, scale, c.format);
        const Trial trial(c, values, scale);
        trial.run(trial.cast());
        expect_codes(trial.plain(), expected, c.format);
        expect_codes(trial.transposed(), transposed(expected, c), c.format);
        EXPECT_EQ(trial.amax(), amax_of(values));
    }
}

TEST_P(Fp8CastTo, one_copy_leaves_the_other_alone) {
    TD_REQUIRE_GPU();
    const CastCase& c = GetParam();
    const std::vector<Bf16> values = random_values(size_of_elements(c.rows, c.columns), 12);
    const std::vector<std::byte> expected = encoded(values, 2.0F, c.format);
    const Trial only_plain(c, values, 2.0F);
    Fp8Cast cast = only_plain.cast();
    cast.transposed = nullptr;
    only_plain.run(cast);
    expect_codes(only_plain.plain(), expected, c.format);
    EXPECT_EQ(only_plain.transposed(), only_plain.poisoned());

    const Trial only_transposed(c, values, 2.0F);
    cast = only_transposed.cast();
    cast.plain = nullptr;
    only_transposed.run(cast);
    expect_codes(only_transposed.transposed(), transposed(expected, c), c.format);
    EXPECT_EQ(only_transposed.plain(), only_transposed.poisoned());
}

TEST_P(Fp8CastTo, unaligned_memory_gives_the_same) {
    TD_REQUIRE_GPU();
    const CastCase& c = GetParam();
    const std::vector<Bf16> values = random_values(size_of_elements(c.rows, c.columns), 13);
    const std::vector<std::byte> expected = encoded(values, 1.0F, c.format);
    const Trial trial(c, values, 1.0F, 2);
    trial.run(trial.cast());
    expect_codes(trial.plain(), expected, c.format);
    expect_codes(trial.transposed(), transposed(expected, c), c.format);
}

std::vector<CastCase> cast_cases() {
    std::vector<CastCase> cases;
    for (const Fp8Format format : {Fp8Format::e4m3, Fp8Format::e5m2}) {
        // 16-byte accesses: whole tiles, parts of tiles, one vector
        for (const auto& [rows, columns] :
             {std::pair{128, 128}, {256, 384}, {16, 16}, {48, 208}, {400, 80}, {144, 1024}}) {
            cases.push_back({.rows = rows, .columns = columns, .format = format});
        }
        // element by element
        for (const auto& [rows, columns] :
             {std::pair{1, 1}, {1, 129}, {129, 1}, {3, 5}, {100, 16}, {16, 100}, {131, 257}}) {
            cases.push_back({.rows = rows, .columns = columns, .format = format});
        }
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Sizes, Fp8CastTo, testing::ValuesIn(cast_cases()));

TEST(Fp8Cast, converts_every_bf16_value) {
    TD_REQUIRE_GPU();
    std::vector<Bf16> values;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        values.push_back(static_cast<Bf16>(bits));
    }
    for (const Fp8Format format : {Fp8Format::e4m3, Fp8Format::e5m2}) {
        const CastCase c{.rows = 256, .columns = 256, .format = format};
        const Trial trial(c, values, 1.0F);
        trial.run(trial.cast());
        expect_codes(trial.plain(), encoded(values, 1.0F, format), format);
        EXPECT_EQ(trial.amax(), infinity);
    }
}

TEST(Fp8Cast, raises_amax_and_never_lowers_it) {
    TD_REQUIRE_GPU();
    const CastCase c{.rows = 160, .columns = 320};
    std::vector<Bf16> values(size_of_elements(c.rows, c.columns), to_bf16(0.5F));
    const Trial small(c, values, 1.0F);
    values.back() = to_bf16(-3.0F);
    const Trial large(c, values, 1.0F);
    Fp8Cast cast = small.cast();
    small.run(cast);
    EXPECT_EQ(small.amax(), 0.5F);
    cast.source = large.cast().source;
    small.run(cast);
    EXPECT_EQ(small.amax(), 3.0F);
    cast.source = small.cast().source;
    small.run(cast);
    EXPECT_EQ(small.amax(), 3.0F);
}

TEST(Fp8Cast, skips_amax_where_none_is_wanted) {
    TD_REQUIRE_GPU();
    const CastCase c{.rows = 32, .columns = 32};
    const std::vector<Bf16> values(size_of_elements(c.rows, c.columns), to_bf16(0.5F));
    const Trial trial(c, values, 1.0F);
    Fp8Cast cast = trial.cast();
    cast.amax = nullptr;
    trial.run(cast);
    EXPECT_EQ(trial.amax(), 0.0F);
}

}  // namespace
}  // namespace traindyno
