// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/elementwise_check.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

#include "emulator/model/model.hpp"

namespace traindyno {

namespace {

/// Elements each operand must have; `any` for those that only their contents limit.
struct Signature {
    std::vector<std::int64_t> reads;
    std::vector<std::int64_t> writes;
    std::size_t optional_reads = 0;  ///< how many of the last may be missing
    std::size_t optional_writes = 0;
};

constexpr std::int64_t any = -1;

Signature signature_of(const Elementwise& op) {
    const std::int64_t n = op.columns;
    const std::int64_t all = op.rows * n;
    switch (op.kind) {
        case ElementwiseKind::embedding_forward:
            return {{any, any}, {all}, 1};
        case ElementwiseKind::embedding_backward:
            return {{all}, {any, any}, 0, 1};
        case ElementwiseKind::norm_forward:
            return {{all, any}, {all}};
        case ElementwiseKind::norm_backward:
            return {{all, all, any}, {all, any}};
        case ElementwiseKind::bias_add:
            return {{all, n}, {all}};
        case ElementwiseKind::bias_gradient:
            return {{all}, {n}};
        case ElementwiseKind::gelu_forward:
        case ElementwiseKind::copy:
            return {{all}, {all}};
        case ElementwiseKind::gelu_backward:
        case ElementwiseKind::residual_add:
        case ElementwiseKind::gradient_add:
            return {{all, all}, {all}};
        case ElementwiseKind::swiglu_forward:
        case ElementwiseKind::rotary_forward:
        case ElementwiseKind::rotary_backward:
            return {{any}, {any}};
        case ElementwiseKind::sum_of_squares:
            return {{any, 1}, {1}, 1};
        case ElementwiseKind::swiglu_backward:
        case ElementwiseKind::scale:
            return {{any, any}, {any}};
        case ElementwiseKind::cross_entropy:
            return {{all, any, any, any}, {all, 1}, 3};
        case ElementwiseKind::zero:
            return {{}, {any}};
        case ElementwiseKind::router_forward:
        case ElementwiseKind::permute_forward:
            return {{all}, {any}};
        case ElementwiseKind::router_backward:
            return {{all, any}, {all}};
        case ElementwiseKind::permute_backward:
            return {{any}, {all}};
        case ElementwiseKind::unpermute_forward:
            return {{any, any}, {all}};
        case ElementwiseKind::unpermute_backward:
            return {{all, any, any}, {any, any}};
        case ElementwiseKind::concatenate:
            return {std::vector<std::int64_t>(op.reads.size(), any), {all}};
        case ElementwiseKind::slice_columns:
            return {{any}, {all}};
        case ElementwiseKind::join_columns:
            return {{any, any}, {all}};
        case ElementwiseKind::attention_merge:
            return {{all, any, all, any}, {all, any}};
    }
    return {};
}

void compare(const std::vector<Slice>& slices,
             const std::vector<std::int64_t>& wanted,
             std::size_t optional,
             const char* name,
             std::vector<std::string>& problems) {
    if (slices.size() > wanted.size() || slices.size() + optional < wanted.size()) {
        problems.push_back(fmt::format("{} {} instead of {}", slices.size(), name, wanted.size()));
        return;
    }
    for (std::size_t i = 0; i < slices.size(); ++i) {
        if (wanted[i] != any && slices[i].elements != wanted[i]) {
            problems.push_back(fmt::format(
                "{}[{}] has {} elements instead of {}", name, i, slices[i].elements, wanted[i]));
        }
    }
}

/// Whether `slice` holds from 1 to `most` weights for every row.
bool are_weights(const Elementwise& op, const Slice& slice, std::int64_t most) {
    const std::int64_t top_k = slice.elements / op.rows;
    return slice.elements % op.rows == 0 && top_k >= 1 && top_k <= std::min(most, most_top_k);
}

/// Relations between operands that sizes from rows and columns do not cover.
void compare_operands(const Elementwise& op, std::vector<std::string>& problems) {
    const auto expect = [&](bool condition, const char* what) {
        if (!condition) {
            problems.emplace_back(what);
        }
    };
    switch (op.kind) {
        case ElementwiseKind::norm_forward:
        case ElementwiseKind::norm_backward: {
            const std::int64_t weights = op.reads.back().elements;
            expect(weights == op.columns || weights == 2 * op.columns,
                   "the weights are neither scale nor scale and shift");
            expect(op.kind == ElementwiseKind::norm_forward || op.writes[1].elements == weights,
                   "the gradient is not shaped as the weights");
            break;
        }
        case ElementwiseKind::swiglu_forward:
            expect(op.reads[0].elements == 2 * op.writes[0].elements, "x is not [rows, 2f]");
            expect(op.writes[0].elements % op.rows == 0, "y is not [rows, f]");
            break;
        case ElementwiseKind::swiglu_backward:
            expect(op.reads[0].elements == 2 * op.reads[1].elements, "x is not [rows, 2f]");
            expect(op.reads[0].elements == op.writes[0].elements, "dx is not shaped as x");
            expect(op.reads[1].elements % op.rows == 0, "dy is not [rows, f]");
            break;
        case ElementwiseKind::rotary_forward:
        case ElementwiseKind::rotary_backward:
            expect(op.reads[0] == op.writes[0], "rotation is in place");
            expect(op.reads[0].elements % op.rows == 0, "x has no whole rows");
            expect(op.reads[0].elements >= op.rows * op.columns, "x is shorter than its columns");
            break;
        case ElementwiseKind::scale:
            expect(op.reads[0] == op.writes[0], "scaling is in place");
            break;
        case ElementwiseKind::gradient_add:
            expect(op.reads[0] == op.writes[0], "gradients are added in place");
            break;
        case ElementwiseKind::cross_entropy:
            expect(op.reads[0] == op.writes[0], "dlogits replace the logits");
            break;
        case ElementwiseKind::router_forward:
            expect(are_weights(op, op.writes[0], op.columns), "the weights are not [rows, k]");
            break;
        case ElementwiseKind::router_backward:
            expect(are_weights(op, op.reads[1], op.columns), "dweights are not [rows, k]");
            break;
        case ElementwiseKind::permute_forward:
            expect(op.writes[0].elements % op.columns == 0, "y has no whole slots");
            break;
        case ElementwiseKind::permute_backward:
            expect(op.reads[0].elements % op.columns == 0, "dy has no whole slots");
            break;
        case ElementwiseKind::unpermute_forward:
            expect(op.reads[0].elements % op.columns == 0, "y has no whole slots");
            expect(are_weights(op, op.reads[1], most_top_k), "the weights are not [rows, k]");
            break;
        case ElementwiseKind::unpermute_backward:
            expect(op.reads[1].elements % op.columns == 0, "y has no whole slots");
            expect(op.reads[1].elements == op.writes[0].elements, "dy is not shaped as y");
            expect(are_weights(op, op.reads[2], most_top_k), "the weights are not [rows, k]");
            expect(op.reads[2].elements == op.writes[1].elements,
                   "dweights are not shaped as the weights");
            break;
        case ElementwiseKind::concatenate: {
            std::int64_t sum = 0;
            for (const Slice& part : op.reads) {
                sum += part.elements;
            }
            expect(sum == op.writes[0].elements, "the parts are not as long as the whole");
            break;
        }
        case ElementwiseKind::slice_columns:
            expect(op.reads[0].elements % op.rows == 0, "x has no whole rows");
            expect(op.reads[0].elements >= op.writes[0].elements, "x is narrower than y");
            break;
        case ElementwiseKind::join_columns:
            expect(op.reads[0].elements % op.rows == 0, "x has no whole rows");
            expect(op.reads[0].elements + op.reads[1].elements == op.writes[0].elements,
                   "x and y are not as wide as z");
            break;
        case ElementwiseKind::attention_merge:
            expect(op.reads[0] == op.writes[0] && op.reads[1] == op.writes[1],
                   "attention is merged in place");
            expect(op.reads[3].elements % op.rows == 0, "the statistics have no whole heads");
            expect(op.reads[1].elements >= op.reads[3].elements,
                   "there are more partial statistics than whole ones");
            break;
        default:
            break;
    }
}

}  // namespace

std::vector<std::string> problems_of(const Elementwise& op) {
    std::vector<std::string> problems;
    if (op.rows <= 0 || op.columns <= 0) {
        problems.push_back(fmt::format("{} x {} is not a shape", op.rows, op.columns));
        return problems;
    }
    const Signature wanted = signature_of(op);
    compare(op.reads, wanted.reads, wanted.optional_reads, "reads", problems);
    compare(op.writes, wanted.writes, wanted.optional_writes, "writes", problems);
    if (!problems.empty()) {
        return problems;
    }
    compare_operands(op, problems);
    return problems;
}

}  // namespace traindyno
