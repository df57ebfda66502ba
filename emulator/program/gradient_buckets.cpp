// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_buckets.hpp"

#include <algorithm>

#include "emulator/base/dtype.hpp"

namespace traindyno {

std::int64_t bucket_elements(Bytes bucket) {
    return std::max<std::int64_t>(bucket.value() / element_size(DType::fp32), 1);
}

std::vector<GradientBucket> GradientBuckets::complete_up_to(std::int64_t ready) {
    std::vector<GradientBucket> complete;
    while (next_ < gradients_) {
        const std::int64_t elements = std::min(bucket_, gradients_ - next_);
        if (next_ + elements > ready) {
            break;
        }
        complete.push_back({.offset = next_, .elements = elements});
        next_ += elements;
    }
    return complete;
}

}  // namespace traindyno
