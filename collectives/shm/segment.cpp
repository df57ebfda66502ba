// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/segment.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

[[noreturn]] void failed(const char* call, const std::string& what, Where where = Where::here()) {
    const int code = errno;
    throw LibraryError("shared memory",
                       code,
                       fmt::format("{} ({})", std::system_category().message(code), what),
                       call,
                       where);
}

constexpr int collapse = 25;  // MADV_COLLAPSE of Linux 6.1, which older headers do not have

/// Addresses where nothing is, the first of which begins a 2 MiB page.
std::byte* reserve(std::size_t bytes) {
    void* const start = mmap(nullptr,
                             bytes + huge_page_bytes,
                             PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1,
                             0);
    if (start == MAP_FAILED) {
        failed("mmap", fmt::format("{} bytes", bytes));
    }
    const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % huge_page_bytes;
    const std::size_t before = past == 0 ? 0 : huge_page_bytes - past;
    std::byte* const result = static_cast<std::byte*>(start) + before;
    if (before > 0) {
        munmap(start, before);
    }
    munmap(result + bytes, huge_page_bytes - before);
    return result;
}

/// `bytes` are whole 4 KiB pages.
MappingTraits::Handle map(int file, std::size_t bytes) {
    std::byte* const place = reserve(bytes);
    void* const start =
        mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, 0);
    if (start == MAP_FAILED) {
        munmap(place, bytes);
        failed("mmap", fmt::format("{} bytes", bytes));
    }
    madvise(start, bytes, MADV_HUGEPAGE);  // a hint: many systems refuse it for shared memory
    madvise(start, bytes, MADV_DONTDUMP);  // every rank maps every rank's: no core file holds that
    return {.start = start, .bytes = bytes};
}

std::int64_t random_nonce() {
    std::random_device source;
    return static_cast<std::int64_t>(std::uint64_t{source()} << 32U | source());
}

}  // namespace

void FileTraits::destroy(Handle file) noexcept {
    close(file);
}

void MappingTraits::destroy(Handle mapping) noexcept {
    munmap(mapping.start, mapping.bytes);
}

SharedSegment::SharedSegment(std::size_t bytes) {
    file_.reset(memfd_create("traindyno", MFD_CLOEXEC));
    if (file_.empty()) {
        failed("memfd_create", "a segment of shared memory");
    }
    if (ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) {
        failed("ftruncate", fmt::format("{} bytes", bytes));
    }
    mapping_.reset(map(file_.get(), bytes));
    const std::int64_t nonce = random_nonce();
    std::memcpy(mapping_.get().start, &nonce, sizeof nonce);
}

SharedSegment::SharedSegment(const SegmentAddress& address) {
    const std::string path = fmt::format("/proc/{}/fd/{}", address.process, address.file);
    file_.reset(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (file_.empty()) {
        failed("open", path);
    }
    mapping_.reset(map(file_.get(), static_cast<std::size_t>(address.bytes)));
    // In another container the same path may lead to something else, and to something shorter.
    off_t length = lseek(file_.get(), 0, SEEK_END);
    if (length != static_cast<off_t>(address.bytes) || this->address().nonce != address.nonce) {
        errno = ENXIO;
        failed("open", path + " is not the segment of our rank");
    }
    close_file();
}

SegmentAddress SharedSegment::address() const {
    SegmentAddress result{.process = getpid(),
                          .file = file_.get(),
                          .bytes = static_cast<std::int64_t>(mapping_.get().bytes)};
    std::memcpy(&result.nonce, mapping_.get().start, sizeof result.nonce);
    return result;
}

void use_huge_pages(std::span<std::byte> pages) {
    for (std::size_t at = 0; at < pages.size(); at += huge_page_bytes) {
        // The call below refuses pages of which nothing is there yet.
        std::atomic_ref{reinterpret_cast<unsigned char&>(pages[at])}.fetch_or(0);
    }
    madvise(pages.data(), pages.size(), collapse);  // works where shmem_enabled says "never"
}

}  // namespace traindyno
