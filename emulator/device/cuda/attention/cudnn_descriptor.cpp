// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/cudnn_descriptor.hpp"

#include <vector>

namespace traindyno::cuda {

namespace {

std::vector<cudnnBackendDescriptor_t> raw_of(std::span<const Descriptor> descriptors) {
    std::vector<cudnnBackendDescriptor_t> raw;
    raw.reserve(descriptors.size());
    for (const Descriptor& descriptor : descriptors) {
        raw.push_back(descriptor.get());
    }
    return raw;
}

}  // namespace

Descriptor::Descriptor(const CudnnLibrary& cudnn, cudnnBackendDescriptorType_t type)
    : cudnn_(&cudnn) {
    cudnn.check(cudnn.create_descriptor(type, &descriptor_),
                "cudnnBackendCreateDescriptor of type " + std::to_string(type));
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    std::swap(cudnn_, other.cudnn_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

Descriptor::~Descriptor() {
    if (descriptor_ != nullptr) {
        (void)cudnn_->destroy_descriptor(descriptor_);
    }
}

void Descriptor::set(Attribute attribute, const Descriptor& value) {
    set_raw(attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.descriptor_);
}

void Descriptor::set(Attribute attribute, std::span<const Descriptor> values) {
    const std::vector<cudnnBackendDescriptor_t> raw = raw_of(values);
    set_raw(attribute,
            CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(raw.size()),
            raw.data());
}

void Descriptor::set_raw(Attribute attribute,
                         cudnnBackendAttributeType_t type,
                         std::int64_t count,
                         const void* elements) {
    cudnn_->check(cudnn_->set_attribute(descriptor_, attribute.value, type, count, elements),
                  std::string("cudnnBackendSetAttribute of ") + attribute.name);
}

std::int64_t Descriptor::get_int64(Attribute attribute) const {
    std::int64_t value = 0;
    std::int64_t count = 0;
    cudnn_->check(
        cudnn_->get_attribute(descriptor_, attribute.value, CUDNN_TYPE_INT64, 1, &count, &value),
        std::string("cudnnBackendGetAttribute of ") + attribute.name);
    return value;
}

std::size_t Descriptor::bound(Attribute attribute) const {
    std::int64_t count = 0;
    cudnn_->check(
        cudnn_->get_attribute(
            descriptor_, attribute.value, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr),
        std::string("cudnnBackendGetAttribute of ") + attribute.name);
    return static_cast<std::size_t>(count);
}

std::size_t Descriptor::fill(Attribute attribute, std::span<const Descriptor> room) const {
    std::vector<cudnnBackendDescriptor_t> raw = raw_of(room);
    std::int64_t count = 0;
    cudnn_->check(cudnn_->get_attribute(descriptor_,
                                        attribute.value,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        static_cast<std::int64_t>(raw.size()),
                                        &count,
                                        raw.data()),
                  std::string("cudnnBackendGetAttribute of ") + attribute.name);
    TD_EXPECT(static_cast<std::size_t>(count) <= room.size());
    return static_cast<std::size_t>(count);
}

void Descriptor::finalize() {
    cudnn_->check(try_finalize(), "cudnnBackendFinalize");
}

cudnnStatus_t Descriptor::try_finalize() {
    return cudnn_->finalize(descriptor_);
}

}  // namespace traindyno::cuda
