// SPDX-License-Identifier: Apache-2.0
// Owner of one descriptor of cuDNN's backend API; an attribute that is refused throws its name.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "emulator/device/cuda/attention/cudnn_attribute.hpp"
#include "emulator/device/cuda/attention/cudnn_library.hpp"

namespace traindyno::cuda {

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
