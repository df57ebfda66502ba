// SPDX-License-Identifier: Apache-2.0
// One product on the GPU for a test: operands, poisoned outputs, comparison with the reference.
#pragma once

#include <cstddef>
#include <vector>

#include "emulator/device/cuda/gemm/gemm_operands.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "emulator/device/gemm_plans/gemm_key.hpp"
#include "tests/gpu/gemm/reference.hpp"

namespace traindyno::test {

/// Holds the operands of a product of that key, no more aligned than the key says, with room
/// between them. Outputs and the room hold NaN patterns.
class Trial {
  public:
    explicit Trial(const GemmKey& key);

    [[nodiscard]] const GemmOperands& operands() const { return operands_; }

    [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }

    /// Everything as it was before the first run.
    void reset();

    /// Waits for the stream. Every output is within its bound of the reference, and no other byte
    /// has changed.
    void expect_outputs() const;

    /// Waits for the stream. C as its bytes.
    [[nodiscard]] std::vector<std::byte> c() const;

  private:
    struct Region {
        GemmType type = GemmType::fp32;
        std::size_t offset = 0;
        std::size_t elements = 0;
    };

    Region add(GemmType type, std::int64_t elements);
    std::vector<double> put_numbers(const Region& region, unsigned seed, double factor);
    void put_scale(const Region& region, float scale);
    [[nodiscard]] std::byte* on_device(const Region& region) const;
    [[nodiscard]] std::vector<std::byte> download() const;
    void compare(const char* name,
                 const Region& region,
                 const Expected& expected,
                 std::vector<std::byte>& image) const;

    GemmKey key_;
    CudaStream stream_;
    Region a_;
    Region b_;
    Region c_;
    Region vector_;
    Region aux_;
    Region scale_a_;
    Region scale_b_;
    std::vector<std::byte> image_;  ///< of memory_, before a run
    DeviceBytes memory_;
    GemmOperands operands_;
    ExpectedOutputs expected_;
};

}  // namespace traindyno::test
