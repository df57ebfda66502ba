// SPDX-License-Identifier: Apache-2.0
// Memory bandwidth of the fp8 cast at the sizes of GPT-3 175B: an activation and a weight.
#include <algorithm>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "emulator/device/cuda/fp8/fp8_cast.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {
namespace {

constexpr int launches = 20;
constexpr int rounds = 10;
constexpr std::int64_t beyond_cache = std::int64_t{512} << 20;  // bytes; no GPU caches as much

enum class Copies : std::uint8_t { plain, transposed, both };

struct Sizes {
    std::int64_t rows = 0;
    std::int64_t columns = 0;

    [[nodiscard]] std::int64_t elements() const { return rows * columns; }
};

/// As many matrices as exceed every cache, used in turn.
class CastBench {
  public:
    explicit CastBench(Sizes sizes)
        : sizes_(sizes),
          copies_(std::max<std::int64_t>(1, beyond_cache / (2 * sizes.elements()))),
          stream_(make_stream()),
          begin_(make_event(EventTiming::on)),
          end_(make_event(EventTiming::on)),
          source_(Bytes{2 * copies_ * sizes.elements()}),
          plain_(Bytes{copies_ * sizes.elements()}),
          transposed_(Bytes{copies_ * sizes.elements()}),
          scalars_(Bytes{2 * std::int64_t{sizeof(float)}}) {
        const std::pair<float, float> amax_and_scale{0.0F, 1.0F};
        // 0x3c3c = 0.0115 in bf16: the time does not depend on the values
        TD_CUDA(cudaMemsetAsync(
            source_.data(), 0x3c, static_cast<std::size_t>(source_.size().value()), stream_.get()));
        TD_CUDA(cudaMemcpyAsync(scalars_.data(),
                                &amax_and_scale,
                                sizeof(amax_and_scale),
                                cudaMemcpyHostToDevice,
                                stream_.get()));
        TD_CUDA(cudaStreamSynchronize(stream_.get()));
    }

    /// Shortest mean time of a cast over the rounds, in microseconds.
    double measure_us(Fp8Format format, Copies copies) {
        double best_us = 0;
        for (int round = 0; round <= rounds; ++round) {  // the first one warms up
            TD_CUDA(cudaEventRecord(begin_.get(), stream_.get()));
            for (int launch = 0; launch < launches; ++launch) {
                cast_fp8(cast(launch % copies_, format, copies), stream_.get());
            }
            TD_CUDA(cudaEventRecord(end_.get(), stream_.get()));
            TD_CUDA(cudaEventSynchronize(end_.get()));
            float elapsed_ms = 0;
            TD_CUDA(cudaEventElapsedTime(&elapsed_ms, begin_.get(), end_.get()));
            const double mean_us = 1e3 * static_cast<double>(elapsed_ms) / launches;
            if (round > 0) {
                best_us = round == 1 ? mean_us : std::min(best_us, mean_us);
            }
        }
        return best_us;
    }

  private:
    [[nodiscard]] Fp8Cast cast(std::int64_t copy, Fp8Format format, Copies copies) const {
        auto* const scalars = reinterpret_cast<float*>(scalars_.data());
        const std::int64_t offset = copy * sizes_.elements();
        return {.source = source_.data() + 2 * offset,
                .rows = sizes_.rows,
                .columns = sizes_.columns,
                .format = format,
                .scale = scalars + 1,
                .amax = scalars,
                .plain = copies == Copies::transposed ? nullptr : plain_.data() + offset,
                .transposed = copies == Copies::plain ? nullptr : transposed_.data() + offset};
    }

    Sizes sizes_;
    std::int64_t copies_;
    CudaStream stream_;
    CudaEvent begin_;
    CudaEvent end_;
    DeviceBytes source_;
    DeviceBytes plain_;
    DeviceBytes transposed_;
    DeviceBytes scalars_;  ///< amax, scale
};

void run() {
    fmt::print("{:>6} {:>7} {:6} {:11} {:>9} {:>6}\n",
               "rows",
               "columns",
               "format",
               "copies",
               "us",
               "TB/s");
    const std::vector<std::pair<Copies, const char*>> kinds{
        {Copies::plain, "plain"}, {Copies::transposed, "transposed"}, {Copies::both, "both"}};
    for (const Sizes& sizes : {Sizes{2048, 12288}, Sizes{12288, 49152}}) {
        CastBench bench(sizes);
        for (const Fp8Format format : {Fp8Format::e4m3, Fp8Format::e5m2}) {
            for (const auto& [copies, name] : kinds) {
                const double time_us = bench.measure_us(format, copies);
                const double bytes =
                    static_cast<double>(sizes.elements()) * (copies == Copies::both ? 4 : 3);
                fmt::print("{:6} {:7} {:6} {:11} {:9.1f} {:6.2f}\n",
                           sizes.rows,
                           sizes.columns,
                           to_string(format),
                           name,
                           time_us,
                           bytes / time_us * 1e-6);
            }
        }
    }
}

}  // namespace
}  // namespace traindyno

int main() {
    try {
        traindyno::run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
    return 0;
}
