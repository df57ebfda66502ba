// SPDX-License-Identifier: Apache-2.0
// Memory that several processes of one host map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "collectives/shm/pages.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno {

struct FileTraits {
    using Handle = int;

    static Handle null() { return -1; }

    static void destroy(Handle file) noexcept;
};

struct MappingTraits {
    struct Handle {
        void* start = nullptr;
        std::size_t bytes = 0;

        friend bool operator==(const Handle&, const Handle&) = default;
    };

    static Handle null() { return {}; }

    static void destroy(Handle mapping) noexcept;
};

/// Where another process finds a segment.
struct SegmentAddress {
    std::int64_t process = 0;
    std::int64_t file = -1;  ///< descriptor in that process; -1: it could not make one
    std::int64_t bytes = 0;
    std::int64_t nonce = 0;  ///< stands at the segment's beginning
};

/// An anonymous file (memfd), found by its peers under /proc/<process>/fd and so gone with the last
/// process that maps it, however that ends. It has no size limit but the host's memory (/dev/shm
/// often has), and pages exist once they are touched.
/// Mappings begin at a 2 MiB page.
class SharedSegment {
  public:
    SharedSegment() = default;
    /// A new segment that holds zeros, but for its nonce. Throws LibraryError.
    explicit SharedSegment(std::size_t bytes);
    /// Another process's. Throws LibraryError, also when it is not the segment announced.
    explicit SharedSegment(const SegmentAddress& address);

    [[nodiscard]] SegmentAddress address() const;

    [[nodiscard]] std::span<std::byte> bytes() const {
        return {static_cast<std::byte*>(mapping_.get().start), mapping_.get().bytes};
    }

    /// Once nobody will open it any more.
    void close_file() { file_.reset(FileTraits::null()); }

  private:
    UniqueHandle<FileTraits> file_;
    UniqueHandle<MappingTraits> mapping_;
};

/// Puts the contents of 2 MiB pages of a segment, from the begin of one to the end of one, into
/// real ones, as far as the system has them, on the NUMA node where most of each was. Others may
/// use the memory meanwhile.
void use_huge_pages(std::span<std::byte> pages);

}  // namespace traindyno
