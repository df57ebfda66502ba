// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/executor.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/base/overloaded.hpp"
#include "emulator/device/cuda/capability.hpp"
#include "emulator/device/elementwise_check.hpp"
#include "emulator/device/kernel_plan/attention_alignment.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno {

namespace {

template <class Visit>
void for_each_compute_op(const StepProgram& program, Visit&& visit) {
    for (const Block& block : program.blocks) {
        for (const BlockOp& op : block.ops) {
            if (const auto* compute = std::get_if<ComputeOp>(&op.op)) {
                visit(*compute);
            }
        }
    }
}

std::optional<Fp8Plan> fp8_plan_of(const StepProgram& program) {
    if (program.precision != Precision::fp8) {
        return std::nullopt;
    }
    Fp8Plan plan = fp8_plan(program);
    if (plan.tensors() == 0) {
        throw ConfigError(
            {"--precision fp8: no linear layer of the model can run in it (its sizes and the "
             "tokens of a micro-batch have to be multiples of 16) use --precision bf16"});
    }
    return plan;
}

}  // namespace

CudaExecutor::CudaExecutor(const StepProgram& program,
                           const CudaOptions& options,
                           cudaStream_t stream)
    : options_(options),
      storage_(storage_type(program.precision)),
      gradient_(program.gradient_type),
      stream_(stream),
      multiprocessors_(multiprocessors_of(options.ordinal)),
      gemms_(options.plan_cache),
      fp8_plan_(fp8_plan_of(program)),
      plan_(program, fp8_plan_ ? &*fp8_plan_ : nullptr, options, gemms_) {
    notes_ = gemms_.notes();
    try {
        gemms_.save_plans();
    } catch (const ConfigError& error) {  // it only costs tuning anew
        notes_.emplace_back(error.what());
    }
    make_attentions(program);
    size_scratch(program);
    find_first_update(program);
    require_memory(program);
    allocate(program);
    warm_up(program);
    fill(program);
    if (fp8_) {
        fp8_->reset_scales(stream_);
    }
}

void CudaExecutor::make_attentions(const StepProgram& program) {
    const std::set<AttentionShape> unaligned = unaligned_attentions(program);
    std::set<std::string> notes;
    for_each_compute_op(program, [&](const ComputeOp& op) {
        const std::optional<AttentionShape> shape = attention_shape(op);
        if (!shape || attentions_.contains(*shape)) {
            return;
        }
        cuda::AttentionFactory::Made made;
        if (unaligned.contains(*shape)) {
            made.attention = attention_factory_.make_batched(*shape, options_.precision);
            made.reason = "an operand does not begin at a multiple of 16 bytes, as cuDNN needs";
        } else {
            made = attention_factory_.make(*shape, options_.precision);
        }
        notes.insert(made.reason.empty()
                         ? fmt::format("attention: cuDNN {}", attention_factory_.cudnn_version())
                         : fmt::format("attention: matrix products and softmax ({})", made.reason));
        attention_workspace_size_ =
            std::max(attention_workspace_size_, made.attention->workspace_size());
        attentions_.emplace(*shape, std::move(made.attention));
    });
    notes_.insert(notes_.end(), notes.begin(), notes.end());
}

void CudaExecutor::size_scratch(const StepProgram& program) {
    const auto cover = [&](const Elementwise& op) {
        for (const std::string& problem : problems_of(op)) {
            throw ContractError(fmt::format("{}: {}", to_string(op.kind), problem), Where::here());
        }
        scratch_elements_ =
            std::max(scratch_elements_, cuda::scratch_elements(op, multiprocessors_));
        reads_.reserve(std::max(reads_.capacity(), op.reads.size()));
        writes_.reserve(std::max(writes_.capacity(), op.writes.size()));
    };
    for_each_compute_op(program, [&](const ComputeOp& op) {
        if (const auto* elementwise = std::get_if<Elementwise>(&op)) {
            cover(*elementwise);
        }
    });
    for (const auto& [op, launch] : plan_.products()) {
        if (!launch.add_bias_gradient.writes.empty()) {
            cover(launch.add_bias_gradient);
        }
    }
}

/// All OptimizerSteps come when the last gradient is complete, hence after the last cast.
void CudaExecutor::find_first_update(const StepProgram& program) {
    for_each_compute_op(program, [&](const ComputeOp& op) {
        if (first_update_ == nullptr && std::holds_alternative<OptimizerStep>(op)) {
            first_update_ = &op;
        }
    });
}

void CudaExecutor::require_memory(const StepProgram& program) const {
    std::vector<MemoryItem> items = memory_items(program);
    items.push_back(
        {.name = "kernel_scratch",
         .bytes = size_of(scratch_elements_ + plan_.bias_gradient_elements(), DType::fp32)});
    items.push_back({.name = "attention_workspace", .bytes = attention_workspace_size_});
    if (fp8_plan_) {
        const std::vector<MemoryItem> fp8 = memory_items(*fp8_plan_);
        items.insert(items.end(), fp8.begin(), fp8.end());
    }
    const auto groups = static_cast<std::int64_t>(program.groups.size());
    if (const Bytes communication{groups * options_.memory_per_group.value()};
        communication > Bytes{0}) {
        items.push_back({.name = "communication", .bytes = communication});
    }
    require_fit(items, free_device_memory(), "the GPU has free");
}

void CudaExecutor::allocate(const StepProgram& program) {
    memory_ = std::make_unique<DeviceMemory>(program);
    if (fp8_plan_) {
        fp8_ = std::make_unique<Fp8State>(program, *fp8_plan_, stream_);
    }
    scratch_ = DeviceBytes(size_of(scratch_elements_, DType::fp32));
    attention_workspace_ = DeviceBytes(attention_workspace_size_);
    bias_gradient_ = DeviceBytes(size_of(plan_.bias_gradient_elements(), DType::fp32));
}

/// Runs every kernel once before any collective is under way: CUDA loads a kernel at its first
/// launch and may wait for the whole device meanwhile, a collective of this rank included.
/// Kernels also differ by the alignment of their operands, hence by that of a task's bases.
void CudaExecutor::warm_up(const StepProgram& program) {
    const auto misalignment = [&](std::int64_t base) {
        return base * element_size(storage_) % std::int64_t{cuda::vector_bytes};
    };
    std::set<std::tuple<std::size_t, std::int64_t, std::int64_t>> warm;
    for (const Task& task : program.tasks) {
        if (!warm.emplace(task.block.index(),
                          misalignment(task.parameter_base),
                          misalignment(task.saved_base))
                 .second) {
            continue;
        }
        for (const BlockOp& op : program.blocks[task.block.index()].ops) {
            if (const auto* compute = std::get_if<ComputeOp>(&op.op)) {
                run(*compute, task);
            }
        }
    }
    TD_CUDA(cudaStreamSynchronize(stream_));
}

void CudaExecutor::fill(const StepProgram& program) {
    const auto fill =
        [&](const Operand& data, float deviation, unsigned seed, std::int64_t first = 0) {
            if (options_.data == InputData::zeros) {
                cuda::fill_zero(data, stream_);
            } else {
                cuda::fill_random(data, deviation, seed, stream_, first);
            }
        };
    const unsigned seed = options_.seed;
    fill(memory_->all(Space::parameter), weight_deviation, seed);
    fill(memory_->all(Space::master), weight_deviation, seed);  // equal, but for rounding
    for_each_sharded_update(program, [&](const OptimizerStep& op, const Task& task) {
        fill(memory_->operand(slice_of(op, Space::master), task),
             weight_deviation,
             seed,
             task.base_of(Space::parameter) + slice_of(op, Space::parameter).offset);
    });
    fill(memory_->all(Space::saved), activation_deviation, seed + 1);
    fill(memory_->all(Space::workspace), activation_deviation, seed + 2);
    for (const Space zero : {Space::gradient, Space::scalar, Space::adam_m, Space::adam_v}) {
        cuda::fill_zero(memory_->all(zero), stream_);
    }
}

void CudaExecutor::run(const ComputeOp& op, const Task& task) {
    if (fp8_ && &op == first_update_) {
        fp8_->update_scales(stream_);
    }
    if (!plan_.is_folded(op)) {
        std::visit(Overloaded{[&](const MatMul& product) { run_op(op, product, task); },
                              [&](const auto& other) { run_op(other, task); }},
                   op);
    }
}

void CudaExecutor::run_op(const ComputeOp& op, const MatMul& product, const Task& task) {
    const ProductLaunch& launch = plan_.product(op);
    const KernelStep& step = launch.step;
    const auto at = [&](const Slice& slice) { return address(slice, task); };
    const bool stores_gradient = !launch.add_bias_gradient.writes.empty();
    GemmOperands operands{.a = at(product.a),
                          .b = at(product.b),
                          .c = at(step.output),
                          .vector = stores_gradient ? bias_gradient_.data() : at(step.bias),
                          .aux = at(step.auxiliary)};
    if (launch.fp8 != nullptr) {
        fp8_->cast_operands(op, task, *memory_, stream_);
        const Fp8State::Operands fp8 = fp8_->operands(*launch.fp8, task);
        operands.a = fp8.a.data;
        operands.b = fp8.b.data;
        operands.scale_a = fp8.a.inverse_scale;
        operands.scale_b = fp8.b.inverse_scale;
    }
    gemms_.run(*launch.plan, operands, stream_);
    if (stores_gradient) {
        add_bias_gradient(launch, task);
    }
}

/// Null for an operand that there is not.
std::byte* CudaExecutor::address(const Slice& slice, const Task& task) const {
    return slice.elements == 0 ? nullptr : memory_->at(slice, task).data();
}

void CudaExecutor::add_bias_gradient(const ProductLaunch& launch, const Task& task) {
    // The vector has the type of the product's result (cublasLt.h, BIAS_DATA_TYPE).
    const DType type = dtype_of(launch.step.output.space, storage_, gradient_);
    const Operand stored{
        .data = bias_gradient_.data(), .elements = launch.step.bias.elements, .dtype = type};
    const Operand gradient = memory_->operand(launch.step.bias, task);
    cuda::run_elementwise(launch.add_bias_gradient, {&stored, 1}, {&gradient, 1}, context(task));
}

void CudaExecutor::run_op(const AttentionForward& op, const Task& task) {
    attentions_.at(shape_of(op))
        ->forward({.qkv = memory_->at(op.qkv, task).data(),
                   .keys_values = address(op.keys_values, task),
                   .context = memory_->at(op.context, task).data(),
                   .statistics = memory_->operand(op.statistics, task).as<float>(),
                   .workspace = attention_workspace_.data()},
                  stream_);
}

void CudaExecutor::run_op(const AttentionBackward& op, const Task& task) {
    attentions_.at(shape_of(op))
        ->backward({.qkv = memory_->at(op.qkv, task).data(),
                    .keys_values = address(op.keys_values, task),
                    .context = memory_->at(op.context, task).data(),
                    .statistics = memory_->operand(op.statistics, task).as<float>(),
                    .grad_context = memory_->at(op.grad_context, task).data(),
                    .grad_qkv = memory_->at(op.grad_qkv, task).data(),
                    .grad_keys_values = address(op.grad_keys_values, task),
                    .workspace = attention_workspace_.data()},
                   stream_);
}

void CudaExecutor::run_op(const Elementwise& op, const Task& task) {
    reads_.clear();
    writes_.clear();
    for (const Slice& slice : op.reads) {
        reads_.push_back(memory_->operand(slice, task));
    }
    for (const Slice& slice : op.writes) {
        writes_.push_back(memory_->operand(slice, task));
    }
    cuda::run_elementwise(op, reads_, writes_, context(task));
}

void CudaExecutor::run_op(const OptimizerStep& op, const Task& task) {
    const auto at = [&](Space space) { return memory_->operand(slice_of(op, space), task); };
    cuda::adam({.weight = at(Space::parameter),
                .gradient = at(Space::gradient),
                .master = at(Space::master).as<float>(),
                .m = at(Space::adam_m).as<float>(),
                .v = at(Space::adam_v).as<float>()},
               context(task));
}

cuda::KernelContext CudaExecutor::context(const Task& task) const {
    // Tokens and targets differ between micro-batches, as on the CPU.
    const auto micro_batch = static_cast<std::uint32_t>(task.micro_batch.value());
    return {.stream = stream_,
            .scratch = reinterpret_cast<float*>(scratch_.data()),
            .seed = options_.seed + 3 + micro_batch,
            .multiprocessors = multiprocessors_};
}

}  // namespace traindyno
