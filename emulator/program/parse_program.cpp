// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/program/line_reader.hpp"
#include "emulator/program/print.hpp"

namespace traindyno {

namespace {

MatMul read_matmul(LineReader& line) {
    MatMul op;
    op.m = line.keyed("m");
    op.n = line.keyed("n");
    op.k = line.keyed("k");
    op.c = line.slice();
    op.accumulate = line.next_is("+=") ? Accumulate::yes : Accumulate::no;
    line.expect(op.accumulate == Accumulate::yes ? "+=" : "=");
    op.a = line.matrix(op.transpose_a);
    line.expect("*");
    op.b = line.matrix(op.transpose_b);
    return op;
}

template <class Attention>
Attention read_attention(LineReader& line) {
    Attention op;
    op.batch = line.keyed("batch");
    op.seq = line.keyed("seq");
    op.heads = line.keyed("heads");
    op.kv_heads = line.keyed("kv_heads");
    op.head_size = line.keyed("head_size");
    if (line.next_is("keys")) {
        op.keys = line.keyed("keys");
        line.expect("mask");
        op.mask = line.name<AttentionMask>();
    }
    op.qkv = line.keyed_slice("qkv");
    op.context = line.keyed_slice("context");
    op.statistics = line.keyed_slice("statistics");
    if (op.keys > 0) {
        op.keys_values = line.keyed_slice("keys_values");
    }
    if constexpr (std::is_same_v<Attention, AttentionBackward>) {
        op.grad_context = line.keyed_slice("grad_context");
        op.grad_qkv = line.keyed_slice("grad_qkv");
        if (op.keys > 0) {
            op.grad_keys_values = line.keyed_slice("grad_keys_values");
        }
    }
    return op;
}

Elementwise read_elementwise(ElementwiseKind kind, LineReader& line) {
    Elementwise op;
    op.kind = kind;
    op.rows = line.keyed("rows");
    op.columns = line.keyed("columns");
    while (!line.next_is("->")) {
        op.reads.push_back(line.slice());
    }
    line.expect("->");
    while (!line.at_end() && !line.next_is("after")) {
        op.writes.push_back(line.slice());
    }
    return op;
}

OptimizerStep read_optimizer_step(LineReader& line) {
    OptimizerStep op;
    op.offset = line.keyed("offset");
    op.elements = line.keyed("elements");
    if (line.next_is("weight_shift")) {
        op.weight_shift = line.keyed("weight_shift");
        op.gradient_shift = line.keyed("gradient_shift");
    }
    return op;
}

Collective read_collective(CollectiveKind kind, LineReader& line) {
    Collective op;
    op.kind = kind;
    op.group = line.keyed_id<GroupId>("group");
    op.input = line.slice();
    op.output = op.input;
    if (line.next_is("->")) {
        line.expect("->");
        op.output = line.slice();
    }
    op.dtype = line.name<DType>();
    if (kind == CollectiveKind::all_reduce || kind == CollectiveKind::reduce_scatter) {
        op.reduction = line.name<Reduction>();
    }
    if (line.next_is("sent")) {
        op.sent = line.keyed_list("sent");
        op.received = line.keyed_list("received");
    }
    return op;
}

template <class Message>
Message read_message(LineReader& line) {
    Message op;
    op.group = line.keyed_id<GroupId>("group");
    op.peer = line.keyed_id<GroupRank>("peer");
    line.expect("tag");
    op.tag = line.small_integer();
    op.buffer = line.slice();
    op.dtype = line.name<DType>();
    return op;
}

Op read_op(LineReader& line) {
    const std::string_view name = line.word();
    if (name == "matmul") {
        return ComputeOp{read_matmul(line)};
    }
    if (name == "attention_forward") {
        return ComputeOp{read_attention<AttentionForward>(line)};
    }
    if (name == "attention_backward") {
        return ComputeOp{read_attention<AttentionBackward>(line)};
    }
    if (name == "optimizer_step") {
        return ComputeOp{read_optimizer_step(line)};
    }
    if (const auto kind = parse_enum<CollectiveKind>(name)) {
        return CommOp{read_collective(*kind, line)};
    }
    if (name == "send") {
        return CommOp{read_message<Send>(line)};
    }
    if (name == "recv") {
        return CommOp{read_message<Recv>(line)};
    }
    const std::optional<ElementwiseKind> kind = parse_enum<ElementwiseKind>(name);
    if (!kind) {
        line.fail(fmt::format("'{}' is not an operation", name));
    }
    return ComputeOp{read_elementwise(*kind, line)};
}

class ProgramReader {
  public:
    void read(LineReader& line) {
        const std::string_view word = line.word();
        if (word == "program") {
            program_.rank = line.keyed_id<WorldRank>("rank");
            program_.stage = line.keyed_id<Stage>("stage");
            line.expect("precision");
            program_.precision = line.name<Precision>();
            if (line.next_is("gradient")) {
                line.expect("gradient");
                program_.gradient_type = line.name<DType>();
            }
        } else if (word == "extents") {
            program_.extents.parameter = line.keyed("parameter");
            program_.extents.saved = line.keyed("saved");
            program_.extents.workspace = line.keyed("workspace");
            program_.extents.scalar = line.keyed("scalar");
            program_.extents.gradient = read_extent("gradient", line);
            program_.extents.state = read_extent("state", line);
        } else if (word == "group") {
            read_group(line);
        } else if (word == "block") {
            line.expect_position(program_.blocks.size());
            program_.blocks.push_back({.name = std::string(line.word()), .ops = {}});
        } else if (word == "op") {
            read_block_op(line);
        } else if (word == "task") {
            read_task(line);
        } else {
            line.fail(
                fmt::format("'{}' is not one of program, extents, group, block, op or task", word));
        }
        line.expect_end();
    }

    [[nodiscard]] StepProgram take() { return std::move(program_); }

  private:
    void read_group(LineReader& line) {
        line.expect_position(program_.groups.size());
        Group group;
        group.kind = line.name<GroupKind>();
        while (!line.at_end()) {
            group.members.push_back(line.id<WorldRank>());
        }
        program_.groups.push_back(std::move(group));
    }

    void read_block_op(LineReader& line) {
        if (program_.blocks.empty()) {
            line.fail("an op stands before the first block");
        }
        std::vector<BlockOp>& ops = program_.blocks.back().ops;
        line.expect_position(ops.size());
        BlockOp op;
        op.lane = line.name<Lane>();
        op.phase = line.name<Phase>();
        op.op = read_op(line);
        for (const std::int32_t earlier : read_after(line)) {
            op.after.push_back(static_cast<std::uint32_t>(earlier));
        }
        ops.push_back(std::move(op));
    }

    void read_task(LineReader& line) {
        line.expect_position(program_.tasks.size());
        Task task;
        task.block = line.keyed_id<BlockId>("block");
        task.micro_batch = line.keyed_id<MicroBatch>("micro_batch");
        task.layer = line.keyed_id<LayerIndex>("layer");
        task.parameter_base = line.keyed("parameter");
        if (line.next_is("gradient_shift")) {
            task.gradient_shift = line.keyed("gradient_shift");
        }
        task.saved_base = line.keyed("saved");
        line.expect("tag");
        task.tag_base = line.small_integer();
        for (const std::int32_t earlier : read_after(line)) {
            task.after.emplace_back(earlier);
        }
        program_.tasks.push_back(std::move(task));
    }

    static std::optional<std::int64_t> read_extent(std::string_view name, LineReader& line) {
        return line.next_is(name) ? std::optional(line.keyed(name)) : std::nullopt;
    }

    static std::vector<std::int32_t> read_after(LineReader& line) {
        std::vector<std::int32_t> after;
        if (!line.at_end()) {
            line.expect("after");
            do {
                after.push_back(line.position());
            } while (!line.at_end());
        }
        return after;
    }

    StepProgram program_;
};

}  // namespace

StepProgram parse_program(const std::string& text) {
    ProgramReader reader;
    Problems problems;
    std::istringstream stream(text);
    std::size_t number = 0;
    for (std::string line; std::getline(stream, line);) {
        ++number;
        if (line.find_first_not_of(' ') == std::string::npos || line.front() == '#') {
            continue;
        }
        problems.collect([&] {
            LineReader words(line, number);
            reader.read(words);
        });
    }
    problems.throw_if_any();
    return reader.take();
}

}  // namespace traindyno
