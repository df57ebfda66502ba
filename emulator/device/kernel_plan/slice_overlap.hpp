// SPDX-License-Identifier: Apache-2.0
// Whether slices, and the operations that use them, touch the same memory.
#pragma once

#include "emulator/program/slice_use.hpp"

namespace traindyno {

/// For slices of one task.
[[nodiscard]] inline bool overlap(const Slice& a, const Slice& b) {
    return a.space == b.space && a.offset < b.offset + b.elements &&
           b.offset < a.offset + a.elements;
}

/// Whether one of two operations of a block writes what the other uses.
[[nodiscard]] inline bool conflict(const Op& a, const Op& b) {
    for (const SliceUse& x : slices_of(a)) {
        for (const SliceUse& y : slices_of(b)) {
            if (overlap(x.slice, y.slice) &&
                (x.access == Access::write || y.access == Access::write)) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace traindyno
