// SPDX-License-Identifier: Apache-2.0
#include "emulator/importer/argument_reader.hpp"

#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace traindyno {

namespace {

template <class Number>
std::optional<Number> parse(const std::string& text) {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

/// Why a value may be none that the user meant.
std::string_view cause(const std::string& text) {
    return text.find('$') != std::string::npos
               ? "a variable that the text does not set, or an expression"
               : "a number is needed there";
}

}  // namespace

ArgumentReader::ArgumentReader(const std::vector<Argument>& arguments,
                               std::string source,
                               Problems& problems)
    : source_(std::move(source)), problems_(problems) {
    for (const Argument& argument : arguments) {
        arguments_[argument.name] = argument;
    }
}

std::string ArgumentReader::origin(std::string_view name) const {
    const auto found = arguments_.find(name);
    return found == arguments_.end() || found->second.line == 0
               ? fmt::format("{}: {}", source_, name)
               : fmt::format("{}:{}: {}", source_, found->second.line, name);
}

bool ArgumentReader::given(std::string_view name) {
    return find(name) != nullptr;
}

std::optional<std::string> ArgumentReader::text(std::string_view name) {
    const Argument* const argument = find(name);
    if (argument == nullptr) {
        return std::nullopt;
    }
    if (argument->values.empty()) {
        refuse(name, "has no value (one must follow) write it behind the name");
        return std::nullopt;
    }
    return argument->values.front();
}

std::optional<std::int64_t> ArgumentReader::count(std::string_view name) {
    const auto written = text(name);
    if (!written) {
        return std::nullopt;
    }
    const auto value = parse<std::int64_t>(*written);
    if (!value || *value < 1) {
        refuse(name,
               fmt::format("'{}' is not a whole number of at least 1 ({}) write the number",
                           *written,
                           cause(*written)));
        return std::nullopt;
    }
    return value;
}

std::optional<double> ArgumentReader::number(std::string_view name) {
    const auto written = text(name);
    if (!written) {
        return std::nullopt;
    }
    const auto value = parse<double>(*written);
    if (!value) {
        refuse(
            name,
            fmt::format("'{}' is not a number ({}) write the number", *written, cause(*written)));
    }
    return value;
}

std::vector<std::string> ArgumentReader::values(std::string_view name) {
    const Argument* const argument = find(name);
    return argument == nullptr ? std::vector<std::string>{} : argument->values;
}

void ArgumentReader::refuse(std::string_view name, std::string_view problem) {
    problems_.add(fmt::format("{}: {}", origin(name), problem));
}

std::vector<const Argument*> ArgumentReader::left_over() const {
    std::vector<const Argument*> left;
    for (const auto& [name, argument] : arguments_) {
        if (!asked_for_.contains(name)) {
            left.push_back(&argument);
        }
    }
    return left;
}

const Argument* ArgumentReader::find(std::string_view name) {
    asked_for_.emplace(name);
    const auto found = arguments_.find(name);
    return found == arguments_.end() ? nullptr : &found->second;
}

}  // namespace traindyno
