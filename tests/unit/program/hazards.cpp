// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/program/hazards.hpp"

#include <array>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "emulator/program/issue_order.hpp"
#include "emulator/program/slice_use.hpp"

namespace traindyno {

namespace {

/// A slice where it lies for one task.
struct Region {
    Space space = Space::workspace;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    Access access = Access::read;
};

std::vector<Region> spans_of(const IssueOrder& order, OpIndex index) {
    std::vector<Region> spans;
    for (const SliceUse& use : slices_of(order.block_op(index).op)) {
        const std::int64_t begin = order.task_of(index).base_of(use.slice.space) + use.slice.offset;
        spans.push_back({.space = use.slice.space,
                         .begin = begin,
                         .end = begin + use.slice.elements,
                         .access = use.access});
    }
    return spans;
}

bool overlap(const Region& a, const Region& b) {
    return a.space == b.space && a.begin < b.end && b.begin < a.end;
}

bool conflict(const std::vector<Region>& a, const std::vector<Region>& b) {
    for (const Region& x : a) {
        for (const Region& y : b) {
            if (overlap(x, y) && (x.access == Access::write || y.access == Access::write)) {
                return true;
            }
        }
    }
    return false;
}

std::string text_of(const IssueOrder& order, OpIndex index) {
    const Task& task = order.task_of(index);
    return fmt::format("task {} {} micro-batch {} layer {} op {}",
                       order.ops()[index].task.value(),
                       order.program().blocks[task.block.index()].name,
                       task.micro_batch.value(),
                       task.layer.value(),
                       order.ops()[index].in_block);
}

/// before[a][b]: b is complete before a starts, by lanes and dependencies alone.
std::vector<std::vector<bool>> happens_before(const IssueOrder& order) {
    std::vector<std::vector<bool>> before(order.ops().size(),
                                          std::vector<bool>(order.ops().size()));
    std::array<std::optional<OpIndex>, enum_count<Lane>> previous;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        const auto follow = [&](OpIndex earlier) {
            before[index][earlier] = true;
            for (OpIndex i = 0; i < earlier; ++i) {
                if (before[earlier][i]) {
                    before[index][i] = true;
                }
            }
        };
        auto& last = previous.at(static_cast<std::size_t>(order.ops()[index].lane));
        if (last) {
            follow(*last);
        }
        order.for_each_dependency(index, follow);
        last = index;
    }
    return before;
}

bool works_in_place(const Op& op) {
    const auto* compute = std::get_if<ComputeOp>(&op);
    if (compute == nullptr) {
        return true;
    }
    if (const auto* product = std::get_if<MatMul>(compute)) {
        return product->accumulate == Accumulate::yes;
    }
    const auto* elementwise = std::get_if<Elementwise>(compute);
    if (elementwise == nullptr) {
        return std::holds_alternative<OptimizerStep>(*compute);
    }
    switch (elementwise->kind) {
        case ElementwiseKind::bias_add:
        case ElementwiseKind::rotary_forward:
        case ElementwiseKind::rotary_backward:
        case ElementwiseKind::cross_entropy:
        case ElementwiseKind::scale:
        case ElementwiseKind::norm_backward:
        case ElementwiseKind::bias_gradient:
        case ElementwiseKind::embedding_backward:
        case ElementwiseKind::sum_of_squares:
        case ElementwiseKind::gradient_add:
        case ElementwiseKind::attention_merge:
            return true;
        default:
            return false;
    }
}

/// Whether the shorter operand of a reduce-scatter or all-gather is this rank's part of the other.
bool works_on_own_part(const StepProgram& program, const Op& op) {
    const auto* communication = std::get_if<CommOp>(&op);
    const auto* collective =
        communication == nullptr ? nullptr : std::get_if<Collective>(communication);
    if (collective == nullptr) {
        return false;
    }
    const std::int64_t rank =
        program.groups[collective->group.index()].rank_of(program.rank).value();
    const bool scatters = collective->kind == CollectiveKind::reduce_scatter;
    const Slice& whole = scatters ? collective->input : collective->output;
    const Slice& part = scatters ? collective->output : collective->input;
    return part.offset == whole.offset + rank * part.elements;
}

/// Who wrote each element of a space last.
class LastWriters {
  public:
    void write(std::int64_t begin, std::int64_t end, OpIndex writer) {
        split(begin);
        split(end);
        pieces_.erase(pieces_.lower_bound(begin), pieces_.lower_bound(end));
        pieces_[begin] = {.end = end, .writer = writer};
    }

    /// Nothing where any element was never written.
    [[nodiscard]] std::optional<std::vector<OpIndex>> writers(std::int64_t begin,
                                                              std::int64_t end) const {
        std::vector<OpIndex> found;
        auto at = pieces_.upper_bound(begin);
        if (at == pieces_.begin()) {
            return std::nullopt;
        }
        --at;
        while (begin < end) {
            if (at == pieces_.end() || at->first > begin || at->second.end <= begin) {
                return std::nullopt;
            }
            found.push_back(at->second.writer);
            begin = at->second.end;
            ++at;
        }
        return found;
    }

  private:
    struct Piece {
        std::int64_t end = 0;
        OpIndex writer = 0;
    };

    void split(std::int64_t position) {
        auto at = pieces_.upper_bound(position);
        if (at == pieces_.begin()) {
            return;
        }
        --at;
        if (at->first < position && position < at->second.end) {
            pieces_[position] = at->second;
            at->second.end = position;
        }
    }

    std::map<std::int64_t, Piece> pieces_;
};

}  // namespace

std::vector<std::string> races_in(const StepProgram& program) {
    const IssueOrder order(program);
    const auto before = happens_before(order);
    std::vector<std::vector<Region>> spans;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        spans.push_back(spans_of(order, index));
    }
    std::vector<std::string> races;
    for (OpIndex a = 0; a < spans.size(); ++a) {
        if (order.ops()[a].lane == Lane::compute) {
            continue;  // two operations of one lane never race: one of a pair communicates
        }
        for (OpIndex b = 0; b < spans.size(); ++b) {
            const bool ordered = a == b || (a < b ? before[b][a] : before[a][b]);
            if (!ordered && conflict(spans[a], spans[b])) {
                races.push_back(text_of(order, a) + " races " + text_of(order, b));
            }
        }
    }
    return races;
}

std::vector<std::string> stale_reads_in(const StepProgram& program) {
    const IssueOrder order(program);
    std::array<LastWriters, enum_count<Space>> spaces;
    std::vector<std::string> stale;
    for (OpIndex index = 0; index < order.ops().size(); ++index) {
        const std::vector<Region> spans = spans_of(order, index);
        for (const Region& span : spans) {
            const bool activation = span.space == Space::saved || span.space == Space::workspace;
            if (span.access == Access::write || (!activation && span.space != Space::gradient)) {
                continue;
            }
            const auto writers =
                spaces.at(static_cast<std::size_t>(span.space)).writers(span.begin, span.end);
            if (!writers) {
                stale.push_back(text_of(order, index) + " reads what nothing wrote");
                continue;
            }
            for (const OpIndex writer : *writers) {
                if (activation &&
                    order.task_of(writer).micro_batch != order.task_of(index).micro_batch) {
                    stale.push_back(text_of(order, index) + " reads from " +
                                    text_of(order, writer));
                }
            }
        }
        for (const Region& span : spans) {
            if (span.access == Access::write) {
                spaces.at(static_cast<std::size_t>(span.space)).write(span.begin, span.end, index);
            }
        }
    }
    return stale;
}

std::vector<std::string> overlaps_in(const StepProgram& program) {
    std::vector<std::string> found;
    for (const Block& block : program.blocks) {
        for (std::size_t i = 0; i < block.ops.size(); ++i) {
            const std::vector<SliceUse> uses = slices_of(block.ops[i].op);
            for (std::size_t a = 0; a < uses.size(); ++a) {
                for (std::size_t b = a + 1; b < uses.size(); ++b) {
                    const Slice& x = uses[a].slice;
                    const Slice& y = uses[b].slice;
                    const bool touch = x.space == y.space && x.offset < y.offset + y.elements &&
                                       y.offset < x.offset + x.elements;
                    const bool write =
                        uses[a].access == Access::write || uses[b].access == Access::write;
                    const bool allowed = (x == y && works_in_place(block.ops[i].op)) ||
                                         works_on_own_part(program, block.ops[i].op);
                    if (touch && write && !allowed) {
                        found.push_back(fmt::format("{} op {}", block.name, i));
                    }
                }
            }
        }
    }
    return found;
}

}  // namespace traindyno
