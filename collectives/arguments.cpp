// SPDX-License-Identifier: Apache-2.0
#include "collectives/arguments.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

using Buffer = std::span<const std::byte>;

bool overlap(Buffer a, Buffer b) {
    const std::less<> before;  // total over unrelated buffers too
    return !a.empty() && !b.empty() && before(a.data(), b.data() + b.size()) &&
           before(b.data(), a.data() + a.size());
}

/// `whole` of one side holds the other side, `part`, at `offset`, or they are apart.
Placement placement(Buffer whole, Buffer part, std::size_t offset) {
    const bool in_place = !part.empty() && part.data() == whole.data() + offset;
    TD_EXPECT(in_place || !overlap(whole, part));
    return in_place ? Placement::in_place : Placement::apart;
}

Placement placement_of_own(Buffer whole, Buffer part, const Communicator& group) {
    TD_EXPECT(whole.size() == part.size() * static_cast<std::size_t>(group.size()));
    return placement(whole, part, group.rank().index() * part.size());
}

void check_sizes(std::span<const std::int64_t> sizes, Buffer whole, std::int64_t members) {
    TD_EXPECT(static_cast<std::int64_t>(sizes.size()) == members);
    TD_EXPECT(std::all_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size >= 0; }));
    TD_EXPECT(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}) ==
              static_cast<std::int64_t>(whole.size()));
}

}  // namespace

Placement check_all_reduce(Buffer in, Buffer out, DType type) {
    TD_EXPECT(in.size() == out.size());
    TD_EXPECT(out.size() % static_cast<std::size_t>(element_size(type)) == 0);
    return placement(out, in, 0);
}

Placement check_reduce_scatter(Buffer in, Buffer out, DType type, const Communicator& group) {
    TD_EXPECT(out.size() % static_cast<std::size_t>(element_size(type)) == 0);
    return placement_of_own(in, out, group);
}

Placement check_all_gather(Buffer in, Buffer out, const Communicator& group) {
    return placement_of_own(out, in, group);
}

void check_all_to_all(Buffer in, Buffer out, const Exchange& parts, const Communicator& group) {
    TD_EXPECT(!overlap(in, out));
    if (parts.sent.empty() && parts.received.empty()) {
        TD_EXPECT(in.size() == out.size());
        TD_EXPECT(in.size() % static_cast<std::size_t>(group.size()) == 0);
        return;
    }
    check_sizes(parts.sent, in, group.size());
    check_sizes(parts.received, out, group.size());
}

std::vector<PartRange> part_ranges(std::span<const std::int64_t> sizes,
                                   std::size_t whole,
                                   std::int64_t members) {
    std::vector<PartRange> ranges(static_cast<std::size_t>(members));
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        const std::int64_t size =
            sizes.empty() ? static_cast<std::int64_t>(whole) / members : sizes[i];
        ranges[i] = {.begin = begin, .size = size};
        begin += size;
    }
    return ranges;
}

}  // namespace traindyno
