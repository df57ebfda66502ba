// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/device_memory.hpp"

#include "emulator/base/error.hpp"

namespace traindyno {

DeviceMemory::DeviceMemory(const StepProgram& program)
    : storage_(storage_type(program.precision)), gradient_(program.gradient_type) {
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const auto space = static_cast<Space>(i);
        arrays_[i] = DeviceBytes(size_of(extent_of(program.extents, space), dtype(space)));
    }
}

std::span<std::byte> DeviceMemory::at(const Slice& slice, const Task& task) const {
    const DeviceBytes& array = arrays_[static_cast<std::size_t>(slice.space)];
    const std::int64_t width = element_size(dtype(slice.space));
    const std::int64_t first = (task.base_of(slice.space) + slice.offset) * width;
    const std::int64_t length = slice.elements * width;
    TD_EXPECT(first >= 0 && length >= 0 && first + length <= array.size().value());
    return {array.data() + first, static_cast<std::size_t>(length)};
}

Operand DeviceMemory::operand(const Slice& slice, const Task& task) const {
    return {
        .data = at(slice, task).data(), .elements = slice.elements, .dtype = dtype(slice.space)};
}

Operand DeviceMemory::all(Space space) const {
    const DeviceBytes& array = arrays_[static_cast<std::size_t>(space)];
    return {.data = array.data(),
            .elements = array.size().value() / element_size(dtype(space)),
            .dtype = dtype(space)};
}

void DeviceMemory::copy(CopyDirection direction,
                        const Slice& slice,
                        const Task& task,
                        std::int64_t stride,
                        std::span<std::byte> host,
                        cudaStream_t stream) const {
    const auto width = static_cast<std::size_t>(element_size(dtype(slice.space)));
    TD_EXPECT(stride > 0);
    const std::size_t pitch = static_cast<std::size_t>(stride) * width;
    const std::span<std::byte> memory = at(slice, task);
    const std::size_t count = (memory.size() + pitch - 1) / pitch;
    TD_EXPECT(host.size() == count * width);
    if (stride == 1) {  // one run of bytes, whatever its length
        const bool down = direction == CopyDirection::to_host;
        TD_CUDA(cudaMemcpyAsync(down ? host.data() : memory.data(),
                                down ? memory.data() : host.data(),
                                memory.size(),
                                cudaMemcpyDefault,
                                stream));
    } else if (direction == CopyDirection::to_host) {
        TD_CUDA(cudaMemcpy2DAsync(host.data(),
                                  width,
                                  memory.data(),
                                  pitch,
                                  width,
                                  count,
                                  cudaMemcpyDeviceToHost,
                                  stream));
    } else {
        TD_CUDA(cudaMemcpy2DAsync(memory.data(),
                                  pitch,
                                  host.data(),
                                  width,
                                  width,
                                  count,
                                  cudaMemcpyHostToDevice,
                                  stream));
    }
    TD_CUDA(cudaStreamSynchronize(stream));
}

}  // namespace traindyno
