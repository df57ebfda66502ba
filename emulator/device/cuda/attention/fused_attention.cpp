// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/fused_attention.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "emulator/device/cuda/attention/cudnn_plan.hpp"
#include "emulator/device/cuda/attention/sdpa_graph.hpp"
#include "emulator/device/cuda/attention/workspace_part.hpp"

namespace traindyno::cuda {

namespace {

BoundTensor bind(SdpaTensor tensor, const void* address, std::int64_t offset = 0) {
    auto* bytes = static_cast<std::byte*>(const_cast<void*>(address));  // cuDNN's API has no const
    return {.id = static_cast<std::int64_t>(tensor), .address = bytes + offset};
}

class FusedAttention : public Attention {
  public:
    FusedAttention(CudnnHandle& handle,
                   const AttentionShape& shape,
                   DType storage,
                   CudnnPlan forward,
                   CudnnPlan backward)
        : handle_(handle),
          forward_(std::move(forward)),
          backward_(std::move(backward)),
          keys_apart_(shape.keys_apart()),
          key_offset_(shape.keys_apart() ? 0
                                         : shape.heads * shape.head_size * element_size(storage)),
          value_offset_(key_offset_ + shape.kv_heads * shape.head_size * element_size(storage)),
          projection_size_(aligned_part(4 * shape.batch * shape.heads * shape.seq)),
          grad_queries_size_(
              aligned_part(4 * shape.batch * shape.heads * shape.seq * shape.head_size)) {}

    void forward(const AttentionArguments& at, cudaStream_t stream) override {
        const void* keys_values = keys_apart_ ? at.keys_values : at.qkv;
        const std::array tensors{bind(SdpaTensor::queries, at.qkv),
                                 bind(SdpaTensor::keys, keys_values, key_offset_),
                                 bind(SdpaTensor::values, keys_values, value_offset_),
                                 bind(SdpaTensor::context, at.context),
                                 bind(SdpaTensor::statistics, at.statistics)};
        forward_.execute(handle_.on(stream), tensors, at.workspace);
    }

    void backward(const AttentionArguments& at, cudaStream_t stream) override {
        auto* scratch = static_cast<std::byte*>(at.workspace);
        const void* keys_values = keys_apart_ ? at.keys_values : at.qkv;
        void* grad_keys_values = keys_apart_ ? at.grad_keys_values : at.grad_qkv;
        const std::array tensors{
            bind(SdpaTensor::queries, at.qkv),
            bind(SdpaTensor::keys, keys_values, key_offset_),
            bind(SdpaTensor::values, keys_values, value_offset_),
            bind(SdpaTensor::context, at.context),
            bind(SdpaTensor::statistics, at.statistics),
            bind(SdpaTensor::grad_context, at.grad_context),
            bind(SdpaTensor::grad_queries, at.grad_qkv),
            bind(SdpaTensor::grad_keys, grad_keys_values, key_offset_),
            bind(SdpaTensor::grad_values, grad_keys_values, value_offset_),
            bind(SdpaTensor::projection, scratch),
            bind(SdpaTensor::grad_queries_sum, scratch, projection_size_),
        };
        backward_.execute(
            handle_.on(stream), tensors, scratch + projection_size_ + grad_queries_size_);
    }

    [[nodiscard]] Bytes workspace_size() const override {
        const Bytes backward =
            Bytes{projection_size_ + grad_queries_size_} + backward_.workspace_size();
        return std::max(forward_.workspace_size(), backward);
    }

  private:
    CudnnHandle& handle_;
    CudnnPlan forward_;
    CudnnPlan backward_;
    bool keys_apart_;
    std::int64_t key_offset_;         ///< bytes from a row's begin to its keys
    std::int64_t value_offset_;       ///< bytes from a row's begin to its values
    std::int64_t projection_size_;    ///< bytes of scratch
    std::int64_t grad_queries_size_;  ///< bytes of scratch
};

/// What cuDNN's graphs do not cover, or accept and must not be given.
std::string problem_of(const AttentionShape& shape, DType storage) {
    if (storage != DType::bf16 && storage != DType::fp16) {
        return "cuDNN's attention is for bf16 and fp16";
    }
    if (shape.seq == 1 || shape.key_rows() == 1) {
        // cudnn-frontend refuses it in scaled_dot_product_flash_attention.h; the backend does not.
        return "cuDNN has no attention for sequences of one token";
    }
    return "";
}

std::string text_of(const PlanSearch& search) {
    return search.refused.empty() ? "no engine proposed" : search.refused.back().text;
}

}  // namespace

void CudnnHandle::Traits::destroy(const Handle& handle) noexcept {
    (void)handle.library->destroy(handle.handle);
}

CudnnHandle::CudnnHandle(const CudnnLibrary& cudnn) {
    cudnnHandle_t handle = nullptr;
    cudnn.check(cudnn.create(&handle), "cudnnCreate");
    owner_ = UniqueHandle<Traits>({.library = &cudnn, .handle = handle});
}

cudnnHandle_t CudnnHandle::on(cudaStream_t stream) {
    if (stream != stream_) {
        const CudnnLibrary& cudnn = *owner_.get().library;
        cudnn.check(cudnn.set_stream(get(), stream), "cudnnSetStream");
        stream_ = stream;
    }
    return get();
}

Fused make_fused(const CudnnLibrary& cudnn,
                 CudnnHandle& handle,
                 const AttentionShape& shape,
                 DType storage) {
    const std::string problem = problem_of(shape, storage);
    if (!problem.empty()) {
        return {.attention = nullptr, .problem = problem};
    }
    const PlanTarget target{.handle = handle.get(), .device = nullptr};
    PlanSearch forward = find_plan(cudnn, forward_graph(shape, storage), target);
    if (!forward.plan) {
        return {.attention = nullptr, .problem = "cuDNN refuses forward: " + text_of(forward)};
    }
    PlanSearch backward = find_plan(cudnn, backward_graph(shape, storage), target);
    if (!backward.plan) {
        return {.attention = nullptr, .problem = "cuDNN refuses backward: " + text_of(backward)};
    }
    return {.attention = std::make_unique<FusedAttention>(
                handle, shape, storage, std::move(*forward.plan), std::move(*backward.plan)),
            .problem = ""};
}

}  // namespace traindyno::cuda
