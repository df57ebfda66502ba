// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/sdpa_graph.hpp"

#include <cmath>
#include <limits>

#include "emulator/base/error.hpp"

namespace traindyno::cuda {

namespace {

constexpr std::int64_t first_free_id = 100;  // above every SdpaTensor

class SdpaWriter {
  public:
    SdpaWriter(const AttentionShape& shape, DType storage)
        : shape_(shape), storage_(storage == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF) {
        TD_EXPECT(storage == DType::bf16 || storage == DType::fp16);
        scale_ = value(1.0F / std::sqrt(static_cast<float>(shape.head_size)));
        if (shape.mask == AttentionMask::causal) {
            fill_ = value(-std::numeric_limits<float>::infinity());
        }
    }

    void forward() {
        const TensorIndex scores = masked(scaled_scores());
        const TensorIndex maximum = reduce(CUDNN_REDUCE_TENSOR_MAX, scores, column());
        const TensorIndex shifted = binary(CUDNN_POINTWISE_SUB, scores, maximum, pairs());
        const TensorIndex exponential = unary(CUDNN_POINTWISE_EXP, shifted, pairs());
        const TensorIndex sum = reduce(CUDNN_REDUCE_TENSOR_ADD, exponential, column());
        const TensorIndex logarithm = unary(CUDNN_POINTWISE_LOG, sum, column());
        write(CUDNN_POINTWISE_ADD, maximum, logarithm, statistics());
        const TensorIndex probabilities = add(inside(pairs(), storage_));
        write(CUDNN_POINTWISE_DIV, exponential, sum, probabilities);
        const TensorIndex values = per_key(SdpaTensor::values);
        multiply(probabilities, values, per_query(SdpaTensor::context, shape_.context_width()));
    }

    void backward() {
        const TensorIndex grad_context =
            per_query(SdpaTensor::grad_context, shape_.context_width());
        const TensorIndex projection = project(grad_context);
        const TensorIndex scaled = scaled_scores();
        const TensorIndex shifted = binary(CUDNN_POINTWISE_SUB, scaled, statistics(), pairs());
        const TensorIndex probabilities = unary(CUDNN_POINTWISE_EXP, masked(shifted), pairs());
        grad_key_side(probabilities, grad_context, SdpaTensor::grad_values);

        const TensorIndex values = transposed_per_key(SdpaTensor::values);
        const TensorIndex grad = add(inside(pairs()));
        multiply(grad_context, values, grad);
        const TensorIndex centred = binary(CUDNN_POINTWISE_SUB, grad, projection, pairs());
        const TensorIndex weighted = binary(CUDNN_POINTWISE_MUL, centred, probabilities, pairs());
        const TensorIndex grad_scores = binary(CUDNN_POINTWISE_MUL, weighted, scale_, pairs());
        grad_key_side(grad_scores, queries_, SdpaTensor::grad_keys);
        grad_query_side(grad_scores);
    }

    [[nodiscard]] CudnnGraph take() { return std::move(graph_); }

  private:
    TensorIndex add(const GraphTensor& tensor) {
        graph_.tensors.push_back(tensor);
        return graph_.tensors.size() - 1;
    }

    TensorIndex value(float number) {
        return add({.id = next_id_++, .place = TensorPlace::host, .value = number});
    }

    GraphTensor inside(const Dims& dims, cudnnDataType_t type = CUDNN_DATA_FLOAT) {
        return {.id = next_id_++, .type = type, .dims = dims, .strides = packed_strides(dims)};
    }

    static GraphTensor on_device(SdpaTensor id,
                                 cudnnDataType_t type,
                                 const Dims& dims,
                                 const Dims& strides) {
        return {.id = static_cast<std::int64_t>(id),
                .type = type,
                .dims = dims,
                .strides = strides,
                .place = TensorPlace::device};
    }

    [[nodiscard]] Dims pairs() const {
        return {shape_.batch, shape_.heads, shape_.seq, shape_.key_rows()};
    }

    /// One number per score row.
    [[nodiscard]] Dims column() const { return {shape_.batch, shape_.heads, shape_.seq, 1}; }

    /// Of queries, and what is shaped as they are.
    [[nodiscard]] Dims query_dims() const {
        return {shape_.batch, shape_.heads, shape_.seq, shape_.head_size};
    }

    /// Of keys and of values.
    [[nodiscard]] Dims key_dims() const {
        return {shape_.batch, shape_.kv_heads, shape_.key_rows(), shape_.head_size};
    }

    /// Heads beside each other in rows of `width`, one row per token.
    [[nodiscard]] Dims head_strides(std::int64_t tokens, std::int64_t width) const {
        return {tokens * width, shape_.head_size, width, 1};
    }

    [[nodiscard]] Dims key_strides() const {
        return head_strides(shape_.key_rows(), shape_.kv_width());
    }

    /// `width`: of the matrix it lies in.
    TensorIndex per_query(SdpaTensor id, std::int64_t width) {
        return add(on_device(id, storage_, query_dims(), head_strides(shape_.seq, width)));
    }

    TensorIndex per_key(SdpaTensor id) {
        return add(on_device(id, storage_, key_dims(), key_strides()));
    }

    TensorIndex transposed_per_key(SdpaTensor id) {
        return add(on_device(id, storage_, transposed(key_dims()), transposed(key_strides())));
    }

    TensorIndex statistics() {
        return add(on_device(
            SdpaTensor::statistics, CUDNN_DATA_FLOAT, column(), packed_strides(column())));
    }

    void write(cudnnPointwiseMode_t mode, TensorIndex x, TensorIndex b, TensorIndex y) {
        graph_.nodes.emplace_back(
            PointwiseNode{.mode = mode, .compute = CUDNN_DATA_FLOAT, .x = x, .y = y, .b = b});
    }

    TensorIndex binary(cudnnPointwiseMode_t mode, TensorIndex x, TensorIndex b, const Dims& dims) {
        const TensorIndex y = add(inside(dims));
        write(mode, x, b, y);
        return y;
    }

    TensorIndex unary(cudnnPointwiseMode_t mode, TensorIndex x, const Dims& dims) {
        const TensorIndex y = add(inside(dims));
        graph_.nodes.emplace_back(
            PointwiseNode{.mode = mode, .compute = CUDNN_DATA_FLOAT, .x = x, .y = y});
        return y;
    }

    TensorIndex reduce(cudnnReduceTensorOp_t mode, TensorIndex x, const Dims& dims) {
        const TensorIndex y = add(inside(dims));
        graph_.nodes.emplace_back(ReductionNode{.mode = mode, .x = x, .y = y});
        return y;
    }

    void multiply(TensorIndex a, TensorIndex b, TensorIndex c) {
        graph_.nodes.emplace_back(MatMulNode{.a = a, .b = b, .c = c});
    }

    /// Q K^T / sqrt(head_size)
    TensorIndex scaled_scores() {
        queries_ = per_query(SdpaTensor::queries, shape_.qkv_width());
        keys_ = transposed_per_key(SdpaTensor::keys);
        const TensorIndex scores = add(inside(pairs()));
        multiply(queries_, keys_, scores);
        return binary(CUDNN_POINTWISE_MUL, scores, scale_, pairs());
    }

    TensorIndex index_along(TensorIndex scores, std::int64_t axis) {
        const TensorIndex y = add(inside(pairs(), CUDNN_DATA_INT32));
        graph_.nodes.emplace_back(PointwiseNode{.mode = CUDNN_POINTWISE_GEN_INDEX,
                                                .compute = CUDNN_DATA_INT32,
                                                .x = scores,
                                                .y = y,
                                                .axis = axis});
        return y;
    }

    /// A causal mask leaves scores where row >= column.
    TensorIndex masked(TensorIndex scores) {
        if (shape_.mask == AttentionMask::none) {
            return scores;
        }
        const TensorIndex row = index_along(scores, 2);
        const TensorIndex col = index_along(scores, 3);
        const TensorIndex visible = add(inside(pairs(), CUDNN_DATA_BOOLEAN));
        graph_.nodes.emplace_back(PointwiseNode{.mode = CUDNN_POINTWISE_CMP_GE,
                                                .compute = CUDNN_DATA_BOOLEAN,
                                                .x = row,
                                                .y = visible,
                                                .b = col});
        const TensorIndex y = add(inside(pairs()));
        graph_.nodes.emplace_back(PointwiseNode{.mode = CUDNN_POINTWISE_BINARY_SELECT,
                                                .compute = CUDNN_DATA_FLOAT,
                                                .x = scores,
                                                .y = y,
                                                .b = fill_,
                                                .select = visible});
        return y;
    }

    /// <dO, O> of each row, in memory: the pattern ends in a product with a dropout scale, here 1.
    TensorIndex project(TensorIndex grad_context) {
        const TensorIndex product = add(inside(query_dims()));
        write(CUDNN_POINTWISE_MUL,
              grad_context,
              per_query(SdpaTensor::context, shape_.context_width()),
              product);
        const TensorIndex sum = reduce(CUDNN_REDUCE_TENSOR_ADD, product, column());
        const TensorIndex y = add(on_device(
            SdpaTensor::projection, CUDNN_DATA_FLOAT, column(), packed_strides(column())));
        write(CUDNN_POINTWISE_MUL, sum, value(1.0F), y);
        return y;
    }

    /// left^T right, summed over the query heads that share a key head.
    void grad_key_side(TensorIndex left, TensorIndex right, SdpaTensor result) {
        GraphTensor turned = inside(transposed(pairs()), storage_);
        turned.strides = transposed(packed_strides(pairs()));
        const TensorIndex left_transposed = add(turned);
        graph_.nodes.emplace_back(ReshapeNode{.x = left, .y = left_transposed});
        const TensorIndex y = per_key(result);
        if (shape_.heads == shape_.kv_heads) {
            multiply(left_transposed, right, y);
            return;
        }
        const TensorIndex per_query_head = add(
            inside({shape_.batch, shape_.heads, shape_.key_rows(), shape_.head_size}, storage_));
        multiply(left_transposed, right, per_query_head);
        graph_.nodes.emplace_back(
            ReductionNode{.mode = CUDNN_REDUCE_TENSOR_ADD, .x = per_query_head, .y = y});
    }

    /// dS K, summed in fp32 in memory over blocks of keys that different thread blocks own.
    void grad_query_side(TensorIndex grad_scores) {
        GraphTensor keys = inside(key_dims(), storage_);
        keys.strides = key_strides();
        const TensorIndex untransposed = add(keys);
        graph_.nodes.emplace_back(ReshapeNode{.x = keys_, .y = untransposed});
        const Dims dims = query_dims();
        const TensorIndex sum = add(
            on_device(SdpaTensor::grad_queries_sum, CUDNN_DATA_FLOAT, dims, packed_strides(dims)));
        multiply(grad_scores, untransposed, sum);
        graph_.nodes.emplace_back(
            PointwiseNode{.mode = CUDNN_POINTWISE_IDENTITY,
                          .compute = CUDNN_DATA_FLOAT,
                          .x = sum,
                          .y = per_query(SdpaTensor::grad_queries, shape_.grad_query_width())});
    }

    AttentionShape shape_;
    cudnnDataType_t storage_;
    CudnnGraph graph_;
    std::int64_t next_id_ = first_free_id;
    TensorIndex scale_ = 0;
    TensorIndex fill_ = 0;  ///< of scores that the mask hides
    TensorIndex queries_ = 0;
    TensorIndex keys_ = 0;
};

}  // namespace

CudnnGraph forward_graph(const AttentionShape& shape, DType storage) {
    SdpaWriter writer(shape, storage);
    writer.forward();
    return writer.take();
}

CudnnGraph backward_graph(const AttentionShape& shape, DType storage) {
    SdpaWriter writer(shape, storage);
    writer.backward();
    return writer.take();
}

}  // namespace traindyno::cuda
