// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/step/trainer.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/communicator.hpp"
#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/engine/cuda/stream_runner.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/parameter_map.hpp"
#include "tests/support/process.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno::test {

namespace {

constexpr unsigned seed = 3;

TrainingSetup setup_of(const Training& training) {
    constexpr std::int64_t sequences = 2;
    return {.micro_batch = sequences,
            .global_batch = sequences * training.micro_batches * training.layout.dp,
            .precision = training.precision,
            .recompute = training.recompute,
            .memory = training.memory,
            .context_exchange = training.context_exchange,
            .context_balance = training.context_balance,
            .gradient_type = training.gradient_type};
}

Slice whole(const StepProgram& program, Space space) {
    return {.space = space, .offset = 0, .elements = extent_of(program.extents, space)};
}

template <class Half>
std::vector<float> widened(std::span<const std::byte> bytes) {
    const auto* first = reinterpret_cast<const Half*>(bytes.data());
    std::vector<float> values(bytes.size() / sizeof(Half));
    std::transform(
        first, first + values.size(), values.begin(), [](Half value) { return to_float(value); });
    return values;
}

std::unique_ptr<CudaDevice> gpu(const Training& training, Folding folding) {
    static const TemporaryFolder folder;
    return std::make_unique<CudaDevice>(
        CudaOptions{.precision = training.precision,
                    .seed = seed,
                    .folding = folding,
                    .plan_cache = (folder.path() / "plans.json").string()});
}

std::unique_ptr<StepRunner> engine(const Trainer& trainer) {
    return std::make_unique<Engine>(
        trainer.order(), trainer.device(), trainer.communicators(), RunnerOptions{});
}

}  // namespace

Model gpt(std::int64_t layers) {
    Model model = small_gpt(layers);
    model.seq = 160;
    return model;
}

Model llama(std::int64_t layers) {
    Model model = small_llama(layers);
    model.seq = 160;
    return model;
}

StepProgram program_of(const Training& training) {
    return build_step(training.model, training.layout, setup_of(training), training.rank);
}

std::vector<Tensor> tensors_of(const Training& training) {
    const ParameterMap map =
        parameter_map(training.model,
                      training.layout,
                      local_shape(training.model, training.layout, setup_of(training), Stage{0}),
                      Stage{0},
                      training.memory);
    std::vector<Tensor> tensors{{"final norm", map.final_norm},
                                {"output table", map.output_table},
                                {"table", map.table},
                                {"positions", map.positions}};
    for (std::int64_t layer = 0; layer < map.layers; ++layer) {
        const LayerParameters& own = map.layer;
        for (const auto& [name, slice] : {std::pair{"norm 1", own.norm1},
                                          std::pair{"qkv weight", own.qkv_weight},
                                          std::pair{"qkv bias", own.qkv_bias},
                                          std::pair{"projection weight", own.projection_weight},
                                          std::pair{"projection bias", own.projection_bias},
                                          std::pair{"norm 2", own.norm2},
                                          std::pair{"up weight", own.up_weight},
                                          std::pair{"up bias", own.up_bias},
                                          std::pair{"down weight", own.down_weight},
                                          std::pair{"down bias", own.down_bias}}) {
            Slice moved = slice;
            moved.offset += map.layer_base(layer);
            tensors.push_back({fmt::format("{} of layer {}", name, layer), moved});
        }
    }
    std::erase_if(tensors, [](const Tensor& tensor) { return tensor.weights.elements == 0; });
    return tensors;
}

Trainer::Trainer(const Training& training, std::unique_ptr<Device> device)
    : program_(program_of(training)),
      order_(program_),
      device_(std::move(device)),
      communicators_(program_.groups.size()) {
    device_->prepare(program_);
}

std::vector<float> Trainer::contents(Space space) const {
    const DType type = dtype_in(program_, space);
    const Slice slice = whole(program_, space);
    std::vector<std::byte> bytes(static_cast<std::size_t>(slice.elements * element_size(type)));
    device_->copy(CopyDirection::to_host, slice, Task{}, 1, bytes);
    switch (type) {
        case DType::bf16:
            return widened<Bf16>(bytes);
        case DType::fp16:
            return widened<Fp16>(bytes);
        default: {
            TD_EXPECT(type == DType::fp32);
            const auto* first = reinterpret_cast<const float*>(bytes.data());
            return {first, first + slice.elements};
        }
    }
}

void Trainer::restore(Space space, std::vector<float> values) {
    TD_EXPECT(dtype_in(program_, space) == DType::fp32);
    device_->copy(CopyDirection::to_device,
                  whole(program_, space),
                  Task{},
                  1,
                  std::as_writable_bytes(std::span(values)));
}

std::unique_ptr<Trainer> cpu_trainer(Training training) {
    training.precision = Precision::fp32;
    training.gradient_type = DType::fp32;
    auto trainer = std::make_unique<Trainer>(
        training,
        make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = seed}));
    trainer->drive_by(engine(*trainer));
    return trainer;
}

std::unique_ptr<Trainer> gpu_trainer(const Training& training, StepLaunch launch, Folding folding) {
    static const std::unique_ptr<Communicator> alone = Communicator::serial();
    auto device = gpu(training, folding);
    CudaDevice& streams = *device;
    auto trainer = std::make_unique<Trainer>(training, std::move(device));
    trainer->drive_by(std::make_unique<StreamRunner>(
        trainer->order(), streams, *alone, StreamRunnerOptions{.launch = launch}));
    return trainer;
}

std::unique_ptr<Trainer> gpu_trainer_of_engine(const Training& training) {
    auto trainer = std::make_unique<Trainer>(training, gpu(training, Folding::timed));
    trainer->drive_by(engine(*trainer));
    return trainer;
}

}  // namespace traindyno::test
