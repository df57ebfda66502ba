// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/volume_table.hpp"

#include "collectives/cost/cost.hpp"
#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

/// Bytes that the busiest of `ranks` sends: on rings and in pairwise exchanges, which send as
/// little as any algorithm can. A send sends all, a receive nothing.
Bytes wire_bytes(TrafficOp op, Bytes payload, std::int64_t ranks) {
    const auto on_a_ring = [&](CollectiveOp collective) {
        return Bytes{cost_of(Algorithm::ring, collective, payload.value(), ranks).bytes};
    };
    switch (op) {
        case TrafficOp::all_reduce:
            return on_a_ring(CollectiveOp::all_reduce);
        case TrafficOp::reduce_scatter:
            return on_a_ring(CollectiveOp::reduce_scatter);
        case TrafficOp::all_gather:
            return on_a_ring(CollectiveOp::all_gather);
        case TrafficOp::all_to_all:
            return on_a_ring(CollectiveOp::all_to_all);
        case TrafficOp::send:
            return payload;
        case TrafficOp::recv:
            break;
    }
    return Bytes{0};
}

TrafficOp traffic_op(CollectiveKind kind) {
    switch (kind) {
        case CollectiveKind::all_reduce:
            return TrafficOp::all_reduce;
        case CollectiveKind::reduce_scatter:
            return TrafficOp::reduce_scatter;
        case CollectiveKind::all_gather:
            return TrafficOp::all_gather;
        case CollectiveKind::all_to_all:
            break;
    }
    return TrafficOp::all_to_all;
}

}  // namespace

TrafficOp traffic_op(const CommOp& op) {
    return std::visit(
        Overloaded{[](const Collective& collective) { return traffic_op(collective.kind); },
                   [](const Send&) { return TrafficOp::send; },
                   [](const Recv&) { return TrafficOp::recv; }},
        op);
}

std::vector<Volume> VolumeTable::volumes() const {
    std::vector<Volume> list;
    for (std::size_t kind = 0; kind < tallies_.size(); ++kind) {
        for (std::size_t i = 0; i < enum_count<TrafficOp>; ++i) {
            const Tally& tally = tallies_[kind][i];
            const auto op = static_cast<TrafficOp>(i);
            if (tally.count > 0) {
                list.push_back({.group = static_cast<GroupKind>(kind),
                                .op = std::string(to_string(op)),
                                .count = tally.count,
                                .payload = tally.payload,
                                .on_the_wire = wire_bytes(op, tally.payload, ranks_[kind])});
            }
        }
    }
    return list;
}

}  // namespace traindyno
