// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/kernels/device_array.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "collectives/half_types.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t guard_bytes = 256;
constexpr int poison = 0xff;  // a NaN in every type

template <class T>
std::vector<std::byte> bytes_of(const Values& values, T (*convert)(float)) {
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const T value = convert(static_cast<float>(values[i]));
        std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof value);
    }
    return bytes;
}

std::vector<std::byte> encoded(const Values& values, DType dtype) {
    switch (dtype) {
        case DType::bf16:
            return bytes_of<Bf16>(values, to_bf16);
        case DType::fp16:
            return bytes_of<Fp16>(values, to_fp16);
        default:
            return bytes_of<float>(values, [](float value) { return value; });
    }
}

template <class T>
T read(const std::byte* from) {
    T value{};
    std::memcpy(&value, from, sizeof value);
    return value;
}

Values decoded(const std::vector<std::byte>& bytes, DType dtype) {
    const auto size = static_cast<std::size_t>(element_size(dtype));
    Values values(bytes.size() / size);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::byte* from = bytes.data() + i * size;
        const float value = dtype == DType::bf16   ? to_float(read<Bf16>(from))
                            : dtype == DType::fp16 ? to_float(read<Fp16>(from))
                                                   : read<float>(from);
        values[i] = static_cast<double>(value);
    }
    return values;
}

std::vector<std::byte> copied(const std::byte* from, std::int64_t size) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    TD_CUDA(cudaMemcpy(bytes.data(), from, bytes.size(), cudaMemcpyDeviceToHost));
    return bytes;
}

}  // namespace

Values rounded(const Values& values, DType dtype) {
    return decoded(encoded(values, dtype), dtype);
}

double rounding_unit(DType dtype) {
    return dtype == DType::bf16 ? 0x1p-8 : dtype == DType::fp16 ? 0x1p-11 : 0x1p-24;
}

DeviceArray::DeviceArray(std::int64_t elements, DType dtype, std::int64_t offset)
    : elements_(elements),
      dtype_(dtype),
      offset_(offset),
      memory_(size_of(elements + offset, dtype) + Bytes{2 * guard_bytes}) {
    TD_CUDA(cudaMemset(memory_.data(), poison, static_cast<std::size_t>(memory_.size().value())));
    TD_CUDA(cudaDeviceSynchronize());
}

Operand DeviceArray::operand() const {
    return {.data = memory_.data() + guard_bytes + offset_ * element_size(dtype_),
            .elements = elements_,
            .dtype = dtype_};
}

void DeviceArray::set(const Values& values) {
    const std::vector<std::byte> bytes = encoded(values, dtype_);
    TD_CUDA(cudaMemcpy(operand().data, bytes.data(), bytes.size(), cudaMemcpyHostToDevice));
    TD_CUDA(cudaDeviceSynchronize());
}

Values DeviceArray::values() const {
    return decoded(copied(operand().data, elements_ * element_size(dtype_)), dtype_);
}

bool DeviceArray::is_confined() const {
    const std::int64_t before = guard_bytes + offset_ * element_size(dtype_);
    std::vector<std::byte> around = copied(memory_.data(), before);
    const auto behind = copied(operand().data + elements_ * element_size(dtype_), guard_bytes);
    around.insert(around.end(), behind.begin(), behind.end());
    return std::all_of(
        around.begin(), around.end(), [](std::byte b) { return b == std::byte{poison}; });
}

}  // namespace traindyno
