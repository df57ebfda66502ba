// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/error.hpp"

#include <utility>

#include <fmt/format.h>

namespace traindyno {

namespace {

std::string joined(const std::vector<std::string>& problems) {
    return fmt::format("{}", fmt::join(problems, "\n"));
}

}  // namespace

ContractError::ContractError(const std::string& condition, Where where)
    : Error(ExitCode::internal,
            fmt::format(
                "internal error at {}:{} ({} does not hold) please report it with the command line",
                where.file,
                where.line,
                condition)) {}

ConfigError::ConfigError(std::vector<std::string> problems)
    : Error(ExitCode::usage, joined(problems)), problems_(std::move(problems)) {}

LibraryError::LibraryError(const std::string& library,
                           int code,
                           const std::string& text,
                           const std::string& call,
                           Where where)
    : Error(ExitCode::internal,
            fmt::format("{} failed: {} (code {}, {} at {}:{})",
                        library,
                        text,
                        code,
                        call,
                        where.file,
                        where.line)) {}

void Problems::throw_if_any() const {
    if (!list_.empty()) {
        throw ConfigError(list_);
    }
}

namespace detail {

void contract_failed(const char* condition, Where where) {
    throw ContractError(condition, where);
}

}  // namespace detail

}  // namespace traindyno
