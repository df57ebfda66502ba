// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/space_memory.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/mman.h>

#include "emulator/base/error.hpp"
#include "emulator/program/slice_use.hpp"

namespace traindyno {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

std::array<bool, enum_count<Space>> communicated_spaces(const StepProgram& program) {
    std::array<bool, enum_count<Space>> result{};
    for (const Block& block : program.blocks) {
        for (const BlockOp& op : block.ops) {
            if (std::holds_alternative<ComputeOp>(op.op)) {
                continue;
            }
            for (const SliceUse& use : slices_of(op.op)) {
                result[static_cast<std::size_t>(use.slice.space)] = true;
            }
        }
    }
    return result;
}

}  // namespace

MappedBytes::MappedBytes(Bytes size, Paging paging) {
    TD_EXPECT(size.value() >= 0);
    const auto wanted = static_cast<std::size_t>(size.value());
    if (wanted == 0) {
        return;
    }
    const std::size_t mapped = wanted + huge_page;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (paging == Paging::lazy ? MAP_NORESERVE : 0);
    void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (start == MAP_FAILED) {
        throw LibraryError(
            "mmap",
            errno,
            fmt::format("{} for {} bytes", std::system_category().message(errno), mapped),
            "mmap",
            Where::here());
    }
    mapping_ = {static_cast<std::byte*>(start), mapped};
    const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % huge_page;
    bytes_ = mapping_.subspan(past == 0 ? 0 : huge_page - past, wanted);
    if (paging == Paging::huge && wanted >= huge_page) {
        madvise(bytes_.data(), bytes_.size(), MADV_HUGEPAGE);  // a hint: it may be refused
    }
    if (paging == Paging::lazy) {
        madvise(bytes_.data(), bytes_.size(), MADV_NOHUGEPAGE);  // sparse use: small pages
    }
}

MappedBytes::MappedBytes(MappedBytes&& other) noexcept
    : mapping_(std::exchange(other.mapping_, {})), bytes_(std::exchange(other.bytes_, {})) {}

MappedBytes& MappedBytes::operator=(MappedBytes&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

MappedBytes::~MappedBytes() {
    if (!mapping_.empty()) {
        munmap(mapping_.data(), mapping_.size());
    }
}

SpaceMemory::SpaceMemory(const StepProgram& program, Paging paging, const HostMemory& shared)
    : storage_(storage_type(program.precision)), gradient_(program.gradient_type) {
    const std::array<bool, enum_count<Space>> communicated = communicated_spaces(program);
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const auto space = static_cast<Space>(i);
        const Bytes size = size_of(extent_of(program.extents, space), dtype(space));
        const auto bytes = static_cast<std::size_t>(size.value());
        if (shared && communicated[i] && bytes > 0) {
            lent_[i] = shared(bytes);
        }
        if (lent_[i]) {
            arrays_[i] = {lent_[i].get(), bytes};
        } else {
            mapped_[i] = MappedBytes(size, paging);
            arrays_[i] = mapped_[i].bytes();
        }
    }
}

std::span<std::byte> SpaceMemory::all(Space space) const {
    return arrays_[static_cast<std::size_t>(space)];
}

std::span<std::byte> SpaceMemory::at(const Slice& slice, const Task& task) const {
    const std::span<std::byte> array = all(slice.space);
    const std::int64_t element = element_size(dtype(slice.space));
    const std::int64_t first = (task.base_of(slice.space) + slice.offset) * element;
    const std::int64_t length = slice.elements * element;
    TD_EXPECT(first >= 0 && length >= 0 &&
              first + length <= static_cast<std::int64_t>(array.size()));
    return array.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(length));
}

void SpaceMemory::copy(CopyDirection direction,
                       const Slice& slice,
                       const Task& task,
                       std::int64_t stride,
                       std::span<std::byte> host) const {
    const auto width = static_cast<std::size_t>(element_size(dtype(slice.space)));
    TD_EXPECT(stride > 0);
    const std::size_t step = static_cast<std::size_t>(stride) * width;
    const std::span<std::byte> memory = at(slice, task);
    TD_EXPECT(host.size() == (memory.size() + step - 1) / step * width);
    for (std::size_t from = 0, packed = 0; from < memory.size(); from += step, packed += width) {
        std::byte* const there = memory.data() + from;
        std::byte* const here = host.data() + packed;
        const bool down = direction == CopyDirection::to_host;
        std::memcpy(down ? here : there, down ? there : here, width);
    }
}

}  // namespace traindyno
