// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/number_ranges.hpp"

#include <charconv>
#include <cstddef>
#include <system_error>

#include <fmt/format.h>

namespace traindyno {

std::string ranges_text(const std::vector<std::int32_t>& ascending) {
    std::string text;
    for (std::size_t begin = 0; begin < ascending.size();) {
        std::size_t last = begin;
        while (last + 1 < ascending.size() && ascending[last + 1] == ascending[last] + 1) {
            ++last;
        }
        text += text.empty() ? "" : ",";
        text += begin == last ? fmt::format("{}", ascending[begin])
                              : fmt::format("{}-{}", ascending[begin], ascending[last]);
        begin = last + 1;
    }
    return text;
}

std::vector<std::int32_t> parse_ranges(std::string_view text) {
    std::vector<std::int32_t> numbers;
    const char* next = text.data();
    const char* const end = text.data() + text.size();
    while (next != end) {
        std::int32_t first = 0;
        std::from_chars_result read = std::from_chars(next, end, first);
        if (read.ec != std::errc{}) {
            break;
        }
        std::int32_t last = first;
        if (read.ptr != end && *read.ptr == '-') {
            read = std::from_chars(read.ptr + 1, end, last);
        }
        for (std::int32_t number = first; number <= last; ++number) {
            numbers.push_back(number);
        }
        next = read.ptr;
        if (next != end && *next == ',') {
            ++next;
        }
    }
    return numbers;
}

}  // namespace traindyno
