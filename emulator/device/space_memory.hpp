// SPDX-License-Identifier: Apache-2.0
// The flat arrays of a rank's memory spaces.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "emulator/base/units.hpp"
#include "emulator/device/device.hpp"
#include "emulator/device/host_memory.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class Paging : std::uint8_t {
    huge,  ///< transparent huge pages where the kernel has them; the caller touches every page
    lazy,  ///< address space only: a page exists once it is written
};

/// Owner of one anonymous mapping, 2 MiB aligned. Holds zeros until written.
class MappedBytes {
  public:
    MappedBytes() = default;
    MappedBytes(Bytes size, Paging paging);
    MappedBytes(MappedBytes&& other) noexcept;
    MappedBytes& operator=(MappedBytes&& other) noexcept;
    MappedBytes(const MappedBytes&) = delete;
    MappedBytes& operator=(const MappedBytes&) = delete;
    ~MappedBytes();

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    std::span<std::byte> mapping_;
    std::span<std::byte> bytes_;
};

/// One array per Space, sized by a program's extents.
class SpaceMemory {
  public:
    SpaceMemory() = default;
    /// `shared` gives the spaces that the program communicates from, as far as it has memory.
    SpaceMemory(const StepProgram& program, Paging paging, const HostMemory& shared = {});

    /// Memory of `slice` of `task`. ContractError when it leaves its space.
    [[nodiscard]] std::span<std::byte> at(const Slice& slice, const Task& task) const;
    [[nodiscard]] std::span<std::byte> all(Space space) const;
    /// Device::copy on host memory.
    void copy(CopyDirection direction,
              const Slice& slice,
              const Task& task,
              std::int64_t stride,
              std::span<std::byte> host) const;

    [[nodiscard]] DType dtype(Space space) const { return dtype_of(space, storage_, gradient_); }

  private:
    DType storage_ = DType::fp32;
    DType gradient_ = DType::fp32;
    std::array<std::shared_ptr<std::byte>, enum_count<Space>>
        lent_;  ///< owners of what is not mapped here
    std::array<MappedBytes, enum_count<Space>> mapped_;
    std::array<std::span<std::byte>, enum_count<Space>> arrays_;
};

}  // namespace traindyno
