// SPDX-License-Identifier: Apache-2.0
// Buffers that the units of a stage take in turn, behind what the rank keeps of them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/program/parameter_map.hpp"

namespace traindyno {

/// A ring for layers; head and embedding, whose sizes differ, have a buffer each. Offsets are in
/// the space (parameters or gradients) that has them.
class UnitBuffers {
  public:
    struct Buffer {
        std::int64_t base = 0;
        std::optional<TaskId> last_user;  ///< after which it may be written anew
        bool taken = false;
    };

    /// From offset `begin` on, `layers` of them in the ring.
    UnitBuffers(const ParameterMap& map, std::int64_t begin, std::int64_t layers);

    /// What the next use of a unit of this kind takes.
    [[nodiscard]] Buffer& next(UnitKind kind) {
        return buffers_[kind == UnitKind::layer ? ring_ : edge(kind)];
    }

    /// Takes it. Its number is the same whenever the unit takes this buffer again.
    std::size_t take(UnitKind kind);

    [[nodiscard]] Buffer& at(std::size_t number) { return buffers_[number]; }

    /// Where a bucket of a unit, which begins at `begin` in the map, lies in a buffer.
    [[nodiscard]] Bucket place(std::size_t number, std::int64_t begin, const Bucket& bucket) const {
        return {.offset = buffers_[number].base + bucket.offset - begin,
                .elements = bucket.elements};
    }

    [[nodiscard]] std::vector<Buffer>& all() { return buffers_; }

    [[nodiscard]] std::int64_t end() const { return end_; }

  private:
    [[nodiscard]] std::size_t edge(UnitKind kind) const {
        return layers_ + (kind == UnitKind::head ? 0 : 1);
    }

    std::vector<Buffer> buffers_;  ///< the ring, the head's, the embedding's
    std::size_t layers_;
    std::size_t ring_ = 0;
    std::int64_t end_;
};

}  // namespace traindyno
