// SPDX-License-Identifier: Apache-2.0
#include "collectives/hierarchical/chunk_plans.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "collectives/divide.hpp"

namespace traindyno {

namespace {

using In = std::span<const std::byte>;
using Out = std::span<std::byte>;

/// Slices of a chunk begin where vectors may be loaded.
constexpr std::size_t alignment = 64;

/// Consecutive pieces of a buffer: all but the last have the same length.
struct Pieces {
    std::size_t total = 0;
    std::size_t length = 1;

    [[nodiscard]] std::size_t count() const { return (total + length - 1) / length; }

    [[nodiscard]] std::size_t begin(std::size_t i) const { return i * length; }

    [[nodiscard]] std::size_t size(std::size_t i) const {
        return std::min(length, total - begin(i));
    }
};

/// Pieces of a buffer of `total` bytes that `copies` such buffers make one chunk of; their length
/// is a multiple of `unit`.
Pieces pieces_of(std::size_t total, std::size_t copies, std::size_t unit, const ChunkSizes& sizes) {
    const std::size_t wanted =
        std::clamp(total * copies / (2 * sizes.depth), sizes.smallest, sizes.largest);
    return {.total = total, .length = std::max((wanted / copies + unit - 1) / unit * unit, unit)};
}

Urgency inner_urgency(const Pieces& pieces, Urgency urgency) {
    return pieces.count() == 1 ? urgency : Urgency::background;
}

std::size_t index_of(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

/// Memory of one chunk, from its first leg to its last.
class Scratch {
  public:
    explicit Scratch(std::size_t size)
        // NOLINTNEXTLINE(modernize-avoid-c-arrays): not initialised
        : memory_(std::make_unique_for_overwrite<std::byte[]>(size)), bytes_(memory_.get(), size) {}

    [[nodiscard]] Out bytes() const { return bytes_; }

  private:
    std::unique_ptr<std::byte[]> memory_;  // NOLINT(modernize-avoid-c-arrays): not initialised
    Out bytes_;
};

/// What all chunks of a reduction have in common.
struct Reducing {
    const Levels& levels;
    DType type;
    Reduction reduction;
    Urgency urgency;

    Reducing(const Levels& of, const ReduceArguments& arguments, Urgency inner)
        : levels(of), type(arguments.type), reduction(arguments.reduction), urgency(inner) {}

    /// Averages are summed on the way.
    [[nodiscard]] Reduction inner() const {
        return reduction == Reduction::average ? Reduction::sum : reduction;
    }

    void finish(Out sums) const {
        if (reduction == Reduction::average) {
            divide_elements(sums, type, levels.shape.ranks);
        }
    }
};

/// `in` and `out` divide into one slice per rank of the node.
ChunkSteps sliced_steps(const Reducing& how, In in, Out out) {
    const Levels& levels = how.levels;
    const std::size_t slice_size = out.size() / index_of(levels.shape.most);
    const Out slice = out.subspan(levels.inside_first->rank().index() * slice_size, slice_size);
    return {[how, in, slice] {
                return how.levels.inside_first->reduce_scatter(
                    in, slice, how.type, how.inner(), how.urgency);
            },
            [how, slice] {
                return how.levels.across->all_reduce(
                    slice, slice, how.type, how.inner(), how.urgency);
            },
            [how, slice, out] {
                how.finish(slice);
                return how.levels.inside_last->all_gather(slice, out, how.urgency);
            },
            nullptr};
}

/// The same for any number of elements: copies of them, and of zeros up to a whole slice.
ChunkSteps padded_steps(const Reducing& how, In in, Out out) {
    const std::size_t unit = index_of(how.levels.shape.most) * index_of(element_size(how.type));
    const auto scratch = std::make_shared<Scratch>((out.size() + unit - 1) / unit * unit);
    const Out padded = scratch->bytes();
    ChunkSteps steps = sliced_steps(how, padded, padded);
    steps.front() = [reduce = steps.front(), in, padded, scratch] {
        std::memcpy(padded.data(), in.data(), in.size());
        std::memset(padded.data() + in.size(), 0, padded.size() - in.size());
        return reduce();
    };
    steps[static_cast<std::size_t>(Leg::finish)] = [padded, out] {
        std::memcpy(out.data(), padded.data(), out.size());
        return Pending{};
    };
    return steps;
}

/// Nodes differ in their numbers of ranks: one rank of each crosses.
ChunkSteps leader_steps(const Reducing& how, In in, Out out) {
    const bool leads = how.levels.inside_first->rank() == GroupRank{0};
    return {
        [how, in, out] {
            return how.levels.inside_first->all_reduce(in, out, how.type, how.inner(), how.urgency);
        },
        [how, out, leads] {
            return leads
                       ? how.levels.across->all_reduce(out, out, how.type, how.inner(), how.urgency)
                       : Pending{};
        },
        [how, out, leads] {
            if (leads) {
                how.finish(out);
            }
            return how.levels.inside_last->broadcast(out, GroupRank{0}, how.urgency);
        },
        nullptr};
}

/// Calls `visit(rank, part)` for every member of the group: chunk buffers hold the parts of all
/// members node by node within local rank by local rank.
void for_each_part(const Levels& levels, const std::function<void(GroupRank, std::size_t)>& visit) {
    std::size_t part = 0;
    for (std::int32_t local = 0; local < levels.shape.most; ++local) {
        for (std::int32_t node = 0; node < levels.shape.nodes; ++node) {
            visit(levels.map.rank_at(node, local), part++);
        }
    }
}

/// The parts of the members with this rank's local rank, in a chunk buffer.
Out own_parts(const Levels& levels, Out chunk) {
    const std::size_t size = chunk.size() / index_of(levels.shape.most);
    return chunk.subspan(levels.inside_first->rank().index() * size, size);
}

}  // namespace

std::vector<ChunkSteps> plan_all_reduce(const Levels& levels,
                                        const ReduceArguments& arguments,
                                        const ChunkSizes& sizes,
                                        Urgency urgency) {
    const Pieces pieces =
        pieces_of(arguments.out.size(), 1, alignment * index_of(levels.shape.most), sizes);
    const Reducing how(levels, arguments, inner_urgency(pieces, urgency));
    std::vector<ChunkSteps> chunks;
    for (std::size_t i = 0; i < pieces.count(); ++i) {
        const In in = arguments.in.subspan(pieces.begin(i), pieces.size(i));
        const Out out = arguments.out.subspan(pieces.begin(i), pieces.size(i));
        const bool divides = out.size() % index_of(levels.shape.most * element_size(how.type)) == 0;
        chunks.push_back(!levels.is_even() ? leader_steps(how, in, out)
                         : divides         ? sliced_steps(how, in, out)
                                           : padded_steps(how, in, out));
    }
    return chunks;
}

std::vector<ChunkSteps> plan_reduce_scatter(const Levels& levels,
                                            const ReduceArguments& arguments,
                                            const ChunkSizes& sizes,
                                            Urgency urgency) {
    const std::size_t part = arguments.out.size();
    const Pieces pieces = pieces_of(
        part, index_of(levels.shape.ranks), index_of(element_size(arguments.type)), sizes);
    const Reducing how(levels, arguments, inner_urgency(pieces, urgency));
    std::vector<ChunkSteps> chunks;
    for (std::size_t i = 0; i < pieces.count(); ++i) {
        const std::size_t begin = pieces.begin(i);
        const std::size_t size = pieces.size(i);
        const auto scratch = std::make_shared<std::optional<Scratch>>();
        const Out out = arguments.out.subspan(begin, size);
        chunks.push_back(
            {[how, in = arguments.in, part, begin, size, scratch] {
                 const Out all = scratch->emplace(size * index_of(how.levels.shape.ranks)).bytes();
                 for_each_part(how.levels, [&](GroupRank rank, std::size_t to) {
                     std::memcpy(
                         all.data() + to * size, in.data() + rank.index() * part + begin, size);
                 });
                 return how.levels.inside_first->reduce_scatter(
                     all, own_parts(how.levels, all), how.type, how.inner(), how.urgency);
             },
             [how, scratch, out] {
                 return how.levels.across->reduce_scatter(
                     own_parts(how.levels, (*scratch)->bytes()),
                     out,
                     how.type,
                     how.inner(),
                     how.urgency);
             },
             nullptr,
             [how, out] {
                 how.finish(out);
                 return Pending{};
             }});
    }
    return chunks;
}

std::vector<ChunkSteps> plan_all_gather(
    const Levels& levels, In in, Out out, const ChunkSizes& sizes, Urgency urgency) {
    const std::size_t part = in.size();
    const Pieces pieces = pieces_of(part, index_of(levels.shape.ranks), 1, sizes);
    const Urgency inner = inner_urgency(pieces, urgency);
    std::vector<ChunkSteps> chunks;
    for (std::size_t i = 0; i < pieces.count(); ++i) {
        const std::size_t begin = pieces.begin(i);
        const std::size_t size = pieces.size(i);
        const auto scratch = std::make_shared<std::optional<Scratch>>();
        chunks.push_back(
            {nullptr,
             [&levels, piece = in.subspan(begin, size), size, scratch, inner] {
                 const Out all = scratch->emplace(size * index_of(levels.shape.ranks)).bytes();
                 return levels.across->all_gather(piece, own_parts(levels, all), inner);
             },
             [&levels, scratch, inner] {
                 const Out all = (*scratch)->bytes();
                 return levels.inside_last->all_gather(own_parts(levels, all), all, inner);
             },
             [&levels, out, part, begin, size, scratch] {
                 const In all = (*scratch)->bytes();
                 for_each_part(levels, [&](GroupRank rank, std::size_t from) {
                     std::memcpy(
                         out.data() + rank.index() * part + begin, all.data() + from * size, size);
                 });
                 return Pending{};
             }});
    }
    return chunks;
}

std::vector<ChunkSteps> plan_broadcast(
    const Levels& levels, Out buffer, GroupRank root, const ChunkSizes& sizes, Urgency urgency) {
    const Pieces pieces = pieces_of(buffer.size(), 1, 1, sizes);
    const Urgency inner = inner_urgency(pieces, urgency);
    const GroupRank root_node{levels.map.node(root)};
    const GroupRank root_inside{levels.map.local_rank(root)};
    const bool crosses = levels.inside_first->rank() == root_inside;
    std::vector<ChunkSteps> chunks;
    for (std::size_t i = 0; i < pieces.count(); ++i) {
        const Out piece = buffer.subspan(pieces.begin(i), pieces.size(i));
        chunks.push_back({nullptr,
                          [&levels, piece, root_node, inner, crosses] {
                              return crosses ? levels.across->broadcast(piece, root_node, inner)
                                             : Pending{};
                          },
                          [&levels, piece, root_inside, inner] {
                              return levels.inside_last->broadcast(piece, root_inside, inner);
                          },
                          nullptr});
    }
    return chunks;
}

}  // namespace traindyno
