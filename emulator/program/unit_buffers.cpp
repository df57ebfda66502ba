// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/unit_buffers.hpp"

namespace traindyno {

UnitBuffers::UnitBuffers(const ParameterMap& map, std::int64_t begin, std::int64_t layers)
    : layers_(static_cast<std::size_t>(layers)), end_(begin) {
    const auto place = [this](std::int64_t elements) {
        buffers_.push_back({.base = end_, .last_user = std::nullopt});
        end_ += elements;
    };
    for (std::int64_t i = 0; i < layers; ++i) {
        place(map.layer_stride);
    }
    place(map.range_of({.kind = UnitKind::head}).elements);
    place(map.range_of({.kind = UnitKind::embedding}).elements);
}

std::size_t UnitBuffers::take(UnitKind kind) {
    const std::size_t number = kind == UnitKind::layer ? ring_ : edge(kind);
    buffers_[number].taken = true;
    if (kind == UnitKind::layer) {
        ring_ = (ring_ + 1) % layers_;
    }
    return number;
}

}  // namespace traindyno
