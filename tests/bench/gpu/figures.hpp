// SPDX-License-Identifier: Apache-2.0
// Figures of GPU benchmarks for launch/gpu-check, beside the tables for people.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

namespace traindyno {

/// Appends one JSON line to the file that TRAINDYNO_FIGURES names; does nothing without it.
inline void record_figure(const std::string& name, double value, const std::string& unit) {
    const char* file = std::getenv("TRAINDYNO_FIGURES");
    std::FILE* figures = file == nullptr ? nullptr : std::fopen(file, "a");
    if (figures != nullptr) {
        fmt::print(figures,
                   R"({{"name": "{}", "value": {:.6g}, "unit": "{}"}})"
                   "\n",
                   name,
                   value,
                   unit);
        std::fclose(figures);
    }
}

}  // namespace traindyno
