// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/collective_calls.hpp"

#include <algorithm>
#include <variant>

namespace traindyno {

CollectiveOp operation_of(CollectiveKind kind) {
    switch (kind) {
        case CollectiveKind::all_reduce:
            return CollectiveOp::all_reduce;
        case CollectiveKind::reduce_scatter:
            return CollectiveOp::reduce_scatter;
        case CollectiveKind::all_gather:
            return CollectiveOp::all_gather;
        case CollectiveKind::all_to_all:
            return CollectiveOp::all_to_all;
    }
    return CollectiveOp::all_reduce;
}

Bytes longer_buffer(const Collective& collective) {
    return std::max(size_of(collective.input.elements, collective.dtype),
                    size_of(collective.output.elements, collective.dtype));
}

std::array<std::int64_t, enum_count<CollectiveOp>> largest_messages(const StepProgram& program) {
    std::array<std::int64_t, enum_count<CollectiveOp>> largest{};
    for (const Block& block : program.blocks) {
        for (const BlockOp& each : block.ops) {
            const auto* communication = std::get_if<CommOp>(&each.op);
            const auto* collective =
                communication == nullptr ? nullptr : std::get_if<Collective>(communication);
            if (collective != nullptr) {
                std::int64_t& bytes =
                    largest[static_cast<std::size_t>(operation_of(collective->kind))];
                bytes = std::max(bytes, longer_buffer(*collective).value());
            }
        }
    }
    return largest;
}

}  // namespace traindyno
