// SPDX-License-Identifier: Apache-2.0
// Cuts the gradient array into buckets that are reduced as backward completes them.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/base/units.hpp"

namespace traindyno {

/// A piece of the gradient array.
struct GradientBucket {
    std::int64_t offset = 0;
    std::int64_t elements = 0;

    friend bool operator==(const GradientBucket&, const GradientBucket&) = default;
};

/// fp32 gradients that fill one bucket.
[[nodiscard]] std::int64_t bucket_elements(Bytes bucket);

/// Consecutive buckets of bucket_elements, the last one shorter. As in PyTorch DDP they are filled
/// in the order in which gradients become ready, but cut anywhere, not only between tensors.
class GradientBuckets {
  public:
    GradientBuckets(std::int64_t gradients, Bytes bucket)
        : gradients_(gradients), bucket_(bucket_elements(bucket)) {}

    /// Buckets that complete when all gradients before `ready` are final. Each is returned once.
    [[nodiscard]] std::vector<GradientBucket> complete_up_to(std::int64_t ready);

  private:
    std::int64_t gradients_;
    std::int64_t bucket_;
    std::int64_t next_ = 0;  ///< offset of the first bucket not yet returned
};

}  // namespace traindyno
