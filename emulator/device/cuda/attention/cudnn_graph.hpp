// SPDX-License-Identifier: Apache-2.0
// A graph of tensor operations as data, in the terms of cuDNN's backend API.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include <cudnn_graph.h>

namespace traindyno::cuda {

using Dims = std::array<std::int64_t, 4>;  ///< batch, head, row, column

/// Row-major strides of a tensor without gaps.
[[nodiscard]] constexpr Dims packed_strides(const Dims& dims) {
    return {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
}

/// The same memory with rows and columns exchanged.
[[nodiscard]] constexpr Dims transposed(const Dims& dims_or_strides) {
    return {dims_or_strides[0], dims_or_strides[1], dims_or_strides[3], dims_or_strides[2]};
}

enum class TensorPlace : std::uint8_t {
    device,  ///< at an address given at execution
    inside,  ///< never leaves the kernel ("virtual")
    host,    ///< one fp32 value, given at execution
};

struct GraphTensor {
    std::int64_t id = 0;  ///< unique in the graph; what an address is given for
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    Dims dims{1, 1, 1, 1};
    Dims strides{1, 1, 1, 1};
    TensorPlace place = TensorPlace::inside;
    float value = 0;  ///< of a host tensor
};

using TensorIndex = std::size_t;  ///< in CudnnGraph::tensors

struct MatMulNode {  ///< c[m,n] = a[m,k] b[k,n] for each batch and head
    TensorIndex a;
    TensorIndex b;
    TensorIndex c;
};

struct PointwiseNode {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute;
    TensorIndex x;
    TensorIndex y;                        ///< result
    std::optional<TensorIndex> b{};       ///< second operand
    std::optional<TensorIndex> select{};  ///< BINARY_SELECT: where x is taken, else b
    std::int64_t axis = -1;               ///< GEN_INDEX only
};

struct ReductionNode {  ///< over the axes where y has extent 1 and x has not
    cudnnReduceTensorOp_t mode;
    TensorIndex x;
    TensorIndex y;
};

struct ReshapeNode {
    TensorIndex x;
    TensorIndex y;
};

using GraphNode = std::variant<MatMulNode, PointwiseNode, ReductionNode, ReshapeNode>;

struct CudnnGraph {
    std::vector<GraphTensor> tensors;
    std::vector<GraphNode> nodes;
};

}  // namespace traindyno::cuda
