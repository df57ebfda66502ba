// SPDX-License-Identifier: Apache-2.0
// Owner of one descriptor of cuDNN's backend API; an attribute that is refused throws its name.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "emulator/device/cuda/attention/cudnn_library.hpp"

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

class Descriptor {
  public:
    Descriptor(const CudnnLibrary& cudnn, cudnnBackendDescriptorType_t type);

    Descriptor(Descriptor&& other) noexcept
        : cudnn_(other.cudnn_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}

    Descriptor& operator=(Descriptor&& other) noexcept;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();

    template <class T>
    void set(Attribute attribute, std::span<const T> elements) {
        set_raw(attribute,
                AttributeType<T>::value,
                static_cast<std::int64_t>(elements.size()),
                elements.data());
    }

    template <class T>
    void set(Attribute attribute, const T& value) {
        set(attribute, std::span<const T>(&value, 1));
    }

    void set(Attribute attribute, const Descriptor& value);
    void set(Attribute attribute, std::span<const Descriptor> values);

    [[nodiscard]] std::int64_t get_int64(Attribute attribute) const;
    /// At most so many elements has an attribute that consists of descriptors.
    [[nodiscard]] std::size_t bound(Attribute attribute) const;
    /// Lets cuDNN fill the first of `room`, descriptors of the right type; returns how many.
    [[nodiscard]] std::size_t fill(Attribute attribute, std::span<const Descriptor> room) const;

    void finalize();
    [[nodiscard]] cudnnStatus_t try_finalize();

    [[nodiscard]] cudnnBackendDescriptor_t get() const { return descriptor_; }

  private:
    void set_raw(Attribute attribute,
                 cudnnBackendAttributeType_t type,
                 std::int64_t count,
                 const void* elements);

    const CudnnLibrary* cudnn_;
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

}  // namespace traindyno::cuda

/// An attribute with its name, for messages: TD_CUDNN_ATTR(TENSOR_STRIDES).
#define TD_CUDNN_ATTR(name)                    \
    ::traindyno::cuda::Attribute {             \
        CUDNN_ATTR_##name, "CUDNN_ATTR_" #name \
    }
