// SPDX-License-Identifier: Apache-2.0
#include "collectives/cost/shared_memory_cost.hpp"

#include "collectives/cost/parts.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Bytes of one rank, the one with the longest part.
struct Traffic {
    std::int64_t given = 0;    ///< its input
    std::int64_t read = 0;     ///< of everyone's inputs or results
    std::int64_t written = 0;  ///< results
};

Traffic traffic_of(SharedPath path, CollectiveOp op, std::int64_t bytes, std::int64_t ranks) {
    const std::int64_t part = Parts{bytes, ranks}.longest();
    switch (op) {
        case CollectiveOp::all_reduce:
            if (path == SharedPath::one_shot) {
                return {.given = bytes, .read = ranks * bytes, .written = bytes};
            }
            if (path == SharedPath::direct) {  // its slice of all inputs, into all outputs
                return {.given = bytes, .read = ranks * part, .written = ranks * part};
            }
            // Its slice of all inputs, into its window and its output; then the others' slices.
            return {.given = bytes, .read = ranks * part + bytes - part, .written = part + bytes};
        case CollectiveOp::reduce_scatter:
            return {.given = bytes, .read = ranks * part, .written = part};
        case CollectiveOp::all_gather:
            return {.given = part, .read = bytes, .written = bytes};
        case CollectiveOp::all_to_all:
            return {.given = bytes, .read = bytes, .written = bytes};
        case CollectiveOp::broadcast:  // those who receive
            return {.given = 0, .read = bytes, .written = bytes};
    }
    return {};
}

std::int64_t phases_of(SharedPath path, CollectiveOp op, std::int64_t windows) {
    switch (path) {
        case SharedPath::one_shot:
            return 1;
        case SharedPath::direct:
            return 2;             // everyone has shown its buffers; nobody uses them any longer
        case SharedPath::staged:  // a sum is fetched one phase after its chunk
            return windows + (op == CollectiveOp::all_reduce ? 1 : 0);
    }
    return 0;
}

std::int64_t reduced(SharedPath path, CollectiveOp op, std::int64_t bytes, std::int64_t ranks) {
    const bool all = op == CollectiveOp::all_reduce;
    if (!all && op != CollectiveOp::reduce_scatter) {
        return 0;
    }
    const bool everyone_reduces_all = all && path == SharedPath::one_shot;
    return (ranks - 1) * (everyone_reduces_all ? bytes : Parts{bytes, ranks}.longest());
}

}  // namespace

SharedWay shared_way(CollectiveOp op, std::int64_t bytes, std::int64_t ranks, BufferPlace buffers) {
    TD_EXPECT(bytes >= 0 && ranks > 0);
    const std::int64_t part = Parts{bytes, ranks}.longest();
    const std::int64_t shown = op == CollectiveOp::all_gather ? part : bytes;
    const std::int64_t limit = op == CollectiveOp::all_reduce
                                   ? SharedLimits::read_by_all
                                   : SharedLimits::slot - SharedLimits::header;
    if (shown <= limit) {
        return {.path = SharedPath::one_shot};
    }
    if (buffers == BufferPlace::shared) {
        return {.path = SharedPath::direct};
    }
    // A window has a chunk for each member: of what all of them read, it shows as much at once.
    const bool to_all = op == CollectiveOp::all_gather || op == CollectiveOp::broadcast;
    const std::int64_t staged = op == CollectiveOp::broadcast ? bytes : part;
    const std::int64_t room = SharedLimits::chunk * (to_all ? ranks : 1);
    return {.path = SharedPath::staged, .windows = (staged + room - 1) / room};
}

Cost shared_memory_cost(SharedPath path,
                        CollectiveOp op,
                        std::int64_t bytes,
                        std::int64_t ranks,
                        std::int64_t windows) {
    TD_EXPECT(bytes >= 0 && ranks > 0 && windows > 0);
    if (bytes == 0 || ranks == 1) {
        return {};
    }
    const Traffic traffic = traffic_of(path, op, bytes, ranks);
    const std::int64_t copied_in = path == SharedPath::direct ? 0 : 2 * traffic.given;
    const std::int64_t moved = copied_in + traffic.read + traffic.written;
    return {.rounds = phases_of(path, op, windows),
            .path = moved,
            .messages = 0,
            .bytes = moved,
            .reduced = reduced(path, op, bytes, ranks)};
}

}  // namespace traindyno
