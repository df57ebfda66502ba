// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/fp8/fp8_scaling.hpp"

#include <cfloat>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/gpu/require_gpu.hpp"

namespace traindyno {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

class Scaling {
  public:
    Scaling(const std::vector<Fp8Format>& formats, std::int64_t history)
        : stream_(make_stream()), scaling_(formats, history, stream_.get()) {}

    /// One step in which tensor i reaches amax[i].
    void step(const std::vector<float>& amax) {
        for (std::size_t tensor = 0; tensor < amax.size(); ++tensor) {
            TD_CUDA(cudaMemcpyAsync(scaling_.amax(static_cast<std::int64_t>(tensor)),
                                    &amax[tensor],
                                    sizeof(float),
                                    cudaMemcpyHostToDevice,
                                    stream_.get()));
        }
        scaling_.update(stream_.get());
    }

    [[nodiscard]] float scale(std::int64_t tensor) const { return read(scaling_.scale(tensor)); }

    [[nodiscard]] float inverse(std::int64_t tensor) const {
        return read(scaling_.inverse_scale(tensor));
    }

    [[nodiscard]] float amax(std::int64_t tensor) const { return read(scaling_.amax(tensor)); }

  private:
    [[nodiscard]] float read(const float* from) const {
        float value = 0;
        TD_CUDA(
            cudaMemcpyAsync(&value, from, sizeof(value), cudaMemcpyDeviceToHost, stream_.get()));
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
        return value;
    }

    CudaStream stream_;
    Fp8Scaling scaling_;
};

TEST(Fp8Scaling, begins_with_scale_1) {
    TD_REQUIRE_GPU();
    const Scaling scaling({Fp8Format::e4m3, Fp8Format::e5m2}, 4);
    for (const std::int64_t tensor : {0, 1}) {
        EXPECT_EQ(scaling.scale(tensor), 1.0F);
        EXPECT_EQ(scaling.inverse(tensor), 1.0F);
        EXPECT_EQ(scaling.amax(tensor), 0.0F);
    }
}

TEST(Fp8Scaling, maps_the_largest_magnitude_to_the_largest_value) {
    TD_REQUIRE_GPU();
    Scaling scaling({Fp8Format::e4m3, Fp8Format::e5m2}, 4);
    scaling.step({7.0F, 7.0F});
    EXPECT_EQ(scaling.scale(0), 64.0F);
    EXPECT_EQ(scaling.inverse(0), 1 / 64.0F);
    EXPECT_EQ(scaling.scale(1), 8192.0F);
    EXPECT_EQ(scaling.inverse(1), 1 / 8192.0F);
    EXPECT_EQ(scaling.amax(0), 0.0F) << "the next step begins anew";
}

TEST(Fp8Scaling, remembers_as_many_steps_as_it_was_told) {
    TD_REQUIRE_GPU();
    for (const std::int64_t history : {1, 3, 1024}) {
        Scaling scaling({Fp8Format::e4m3, Fp8Format::e4m3}, history);
        scaling.step({28.0F, 448.0F});
        EXPECT_EQ(scaling.scale(0), 16.0F);
        for (std::int64_t step = 1; step < history; ++step) {
            scaling.step({7.0F, 448.0F});
        }
        EXPECT_EQ(scaling.scale(0), 16.0F) << history;
        scaling.step({7.0F, 448.0F});
        EXPECT_EQ(scaling.scale(0), 64.0F) << history;
        EXPECT_EQ(scaling.scale(1), 1.0F);
    }
}

TEST(Fp8Scaling, keeps_the_scale_where_no_magnitude_is_usable) {
    TD_REQUIRE_GPU();
    Scaling scaling({Fp8Format::e4m3, Fp8Format::e4m3, Fp8Format::e4m3}, 1);
    scaling.step({7.0F, 7.0F, 7.0F});
    scaling.step({0.0F, infinity, std::numeric_limits<float>::denorm_min()});
    EXPECT_EQ(scaling.scale(0), 64.0F);
    EXPECT_EQ(scaling.scale(1), 64.0F);
    EXPECT_EQ(scaling.scale(2), FLT_MAX) << "finite for any finite magnitude";
    EXPECT_GT(scaling.inverse(2), 0.0F);
}

TEST(Fp8Scaling, moves) {
    TD_REQUIRE_GPU();
    const CudaStream stream = make_stream();
    const std::vector<Fp8Format> formats{Fp8Format::e4m3};
    Fp8Scaling first(formats, 2, stream.get());
    const float* const scale = first.scale(0);
    const Fp8Scaling second(std::move(first));
    EXPECT_EQ(second.scale(0), scale);
}

}  // namespace
}  // namespace traindyno
