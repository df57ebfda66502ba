// SPDX-License-Identifier: Apache-2.0
// Names and element types of the attributes of cuDNN's descriptors.
#pragma once

#include <cstdint>
#include <type_traits>

#include <cudnn_graph.h>

namespace traindyno::cuda {

/// cuDNN's name for the type of an attribute's elements; no primary value, so that a type without
/// one does not compile.
template <class T>
struct AttributeType;
template <cudnnBackendAttributeType_t name>
using AttributeTypeIs = std::integral_constant<cudnnBackendAttributeType_t, name>;

// clang-format off
template <> struct AttributeType<cudnnHandle_t> : AttributeTypeIs<CUDNN_TYPE_HANDLE> {};
template <> struct AttributeType<cudnnDataType_t> : AttributeTypeIs<CUDNN_TYPE_DATA_TYPE> {};
template <> struct AttributeType<bool> : AttributeTypeIs<CUDNN_TYPE_BOOLEAN> {};
template <> struct AttributeType<std::int64_t> : AttributeTypeIs<CUDNN_TYPE_INT64> {};
template <> struct AttributeType<void*> : AttributeTypeIs<CUDNN_TYPE_VOID_PTR> {};
template <> struct AttributeType<char> : AttributeTypeIs<CUDNN_TYPE_CHAR> {};
template <> struct AttributeType<cudnnBackendHeurMode_t> : AttributeTypeIs<CUDNN_TYPE_HEUR_MODE> {};
template <> struct AttributeType<cudnnPointwiseMode_t> : AttributeTypeIs<CUDNN_TYPE_POINTWISE_MODE> {};
template <> struct AttributeType<cudnnReduceTensorOp_t> : AttributeTypeIs<CUDNN_TYPE_REDUCTION_OPERATOR_TYPE> {};

// clang-format on

struct Attribute {
    cudnnBackendAttributeName_t value;
    const char* name;
};

}  // namespace traindyno::cuda

/// An attribute with its name, for messages: TD_CUDNN_ATTR(TENSOR_STRIDES).
#define TD_CUDNN_ATTR(name)                    \
    ::traindyno::cuda::Attribute {             \
        CUDNN_ATTR_##name, "CUDNN_ATTR_" #name \
    }
