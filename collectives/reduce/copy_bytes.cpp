// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "collectives/reduce/reduce.hpp"
#include "collectives/reduce/stream.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace traindyno {

namespace {

constexpr std::size_t line = 64;

/// Lines of `to`, which begins one.
void stream_lines(const std::byte* from, std::byte* to, std::size_t bytes) {
#if defined(__x86_64__)
    for (std::size_t at = 0; at < bytes; at += line) {
        __builtin_prefetch(from + std::min(at + fetch_ahead, bytes - 1));
        const auto* const source = reinterpret_cast<const __m128i*>(from + at);
        auto* const target = reinterpret_cast<__m128i*>(to + at);
        const __m128i a = _mm_loadu_si128(source);
        const __m128i b = _mm_loadu_si128(source + 1);
        const __m128i c = _mm_loadu_si128(source + 2);
        const __m128i d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
#else
    std::memcpy(to, from, bytes);
#endif
}

/// Through the caches.
void cache_lines(const std::byte* from, std::byte* to, std::size_t bytes) {
    constexpr std::size_t step = 1024;
    std::size_t at = 0;
    for (; at + fetch_ahead + step <= bytes; at += step) {
        prefetch_lines(from + at + fetch_ahead, step);
        std::memcpy(to + at, from + at, step);
    }
    std::memcpy(to + at, from + at, bytes - at);
}

}  // namespace

void stream_bytes(const std::byte* from, std::byte* to, std::size_t bytes) {
    const std::size_t past = reinterpret_cast<std::uintptr_t>(to) % line;
    const std::size_t head = past == 0 ? 0 : std::min(bytes, line - past);
    const std::size_t body = (bytes - head) / line * line;
    std::memcpy(to, from, head);
    stream_lines(from + head, to + head, body);
    std::memcpy(to + head + body, from + head + body, bytes - head - body);
}

void finish_streaming() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

void copy_bytes(const std::byte* from, std::byte* to, std::size_t bytes, Stores stores) {
    if (bytes == 0) {
        return;  // null pointers are allowed then
    }
    if (stores != Stores::streamed) {
        cache_lines(from, to, bytes);
        return;
    }
    stream_bytes(from, to, bytes);
    finish_streaming();
}

}  // namespace traindyno
