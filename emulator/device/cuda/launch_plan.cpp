// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/launch_plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/capability.hpp"
#include "emulator/device/cuda/kernel_timer.hpp"

namespace traindyno {

namespace {

Epilogue epilogue_of(Fold fold) {
    switch (fold) {
        case Fold::none:
            return Epilogue::none;
        case Fold::bias:
            return Epilogue::bias;
        case Fold::bias_gelu:
            return Epilogue::gelu_aux_bias;
        case Fold::gelu_backward:
            return Epilogue::dgelu;
        case Fold::gelu_backward_bias_gradient:
            return Epilogue::dgelu_bgrad;
        case Fold::bias_gradient:
            return Epilogue::bgrad_a;
    }
    return Epilogue::none;
}

/// The alignment that `slices` have in every task that runs `block`: spaces begin at multiples of
/// the largest alignment there is.
std::int32_t alignment_in(const StepProgram& program,
                          const Block& block,
                          std::initializer_list<const Slice*> slices) {
    std::int32_t alignment = alignment_at(0);
    for (const Task& task : program.tasks) {
        if (&program.blocks[task.block.index()] != &block) {
            continue;
        }
        for (const Slice* slice : slices) {
            const std::int64_t element = task.base_of(slice->space) + slice->offset;
            const std::int64_t byte = element * element_size(dtype_in(program, slice->space));
            alignment = std::min(alignment, alignment_at(byte));
        }
    }
    return alignment;
}

/// bias[n] += the stored vector[n]: the gradient of a bias over one row.
Elementwise addition_of(const KernelStep& step) {
    Elementwise add{.kind = ElementwiseKind::bias_gradient,
                    .rows = 1,
                    .columns = step.bias.elements,
                    .reads = {},
                    .writes = {}};
    if (step.fold == Fold::bias_gradient || step.fold == Fold::gelu_backward_bias_gradient) {
        add.reads = {{.space = Space::workspace, .offset = 0, .elements = step.bias.elements}};
        add.writes = {step.bias};
    }
    return add;
}

using Fp8Products = std::unordered_map<const MatMul*, const Fp8Product*>;

Fp8Products products_of(const StepProgram& program, const Fp8Plan* plan) {
    Fp8Products products;
    for (std::size_t b = 0; plan != nullptr && b < plan->blocks.size(); ++b) {
        for (const Fp8Product& product : plan->blocks[b].products) {
            const Op& op = program.blocks[b].ops[product.op].op;
            products.emplace(&std::get<MatMul>(std::get<ComputeOp>(op)), &product);
        }
    }
    return products;
}

GemmType type_of(const Fp8Operand& operand) {
    return format_of(operand.tensor.role) == Fp8Format::e4m3 ? GemmType::e4m3 : GemmType::e5m2;
}

/// C[m,n] (+)= a[m,k] b[n,k]^T. Products with gradients keep all bits of their sums, as Transformer
/// Engine's do.
GemmKey fp8_key(const MatMul& product, const Fp8Product& fp8, DType gradient) {
    GemmKey key = key_of(product, Precision::fp8, gradient);
    key.transpose_a = Transpose::no;
    key.transpose_b = Transpose::yes;
    key.type_a = type_of(fp8.a);
    key.type_b = type_of(fp8.b);
    const bool forward = key.type_a == GemmType::e4m3 && key.type_b == GemmType::e4m3;
    key.compute = forward ? ComputeMode::fast_fp8 : ComputeMode::fp32;
    return key;
}

class Planner {
  public:
    Planner(const StepProgram& program,
            const Fp8Plan* fp8,
            const CudaOptions& options,
            GemmLibrary& gemms)
        : program_(program),
          options_(options),
          gemms_(gemms),
          fp8_(products_of(program, fp8)),
          timer_(storage_type(program.precision),
                 program.gradient_type,
                 multiprocessors_of(options.ordinal)) {}

    /// Whether to fold: in the end, whether one launch with the epilogue beats the plain product
    /// and kernels of ours.
    bool folds(const FoldCandidate& candidate) {
        const MatMul& product = *candidate.product;
        const GemmKey plain = key_for(*candidate.block, product, {&product.c});
        GemmKey fused = key_for(*candidate.block, product, *candidate.step);
        fused.epilogue = epilogue_of(candidate.fold);
        if (options_.folding == Folding::never || broken_rule(fused)) {
            return false;
        }
        const auto time = [&](ElementwiseKind kind, std::int64_t rows, std::int64_t columns) {
            return timer_.microseconds(kind, rows, columns);
        };
        const std::int64_t m = product.m;
        const std::int64_t n = product.n;
        double together = gemms_.measure(fused);
        if (options_.folding == Folding::always) {
            return std::isfinite(together);
        }
        double apart = gemms_.measure(plain);
        switch (candidate.fold) {
            case Fold::none:
                break;
            case Fold::bias_gelu:
                apart += time(ElementwiseKind::gelu_forward, m, n);
                [[fallthrough]];
            case Fold::bias:
                apart += time(ElementwiseKind::bias_add, m, n);
                break;
            case Fold::gelu_backward_bias_gradient:
                apart += time(ElementwiseKind::bias_gradient, m, n);
                together += time(ElementwiseKind::bias_gradient, 1, n);
                [[fallthrough]];
            case Fold::gelu_backward:
                apart += time(ElementwiseKind::gelu_backward, m, n);
                break;
            case Fold::bias_gradient:
                apart += time(ElementwiseKind::bias_gradient, product.k, m);
                together += time(ElementwiseKind::bias_gradient, 1, m);
                break;
        }
        return together < apart;
    }

    ProductLaunch launch_of(const Block& block, const MatMul& product, const KernelStep& step) {
        GemmKey key = key_for(block, product, step);
        key.epilogue = epilogue_of(step.fold);
        return {.plan = &gemms_.prepare(key),
                .step = step,
                .fp8 = fp8_of(product),
                .add_bias_gradient = addition_of(step)};
    }

  private:
    /// For what `step` reads and writes. Gradients of biases are stored elsewhere first.
    [[nodiscard]] GemmKey key_for(const Block& block,
                                  const MatMul& product,
                                  const KernelStep& step) const {
        const bool reads_bias = step.fold == Fold::bias || step.fold == Fold::bias_gelu;
        return key_for(block,
                       product,
                       {&step.output,
                        reads_bias ? &step.bias : &step.output,
                        step.auxiliary.elements > 0 ? &step.auxiliary : &step.output});
    }

    [[nodiscard]] GemmKey key_for(const Block& block,
                                  const MatMul& product,
                                  std::initializer_list<const Slice*> beside_factors) const {
        const Fp8Product* fp8 = fp8_of(product);
        const DType gradient = program_.gradient_type;
        GemmKey key = fp8 != nullptr ? fp8_key(product, *fp8, gradient)
                                     : key_of(product, program_.precision, gradient);
        key.reserved_sms = options_.reserved_sms;
        key.alignment = alignment_in(program_, block, beside_factors);
        if (fp8 == nullptr) {  // else the factors are copies at multiples of fp8_alignment
            key.alignment =
                std::min(key.alignment, alignment_in(program_, block, {&product.a, &product.b}));
        }
        return key;
    }

    [[nodiscard]] const Fp8Product* fp8_of(const MatMul& product) const {
        const auto found = fp8_.find(&product);
        return found == fp8_.end() ? nullptr : found->second;
    }

    const StepProgram& program_;
    const CudaOptions& options_;
    GemmLibrary& gemms_;
    Fp8Products fp8_;
    KernelTimer timer_;
};

const ComputeOp& compute_op(const Block& block, std::uint32_t op) {
    return std::get<ComputeOp>(block.ops[op].op);
}

}  // namespace

LaunchPlan::LaunchPlan(const StepProgram& program,
                       const Fp8Plan* fp8,
                       const CudaOptions& options,
                       GemmLibrary& gemms) {
    Planner planner(program, fp8, options, gemms);
    const std::vector<BlockPlan> plans =
        plan_blocks(program, [&](const FoldCandidate& c) { return planner.folds(c); });
    for (std::size_t b = 0; b < plans.size(); ++b) {
        const Block& block = program.blocks[b];
        for (const KernelStep& step : plans[b].steps) {
            const ComputeOp& first = compute_op(block, step.ops.front());
            if (const auto* product = std::get_if<MatMul>(&first)) {
                products_.emplace(&first, planner.launch_of(block, *product, step));
                bias_gradient_elements_ = std::max(bias_gradient_elements_, step.bias.elements);
            }
            for (std::size_t i = 1; i < step.ops.size(); ++i) {
                folded_.insert(&compute_op(block, step.ops[i]));
            }
        }
    }
}

}  // namespace traindyno
