// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/buffer_rotation.hpp"

#include "emulator/base/error.hpp"

namespace traindyno {

void BufferRotation::follow(const Pass& pass, Lifetime lifetime) {
    BufferUse& use = uses_[index_of(pass.visit)];
    if (pass.direction == lifetime.from) {
        TD_EXPECT(!free_.empty());
        use = free_.front();
        free_.pop_front();
    }
    if (pass.direction == lifetime.until) {
        free_.push_back({.index = use.index, .before = pass.visit});
    }
}

}  // namespace traindyno
