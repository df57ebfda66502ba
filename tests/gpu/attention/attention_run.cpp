// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/attention/attention_run.hpp"

#include <random>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace traindyno::cuda {

namespace {

/// Calls action with a value of the type that `storage` names.
template <class Action>
auto with_type(DType storage, const Action& action) {
    switch (storage) {
        case DType::bf16:
            return action(__nv_bfloat16{});
        case DType::fp16:
            return action(__half{});
        default:
            TD_EXPECT(storage == DType::fp32);
            return action(float{});
    }
}

/// Memory on the device that holds `numbers` in `storage`; none for none.
DeviceBytes upload(const std::vector<float>& numbers, DType storage) {
    DeviceBytes memory(size_of(static_cast<std::int64_t>(numbers.size()), storage));
    if (numbers.empty()) {
        return memory;
    }
    with_type(storage, [&](auto type) {
        std::vector<decltype(type)> narrow;
        narrow.reserve(numbers.size());
        for (const float number : numbers) {
            narrow.push_back(static_cast<decltype(type)>(number));
        }
        TD_CUDA(cudaMemcpy(
            memory.data(), narrow.data(), narrow.size() * sizeof(type), cudaMemcpyHostToDevice));
    });
    return memory;
}

std::vector<float> download(const DeviceBytes& memory, DType storage) {
    if (memory.size() == Bytes{0}) {
        return {};
    }
    return with_type(storage, [&](auto type) {
        std::vector<decltype(type)> narrow(static_cast<std::size_t>(memory.size().value()) /
                                           sizeof(type));
        TD_CUDA(cudaMemcpy(
            narrow.data(), memory.data(), narrow.size() * sizeof(type), cudaMemcpyDeviceToHost));
        std::vector<float> numbers;
        numbers.reserve(narrow.size());
        for (const auto& value : narrow) {
            numbers.push_back(static_cast<float>(value));
        }
        return numbers;
    });
}

DeviceBytes poisoned(Bytes size) {
    DeviceBytes memory(size);
    if (size > Bytes{0}) {
        TD_CUDA(cudaMemset(memory.data(), 0xff, static_cast<std::size_t>(size.value())));
    }
    return memory;
}

struct GraphTraits {
    using Handle = cudaGraph_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle graph) noexcept { (void)cudaGraphDestroy(graph); }
};

struct GraphExecTraits {
    using Handle = cudaGraphExec_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle graph) noexcept { (void)cudaGraphExecDestroy(graph); }
};

/// Records what `action` launches, then launches the record.
template <class Action>
void launch_recorded(cudaStream_t stream, const Action& action) {
    TD_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    action();
    cudaGraph_t recorded = nullptr;
    TD_CUDA(cudaStreamEndCapture(stream, &recorded));
    const UniqueHandle<GraphTraits> graph(recorded);
    cudaGraphExec_t ready = nullptr;
    TD_CUDA(cudaGraphInstantiate(&ready, graph.get(), 0));
    const UniqueHandle<GraphExecTraits> executable(ready);
    TD_CUDA(cudaGraphLaunch(executable.get(), stream));
    TD_CUDA(cudaStreamSynchronize(stream));
}

}  // namespace

std::vector<float> exact_numbers(std::int64_t count, DType storage, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> numbers(static_cast<std::size_t>(count));
    for (float& number : numbers) {
        number = with_type(storage, [&](auto type) {
            return static_cast<float>(static_cast<decltype(type)>(uniform(generator)));
        });
    }
    return numbers;
}

AttentionInputs inputs_of(const AttentionShape& shape, DType storage) {
    const std::int64_t tokens = shape.batch * shape.seq;
    const std::int64_t apart = shape.batch * shape.keys * shape.kv_width();
    return {.qkv = exact_numbers(tokens * shape.qkv_width(), storage, 1),
            .keys_values = exact_numbers(apart, storage, 3),
            .grad_context = exact_numbers(tokens * shape.context_width(), storage, 2)};
}

AttentionResults run_attention(Attention& attention,
                               const AttentionShape& shape,
                               DType storage,
                               const AttentionInputs& inputs,
                               Launch launch,
                               const WholeAttention* whole) {
    const DeviceBytes qkv = upload(inputs.qkv, storage);
    const DeviceBytes keys_values = upload(inputs.keys_values, storage);
    const DeviceBytes gradients = upload(inputs.grad_context, storage);
    const DeviceBytes context = poisoned(gradients.size());
    const DeviceBytes statistics =
        poisoned(size_of(shape.batch * shape.heads * shape.seq, DType::fp32));
    const DeviceBytes grad_qkv =
        poisoned(size_of(shape.batch * shape.seq * shape.grad_query_width(), storage));
    const DeviceBytes grad_keys_values = poisoned(keys_values.size());
    const DeviceBytes workspace = poisoned(attention.workspace_size());
    const AttentionArguments arguments{.qkv = qkv.data(),
                                       .keys_values = keys_values.data(),
                                       .context = context.data(),
                                       .statistics = reinterpret_cast<float*>(statistics.data()),
                                       .grad_context = gradients.data(),
                                       .grad_qkv = grad_qkv.data(),
                                       .grad_keys_values = grad_keys_values.data(),
                                       .workspace = workspace.data()};
    const DeviceBytes whole_context =
        upload(whole == nullptr ? std::vector<float>() : whole->context, storage);
    const DeviceBytes whole_statistics =
        upload(whole == nullptr ? std::vector<float>() : whole->statistics, DType::fp32);
    const CudaStream stream = make_stream();
    TD_CUDA(cudaDeviceSynchronize());  // memory was filled on the legacy stream
    const auto both = [&] {
        attention.forward(arguments, stream.get());
        AttentionArguments backward = arguments;
        if (whole != nullptr) {
            backward.context = whole_context.data();
            backward.statistics = reinterpret_cast<float*>(whole_statistics.data());
        }
        attention.backward(backward, stream.get());
    };
    if (launch == Launch::graph) {
        launch_recorded(stream.get(), both);
    } else {
        both();
        TD_CUDA(cudaStreamSynchronize(stream.get()));
    }
    return {.context = download(context, storage),
            .statistics = download(statistics, DType::fp32),
            .grad_qkv = download(grad_qkv, storage),
            .grad_keys_values = download(grad_keys_values, storage)};
}

}  // namespace traindyno::cuda
