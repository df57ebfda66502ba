// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/marked_parts.hpp"

#include <utility>

namespace traindyno {

namespace {

/// Part `index` of a buffer cut into one part per member: equal ones unless `sizes` says otherwise.
std::vector<Slice> parts_of(const Slice& buffer,
                            std::int64_t size,
                            const std::vector<std::int64_t>& sizes) {
    std::vector<Slice> parts;
    std::int64_t offset = buffer.offset;
    for (std::int64_t member = 0; member < size; ++member) {
        const std::int64_t elements =
            sizes.empty() ? buffer.elements / size : sizes[static_cast<std::size_t>(member)];
        parts.push_back({.space = buffer.space, .offset = offset, .elements = elements});
        offset += elements;
    }
    return parts;
}

/// Different for every part, and for the way from a to b than for the way back.
std::uint32_t key_of_part(std::uint32_t key, std::int64_t part) {
    return key + 3 * static_cast<std::uint32_t>(part);
}

}  // namespace

std::vector<StampedPart> stamped_parts(const Collective& op, std::int64_t size, std::uint32_t key) {
    if (op.kind == CollectiveKind::all_reduce || op.kind == CollectiveKind::all_gather) {
        return {{.slice = op.input, .key = key}};
    }
    std::vector<StampedPart> stamped;
    for (const Slice& part : parts_of(op.input, size, op.sent)) {
        const auto number = static_cast<std::int64_t>(stamped.size());
        stamped.push_back({.slice = part, .key = key_of_part(key, number)});
    }
    return stamped;
}

std::vector<CheckedPart> checked_parts(const Collective& op,
                                       GroupRank rank,
                                       std::int64_t size,
                                       std::uint32_t key) {
    if (op.kind == CollectiveKind::all_reduce || op.kind == CollectiveKind::reduce_scatter) {
        const bool whole = op.kind == CollectiveKind::all_reduce;
        return {{.slice = op.output,
                 .reduction = op.reduction,
                 .members = size,
                 .key = whole ? key : key_of_part(key, rank.value())}};
    }
    const std::uint32_t given =
        op.kind == CollectiveKind::all_gather ? key : key_of_part(key, rank.value());
    std::vector<CheckedPart> checked;
    for (const Slice& part : parts_of(op.output, size, op.received)) {
        const auto giver = static_cast<std::uint32_t>(checked.size());
        checked.push_back({.slice = part, .key = given + giver});
    }
    return checked;
}

}  // namespace traindyno
