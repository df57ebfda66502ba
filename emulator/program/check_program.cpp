// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "emulator/base/overloaded.hpp"
#include "emulator/program/slice_use.hpp"
#include "emulator/program/verification.hpp"

namespace traindyno {

namespace {

/// The part of each space that a block touches, relative to the bases of its tasks.
struct Range {
    std::int64_t begin = std::numeric_limits<std::int64_t>::max();
    std::int64_t end = std::numeric_limits<std::int64_t>::min();
};

using Footprint = std::array<Range, enum_count<Space>>;

class ProgramCheck {
  public:
    ProgramCheck(const StepProgram& program, std::int64_t ranks, Findings& findings)
        : program_(program), ranks_(ranks), findings_(findings) {}

    void run(WorldRank rank) {
        if (program_.rank != rank) {
            add(fmt::format("its program is rank {}'s", program_.rank.value()), rank);
        }
        for (const Group& group : program_.groups) {
            check_members(group);
        }
        for (const Block& block : program_.blocks) {
            footprints_.push_back(check_block(block));
        }
        for (std::size_t i = 0; i < program_.tasks.size(); ++i) {
            check_task(i);
        }
    }

  private:
    void add(const std::string& text, WorldRank rank) {
        findings_.add(fmt::format("rank {}: {}", rank.value(), text));
    }

    void add(const std::string& text) { add(text, program_.rank); }

    void check_members(const Group& group) {
        std::vector<WorldRank> members = group.members;
        std::sort(members.begin(), members.end());
        if (!std::binary_search(members.begin(), members.end(), program_.rank)) {
            add(fmt::format("it is not a member of its {}", description_of(group)));
        }
        if (std::adjacent_find(members.begin(), members.end()) != members.end()) {
            add(fmt::format("{} names a rank twice", description_of(group)));
        }
        if (!members.empty() && (members.front().value() < 0 || members.back().value() >= ranks_)) {
            add(fmt::format("{} names ranks outside 0 to {}", description_of(group), ranks_ - 1));
        }
    }

    Footprint check_block(const Block& block) {
        Footprint footprint;
        for (std::size_t i = 0; i < block.ops.size(); ++i) {
            const BlockOp& op = block.ops[i];
            const std::string where = fmt::format("block {} op {}", block.name, i);
            for (const std::uint32_t earlier : op.after) {
                if (earlier >= i) {
                    add(fmt::format(
                        "{} waits for op {}, which does not come before it", where, earlier));
                }
            }
            check_op(op, where);
            for (const SliceUse& use : slices_of(op.op)) {
                if (use.slice.elements <= 0) {
                    add(fmt::format("{} has an operand without elements", where));
                }
                Range& range = footprint[static_cast<std::size_t>(use.slice.space)];
                range.begin = std::min(range.begin, use.slice.offset);
                range.end = std::max(range.end, use.slice.offset + use.slice.elements);
            }
        }
        return footprint;
    }

    void check_op(const BlockOp& op, const std::string& where) {
        std::visit(
            Overloaded{[&](const ComputeOp& compute) {
                           if (op.lane != Lane::compute) {
                               add(fmt::format(
                                   "{} computes on the {} lane", where, to_string(op.lane)));
                           }
                           check_shape(compute, where);
                       },
                       [&](const CommOp& communication) {
                           if (op.lane == Lane::compute) {
                               add(fmt::format("{} communicates on the compute lane", where));
                           }
                           check_communication(communication, where);
                       }},
            op.op);
    }

    void check_shape(const ComputeOp& op, const std::string& where) {
        const auto* product = std::get_if<MatMul>(&op);
        if (product != nullptr && (product->a.elements != product->m * product->k ||
                                   product->b.elements != product->k * product->n ||
                                   product->c.elements != product->m * product->n)) {
            add(fmt::format("{} multiplies {} x {} x {} with operands of other sizes",
                            where,
                            product->m,
                            product->n,
                            product->k));
        }
        if (const auto* forward = std::get_if<AttentionForward>(&op)) {
            check_attention(*forward, sizes_fit(*forward, program_.precision), where);
        }
        if (const auto* backward = std::get_if<AttentionBackward>(&op)) {
            const bool gradients_fit =
                backward->grad_context.elements == backward->context.elements &&
                (backward->keys == 0
                     ? backward->grad_qkv.elements == backward->qkv.elements
                     : backward->grad_qkv.elements == backward->context.elements &&
                           backward->grad_keys_values.elements == backward->keys_values.elements);
            check_attention(
                *backward, gradients_fit && sizes_fit(*backward, program_.precision), where);
        }
    }

    template <class Attention>
    static bool sizes_fit(const Attention& op, Precision precision) {
        const std::int64_t kv_width = 2 * op.kv_heads * op.head_size;
        const std::int64_t context = op.batch * op.seq * op.heads * op.head_size;
        return op.qkv.elements == context + op.batch * op.seq * kv_width &&
               op.context.elements == context &&
               op.keys_values.elements == op.batch * op.keys * kv_width &&
               op.statistics.elements ==
                   words_of_fp32(op.batch * op.heads * op.seq, storage_type(precision));
    }

    template <class Attention>
    void check_attention(const Attention& op, bool fits, const std::string& where) {
        if (!fits) {
            add(fmt::format("{} attends with {} queries to {} keys with operands of other sizes",
                            where,
                            op.seq,
                            op.keys == 0 ? op.seq : op.keys));
        }
        if (op.keys == 0 ? op.mask != AttentionMask::causal
                         : op.mask == AttentionMask::causal && op.keys != op.seq) {
            add(fmt::format("{} masks {} keys for {} queries as {}",
                            where,
                            op.keys,
                            op.seq,
                            to_string(op.mask)));
        }
    }

    void check_communication(const CommOp& op, const std::string& where) {
        const GroupId group = group_id(op);
        if (group.value() < 0 || group.index() >= program_.groups.size()) {
            add(fmt::format("{} uses group {}, which does not exist", where, group.value()));
            return;
        }
        const Group& members = program_.groups[group.index()];
        const auto check_peer = [&](GroupRank peer) {
            if (peer.value() < 0 || peer.value() >= members.size() ||
                members.members[peer.index()] == program_.rank) {
                add(fmt::format("{} has peer {}, which is no other rank of its {}",
                                where,
                                peer.value(),
                                description_of(members)));
            }
        };
        std::visit(Overloaded{[&](const Collective& collective) {
                                  check_lengths(collective, members, where);
                                  check_type(collective.dtype, collective.input, where);
                                  check_type(collective.dtype, collective.output, where);
                              },
                              [&](const auto& message) {
                                  check_peer(message.peer);
                                  check_type(message.dtype, message.buffer, where);
                              }},
                   op);
    }

    void check_type(DType type, const Slice& slice, const std::string& where) {
        if (type != dtype_in(program_, slice.space)) {
            add(fmt::format("{} moves {} of {} space, which holds another type",
                            where,
                            to_string(type),
                            to_string(slice.space)));
        }
    }

    void check_lengths(const Collective& op, const Group& members, const std::string& where) {
        if (!lengths_fit(op, members.size())) {
            add(fmt::format("{} is a {} from {} to {} elements over {} ranks",
                            where,
                            to_string(op.kind),
                            op.input.elements,
                            op.output.elements,
                            members.size()));
        }
    }

    static bool lengths_fit(const Collective& op, std::int64_t size) {
        const auto sums_to = [size](const std::vector<std::int64_t>& parts, std::int64_t whole) {
            return static_cast<std::int64_t>(parts.size()) == size &&
                   std::all_of(parts.begin(), parts.end(), [](auto part) { return part >= 0; }) &&
                   std::accumulate(parts.begin(), parts.end(), std::int64_t{0}) == whole;
        };
        switch (op.kind) {
            case CollectiveKind::all_reduce:
                return op.input.elements == op.output.elements;
            case CollectiveKind::reduce_scatter:
                return op.input.elements == size * op.output.elements;
            case CollectiveKind::all_gather:
                return size * op.input.elements == op.output.elements;
            case CollectiveKind::all_to_all:
                return op.sent.empty() && op.received.empty()
                           ? op.input.elements == op.output.elements &&
                                 op.input.elements % size == 0
                           : sums_to(op.sent, op.input.elements) &&
                                 sums_to(op.received, op.output.elements);
        }
        return false;
    }

    void check_task(std::size_t index) {
        const Task& task = program_.tasks[index];
        if (task.block.value() < 0 || task.block.index() >= program_.blocks.size()) {
            add(fmt::format(
                "task {} runs block {}, which does not exist", index, task.block.value()));
            return;
        }
        for (const TaskId earlier : task.after) {
            if (earlier.value() < 0 || earlier.index() >= index) {
                add(fmt::format("task {} waits for task {}, which does not come before it",
                                index,
                                earlier.value()));
            }
        }
        check_extents(index, task);
    }

    void check_extents(std::size_t index, const Task& task) {
        for (std::size_t i = 0; i < enum_count<Space>; ++i) {
            const auto space = static_cast<Space>(i);
            const Range& range = footprints_[task.block.index()][i];
            const std::int64_t base = task.base_of(space);
            if (range.begin < range.end &&
                (base + range.begin < 0 || base + range.end > extent_of(program_.extents, space))) {
                add(fmt::format("task {} ({}) uses elements {} to {} of {} space, which has {}",
                                index,
                                program_.blocks[task.block.index()].name,
                                base + range.begin,
                                base + range.end,
                                to_string(space),
                                extent_of(program_.extents, space)));
            }
        }
    }

    const StepProgram& program_;
    std::int64_t ranks_;
    Findings& findings_;
    std::vector<Footprint> footprints_;
};

}  // namespace

void check_program(const StepProgram& program,
                   WorldRank rank,
                   std::int64_t ranks,
                   Findings& findings) {
    ProgramCheck(program, ranks, findings).run(rank);
}

}  // namespace traindyno
