// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_buckets.hpp"

#include <algorithm>

namespace traindyno {

std::int64_t bucket_elements(Bytes bucket, DType type) {
    return std::max<std::int64_t>(bucket.value() / element_size(type), 1);
}

std::span<const Bucket> GradientBuckets::complete_up_to(std::int64_t ready) {
    const std::size_t first = next_;
    while (next_ < buckets_.size() && buckets_[next_].end() <= ready) {
        ++next_;
    }
    return std::span(buckets_).subspan(first, next_ - first);
}

}  // namespace traindyno
