// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/batched_attention.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/attention/workspace_part.hpp"

namespace traindyno::cuda {

namespace {

constexpr std::int64_t product_workspace = std::int64_t{32} << 20;  // NVIDIA's advice for Hopper
constexpr std::int64_t round_limit = std::int64_t{512} << 20;

/// Rows of scores begin at multiples of 16 bytes in every type.
std::int64_t padded(std::int64_t keys) {
    return (keys + 7) / 8 * 8;
}

cudaDataType_t cuda_type(DType storage) {
    TD_EXPECT(storage == DType::fp32 || storage == DType::bf16 || storage == DType::fp16);
    return storage == DType::fp32 ? CUDA_R_32F : storage == DType::bf16 ? CUDA_R_16BF : CUDA_R_16F;
}

/// Where the operands of the products lie.
struct Layouts {
    StridedMatrices queries;
    StridedMatrices grad_queries;
    StridedMatrices keys;     ///< and values
    StridedMatrices context;  ///< and its gradient
    StridedMatrices scores;
    StridedMatrices probabilities;
    StridedMatrices sums;  ///< gradients of keys and values, per query head
};

Layouts layouts_of(const AttentionShape& shape, DType storage) {
    const cudaDataType_t type = cuda_type(storage);
    const std::int64_t d = shape.head_size;
    const std::int64_t row = padded(shape.key_rows());
    return {.queries = {.type = type, .row = shape.qkv_width(), .next = d},
            .grad_queries = {.type = type, .row = shape.grad_query_width(), .next = d},
            .keys = {.type = type,
                     .row = shape.kv_width(),
                     .next = shape.heads == shape.kv_heads ? d : 0},
            .context = {.type = type, .row = shape.context_width(), .next = d},
            .scores = {.type = CUDA_R_32F, .row = row, .next = shape.seq * row},
            .probabilities = {.type = type, .row = row, .next = shape.seq * row},
            .sums = {.type = CUDA_R_32F, .row = d, .next = shape.key_rows() * d}};
}

/// Compiles products of one attention.
class Compiler {
  public:
    Compiler(cublasLtHandle_t handle, const AttentionShape& shape, Precision precision)
        : handle_(handle), shape_(shape), at_(layouts_of(shape, storage_type(precision))) {
        const DType storage = storage_type(precision);
        common_.count = heads_at_once(shape, storage);
        common_.compute =
            precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
        const std::int64_t head_bytes = shape.head_size * element_size(storage);
        common_.alignment = static_cast<std::uint32_t>(std::gcd(head_bytes, std::int64_t{16}));
    }

    [[nodiscard]] StridedProduct scores() const { return scaled(per_pair(at_.queries, at_.keys)); }

    [[nodiscard]] StridedProduct grad_probabilities() const {
        return plain(per_pair(at_.context, at_.keys));
    }

    [[nodiscard]] StridedProduct context() const {
        return plain(per_query(at_.probabilities, at_.keys, at_.context));
    }

    [[nodiscard]] StridedProduct grad_values() const {
        return plain(per_key(at_.probabilities, at_.context, at_.sums));
    }

    [[nodiscard]] StridedProduct grad_queries() const {
        return scaled(per_query(at_.probabilities, at_.keys, at_.grad_queries));
    }

    [[nodiscard]] StridedProduct grad_keys() const {
        return scaled(per_key(at_.probabilities, at_.queries, at_.sums));
    }

  private:
    /// a[seq, head_size] b[keys, head_size]^T
    [[nodiscard]] StridedProductShape per_pair(const StridedMatrices& a,
                                               const StridedMatrices& b) const {
        StridedProductShape product = common_;
        product.m = shape_.seq;
        product.n = shape_.key_rows();
        product.k = shape_.head_size;
        product.transpose_b = Transpose::yes;
        product.a = a;
        product.b = b;
        product.c = at_.scores;
        return product;
    }

    /// a[seq, keys] b[keys, head_size]
    [[nodiscard]] StridedProductShape per_query(const StridedMatrices& a,
                                                const StridedMatrices& b,
                                                const StridedMatrices& c) const {
        StridedProductShape product = common_;
        product.m = shape_.seq;
        product.n = shape_.head_size;
        product.k = shape_.key_rows();
        product.a = a;
        product.b = b;
        product.c = c;
        return product;
    }

    /// a[seq, keys]^T b[seq, head_size]
    [[nodiscard]] StridedProductShape per_key(const StridedMatrices& a,
                                              const StridedMatrices& b,
                                              const StridedMatrices& c) const {
        StridedProductShape product = per_query(a, b, c);
        product.m = shape_.key_rows();
        product.k = shape_.seq;
        product.transpose_a = Transpose::yes;
        return product;
    }

    [[nodiscard]] StridedProduct plain(const StridedProductShape& product) const {
        return {handle_, product, static_cast<std::size_t>(product_workspace)};
    }

    [[nodiscard]] StridedProduct scaled(StridedProductShape product) const {
        product.alpha = 1.0F / std::sqrt(static_cast<float>(shape_.head_size));
        return plain(product);
    }

    cublasLtHandle_t handle_;
    const AttentionShape& shape_;
    Layouts at_;
    StridedProductShape common_;
};

}  // namespace

std::int64_t heads_at_once(const AttentionShape& shape, DType storage) {
    const std::int64_t heads =
        shape.heads == shape.kv_heads ? shape.heads : shape.heads / shape.kv_heads;
    const std::int64_t pairs = shape.seq * padded(shape.key_rows());
    const std::int64_t bytes = 2 * pairs * (4 + element_size(storage));  // backward's
    std::int64_t count = std::clamp<std::int64_t>(round_limit / bytes, 1, heads);
    while (heads % count != 0) {
        --count;
    }
    return count;
}

struct BatchedAttention::Round {
    const std::byte* queries = nullptr;
    const std::byte* keys = nullptr;
    const std::byte* values = nullptr;
    std::byte* context = nullptr;
    float* statistics = nullptr;
    const std::byte* grad_context = nullptr;
    std::byte* grad_queries = nullptr;
    std::byte* grad_keys = nullptr;
    std::byte* grad_values = nullptr;
    Accumulate accumulate = Accumulate::no;  ///< onto the gradients of an earlier round's key head
    bool completes = true;                   ///< no later round has the same key head
};

BatchedAttention::BatchedAttention(cublasLtHandle_t handle,
                                   const AttentionShape& shape,
                                   Precision precision)
    : shape_(shape),
      storage_(storage_type(precision)),
      group_(shape.heads / shape.kv_heads),
      matrices_{.heads = heads_at_once(shape, storage_type(precision)),
                .seq = shape.seq,
                .keys = shape.key_rows(),
                .row = padded(shape.key_rows()),
                .mask = shape.mask},
      scores_(Compiler(handle, shape, precision).scores()),
      context_(Compiler(handle, shape, precision).context()),
      grad_probabilities_(Compiler(handle, shape, precision).grad_probabilities()),
      grad_values_(Compiler(handle, shape, precision).grad_values()),
      grad_queries_(Compiler(handle, shape, precision).grad_queries()),
      grad_keys_(Compiler(handle, shape, precision).grad_keys()) {}

BatchedAttention::Scratch BatchedAttention::place(void* workspace) const {
    Scratch scratch;
    const auto take = [&](std::int64_t bytes) {
        const std::int64_t offset = scratch.size;
        scratch.size += aligned_part(bytes);
        return workspace == nullptr ? nullptr : static_cast<std::byte*>(workspace) + offset;
    };
    const std::int64_t pairs = matrices_.heads * matrices_.seq * matrices_.row;
    const std::int64_t sums = matrices_.heads * matrices_.keys * shape_.head_size;
    scratch.products = take(product_workspace);
    scratch.scores = reinterpret_cast<float*>(take(4 * pairs));
    scratch.grad_probabilities = reinterpret_cast<float*>(take(4 * pairs));
    scratch.probabilities = take(element_size(storage_) * pairs);
    scratch.grad_scores = take(element_size(storage_) * pairs);
    scratch.grad_keys = reinterpret_cast<float*>(take(4 * sums));
    scratch.grad_values = reinterpret_cast<float*>(take(4 * sums));
    return scratch;
}

Bytes BatchedAttention::workspace_size() const {
    return Bytes{place(nullptr).size};
}

BatchedAttention::Round BatchedAttention::round_at(const AttentionArguments& arguments,
                                                   std::int64_t sequence,
                                                   std::int64_t head) const {
    const std::int64_t size = element_size(storage_);
    const std::int64_t head_bytes = shape_.head_size * size;
    const bool apart = shape_.keys_apart();
    const auto of_query = [&](std::int64_t width) {
        return sequence * shape_.seq * width * size + head * head_bytes;
    };
    const std::int64_t query = of_query(shape_.qkv_width());
    const std::int64_t key = sequence * shape_.key_rows() * shape_.kv_width() * size +
                             ((apart ? 0 : shape_.heads) + head / group_) * head_bytes;
    const std::int64_t value = key + shape_.kv_heads * head_bytes;
    const std::int64_t out = of_query(shape_.context_width());
    const auto* qkv = static_cast<const std::byte*>(arguments.qkv);
    const auto* keys = apart ? static_cast<const std::byte*>(arguments.keys_values) : qkv;
    Round at{.queries = qkv + query,
             .keys = keys + key,
             .values = keys + value,
             .context = static_cast<std::byte*>(arguments.context) + out,
             .statistics = arguments.statistics + (sequence * shape_.heads + head) * shape_.seq};
    if (arguments.grad_qkv != nullptr) {
        auto* grad = static_cast<std::byte*>(arguments.grad_qkv);
        at.grad_context = static_cast<const std::byte*>(arguments.grad_context) + out;
        auto* grad_keys = apart ? static_cast<std::byte*>(arguments.grad_keys_values) : grad;
        at.grad_queries = grad + of_query(shape_.grad_query_width());
        at.grad_keys = grad_keys + key;
        at.grad_values = grad_keys + value;
        if (group_ > 1) {
            at.accumulate = head % group_ == 0 ? Accumulate::no : Accumulate::yes;
            at.completes = (head + matrices_.heads) % group_ == 0;
        }
    }
    return at;
}

void BatchedAttention::forward(const AttentionArguments& arguments, cudaStream_t stream) {
    const Scratch scratch = place(arguments.workspace);
    for (std::int64_t sequence = 0; sequence < shape_.batch; ++sequence) {
        for (std::int64_t head = 0; head < shape_.heads; head += matrices_.heads) {
            const Round at = round_at(arguments, sequence, head);
            scores_.run(
                at.queries, at.keys, scratch.scores, Accumulate::no, scratch.products, stream);
            launch_softmax(
                matrices_, storage_, scratch.scores, scratch.probabilities, at.statistics, stream);
            context_.run(scratch.probabilities,
                         at.values,
                         at.context,
                         Accumulate::no,
                         scratch.products,
                         stream);
        }
    }
}

void BatchedAttention::backward(const AttentionArguments& arguments, cudaStream_t stream) {
    const Scratch scratch = place(arguments.workspace);
    for (std::int64_t sequence = 0; sequence < shape_.batch; ++sequence) {
        for (std::int64_t head = 0; head < shape_.heads; head += matrices_.heads) {
            const Round at = round_at(arguments, sequence, head);
            backward_round(at, scratch, stream);
            if (at.completes) {
                store_key_gradients(at, scratch, stream);
            }
        }
    }
}

void BatchedAttention::backward_round(const Round& at,
                                      const Scratch& scratch,
                                      cudaStream_t stream) const {
    const auto run = [&](const StridedProduct& product,
                         const void* a,
                         const void* b,
                         void* c,
                         Accumulate accumulate) {
        product.run(a, b, c, accumulate, scratch.products, stream);
    };
    run(scores_, at.queries, at.keys, scratch.scores, Accumulate::no);
    run(grad_probabilities_,
        at.grad_context,
        at.values,
        scratch.grad_probabilities,
        Accumulate::no);
    launch_softmax_gradient(matrices_,
                            storage_,
                            scratch.scores,
                            at.statistics,
                            scratch.grad_probabilities,
                            {.context = at.context,
                             .gradient = at.grad_context,
                             .head_size = shape_.head_size,
                             .width = shape_.context_width()},
                            scratch.probabilities,
                            scratch.grad_scores,
                            stream);
    run(grad_values_, scratch.probabilities, at.grad_context, scratch.grad_values, at.accumulate);
    run(grad_queries_, scratch.grad_scores, at.keys, at.grad_queries, Accumulate::no);
    run(grad_keys_, scratch.grad_scores, at.queries, scratch.grad_keys, at.accumulate);
}

void BatchedAttention::store_key_gradients(const Round& at,
                                           const Scratch& scratch,
                                           cudaStream_t stream) const {
    const SharedHeads sums{.heads = group_ > 1 ? 1 : matrices_.heads,
                           .shared = group_ > 1 ? matrices_.heads : 1,
                           .keys = matrices_.keys,
                           .head_size = shape_.head_size,
                           .width = shape_.kv_width()};
    launch_sum_shared(sums, storage_, scratch.grad_keys, at.grad_keys, stream);
    launch_sum_shared(sums, storage_, scratch.grad_values, at.grad_values, stream);
}

}  // namespace traindyno::cuda
