// SPDX-License-Identifier: Apache-2.0
// The buckets of the gradient array, handed out as backward completes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "emulator/base/dtype.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// A piece of an array that one collective moves.
struct Bucket {
    std::int64_t offset = 0;
    std::int64_t elements = 0;

    [[nodiscard]] std::int64_t end() const { return offset + elements; }

    friend bool operator==(const Bucket&, const Bucket&) = default;
};

/// Gradients of `type` that fill one bucket.
[[nodiscard]] std::int64_t bucket_elements(Bytes bucket, DType type);

/// Consecutive buckets. As in PyTorch DDP they are filled in the order in which gradients become
/// ready, but cut anywhere, not only between tensors.
class GradientBuckets {
  public:
    explicit GradientBuckets(std::vector<Bucket> buckets) : buckets_(std::move(buckets)) {}

    /// Buckets that complete when all gradients before `ready` are final. Each is returned once.
    [[nodiscard]] std::span<const Bucket> complete_up_to(std::int64_t ready);

  private:
    std::vector<Bucket> buckets_;
    std::size_t next_ = 0;  ///< first bucket not yet returned
};

}  // namespace traindyno
