// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/print.hpp"

#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

using Out = std::back_insert_iterator<std::string>;

std::string text_of(const Slice& slice) {
    return fmt::format("{}[{}+{}]", to_string(slice.space), slice.offset, slice.elements);
}

std::string text_of(const std::vector<Slice>& slices) {
    std::string text;
    for (const Slice& slice : slices) {
        text += ' ' + text_of(slice);
    }
    return text;
}

std::string_view transposed(Transpose transpose) {
    return transpose == Transpose::yes ? "^T" : "";
}

std::string text_of(const MatMul& op) {
    return fmt::format("matmul m {} n {} k {} {} {} {}{} * {}{}",
                       op.m,
                       op.n,
                       op.k,
                       text_of(op.c),
                       op.accumulate == Accumulate::yes ? "+=" : "=",
                       text_of(op.a),
                       transposed(op.transpose_a),
                       text_of(op.b),
                       transposed(op.transpose_b));
}

template <class Attention>
std::string attention_text(std::string_view name, const Attention& op) {
    return fmt::format(
        "{} batch {} seq {} heads {} kv_heads {} head_size {}{} qkv {} context {} statistics {}{}",
        name,
        op.batch,
        op.seq,
        op.heads,
        op.kv_heads,
        op.head_size,
        op.keys > 0 ? fmt::format(" keys {} mask {}", op.keys, to_string(op.mask)) : "",
        text_of(op.qkv),
        text_of(op.context),
        text_of(op.statistics),
        op.keys > 0 ? " keys_values " + text_of(op.keys_values) : "");
}

std::string text_of(const AttentionForward& op) {
    return attention_text("attention_forward", op);
}

std::string text_of(const AttentionBackward& op) {
    return fmt::format("{} grad_context {} grad_qkv {}{}",
                       attention_text("attention_backward", op),
                       text_of(op.grad_context),
                       text_of(op.grad_qkv),
                       op.keys > 0 ? " grad_keys_values " + text_of(op.grad_keys_values) : "");
}

std::string text_of(const Elementwise& op) {
    return fmt::format("{} rows {} columns {}{} ->{}",
                       to_string(op.kind),
                       op.rows,
                       op.columns,
                       text_of(op.reads),
                       text_of(op.writes));
}

std::string text_of(const OptimizerStep& op) {
    std::string text = fmt::format("optimizer_step offset {} elements {}", op.offset, op.elements);
    if (op.weight_shift != 0 || op.gradient_shift != 0) {
        text +=
            fmt::format(" weight_shift {} gradient_shift {}", op.weight_shift, op.gradient_shift);
    }
    return text;
}

bool reduces(const Collective& op) {
    return op.kind == CollectiveKind::all_reduce || op.kind == CollectiveKind::reduce_scatter;
}

std::string parts_text(std::string_view name, const std::vector<std::int64_t>& parts) {
    return parts.empty() ? "" : fmt::format(" {} {}", name, fmt::join(parts, ","));
}

std::string text_of(const Collective& op) {
    std::string text =
        fmt::format("{} group {} {}", to_string(op.kind), op.group.value(), text_of(op.input));
    if (op.output != op.input) {
        text += fmt::format(" -> {}", text_of(op.output));
    }
    text += fmt::format(" {}", to_string(op.dtype));
    if (reduces(op)) {
        text += fmt::format(" {}", to_string(op.reduction));
    }
    return text + parts_text("sent", op.sent) + parts_text("received", op.received);
}

template <class Message>
std::string message_text(std::string_view name, const Message& op) {
    return fmt::format("{} group {} peer {} tag {} {} {}",
                       name,
                       op.group.value(),
                       op.peer.value(),
                       op.tag,
                       text_of(op.buffer),
                       to_string(op.dtype));
}

std::string text_of(const Send& op) {
    return message_text("send", op);
}

std::string text_of(const Recv& op) {
    return message_text("recv", op);
}

template <class Positions>
void print_after(Out out, const Positions& after) {
    if (!after.empty()) {
        fmt::format_to(out, " after");
    }
    for (const auto& earlier : after) {
        if constexpr (std::is_integral_v<std::decay_t<decltype(earlier)>>) {
            fmt::format_to(out, " {}", earlier);
        } else {
            fmt::format_to(out, " {}", earlier.value());
        }
    }
    fmt::format_to(out, "\n");
}

void print_block(Out out, std::size_t index, const Block& block) {
    fmt::format_to(out, "block {} {}\n", index, block.name);
    for (std::size_t i = 0; i < block.ops.size(); ++i) {
        const BlockOp& op = block.ops[i];
        const std::string text = std::visit(
            [](const auto& kind) {
                return std::visit([](const auto& exact) { return text_of(exact); }, kind);
            },
            op.op);
        fmt::format_to(out, "  op {} {} {} {}", i, to_string(op.lane), to_string(op.phase), text);
        print_after(out, op.after);
    }
}

std::string extent_text(std::string_view name, std::optional<std::int64_t> extent) {
    return extent ? fmt::format(" {} {}", name, *extent) : "";
}

void print_task(Out out, std::size_t index, const Task& task) {
    fmt::format_to(
        out,
        "task {} block {} micro_batch {} layer {} parameter {}{} saved {} tag {}",
        index,
        task.block.value(),
        task.micro_batch.value(),
        task.layer.value(),
        task.parameter_base,
        task.gradient_shift == 0 ? "" : fmt::format(" gradient_shift {}", task.gradient_shift),
        task.saved_base,
        task.tag_base);
    print_after(out, task.after);
}

}  // namespace

std::string print(const StepProgram& program) {
    std::string text;
    const Out out(text);
    fmt::format_to(out,
                   "program rank {} stage {} precision {}{}\n"
                   "extents parameter {} saved {} workspace {} scalar {}{}{}\n",
                   program.rank.value(),
                   program.stage.value(),
                   to_string(program.precision),
                   program.gradient_type == DType::fp32
                       ? ""
                       : fmt::format(" gradient {}", to_string(program.gradient_type)),
                   program.extents.parameter,
                   program.extents.saved,
                   program.extents.workspace,
                   program.extents.scalar,
                   extent_text("gradient", program.extents.gradient),
                   extent_text("state", program.extents.state));
    for (std::size_t i = 0; i < program.groups.size(); ++i) {
        fmt::format_to(out, "group {} {}", i, to_string(program.groups[i].kind));
        for (const WorldRank member : program.groups[i].members) {
            fmt::format_to(out, " {}", member.value());
        }
        fmt::format_to(out, "\n");
    }
    for (std::size_t i = 0; i < program.blocks.size(); ++i) {
        print_block(out, i, program.blocks[i]);
    }
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        print_task(out, i, program.tasks[i]);
    }
    return text;
}

}  // namespace traindyno
