// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/progress.hpp"

#include <chrono>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "emulator/device/device.hpp"

namespace traindyno {

namespace {

constexpr SimTime log_every = std::chrono::seconds{5};
constexpr const char* erase_line = "\r\x1b[2K";

}  // namespace

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
    if (unfinished_) {
        std::fputs(erase_line, stderr);
        std::fflush(stderr);
    }
}

void ProgressLine::show(const std::string& text) {
    if (terminal_) {
        fmt::print(stderr, "{}{}", erase_line, text);
        unfinished_ = true;
        std::fflush(stderr);
    } else if (now() - last_ >= log_every) {
        keep(text);
        last_ = now();
    }
}

void ProgressLine::begin_part() {
    last_ = SimTime{0};
}

void ProgressLine::keep_once(const std::string& text) {
    if (kept_.insert(text).second) {
        keep(text);
    }
}

void ProgressLine::keep(const std::string& text) {
    fmt::print(stderr, "{}{}\n", unfinished_ ? erase_line : "", text);
    unfinished_ = false;
    std::fflush(stderr);
}

}  // namespace traindyno
