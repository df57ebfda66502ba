// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/quantity_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

struct Unit {
    std::string_view name;
    double factor;
};

/// One kind of quantity: its units, and how to write one.
struct Notation {
    std::string_view what;
    std::string_view no_unit;  ///< why a bare number will not do, and what to write, as "{0}" units
    std::span<const Unit> units;
};

constexpr double kibi = 1024;
constexpr std::array byte_units{Unit{"B", 1},
                                Unit{"KB", 1e3},
                                Unit{"MB", 1e6},
                                Unit{"GB", 1e9},
                                Unit{"TB", 1e12},
                                Unit{"KiB", kibi},
                                Unit{"MiB", kibi* kibi},
                                Unit{"GiB", kibi* kibi* kibi}};
constexpr std::array bandwidth_units{Unit{"B/s", 1},
                                     Unit{"KB/s", 1e3},
                                     Unit{"MB/s", 1e6},
                                     Unit{"GB/s", 1e9},
                                     Unit{"TB/s", 1e12},
                                     Unit{"bps", 1 / 8.0},
                                     Unit{"Kbps", 1e3 / 8},
                                     Unit{"Mbps", 1e6 / 8},
                                     Unit{"Gbps", 1e9 / 8},
                                     Unit{"Tbps", 1e12 / 8}};
constexpr std::array flop_rate_units{
    Unit{"GFLOP/s", 1e9}, Unit{"TFLOP/s", 1e12}, Unit{"PFLOP/s", 1e15}};
constexpr std::array time_units{Unit{"ns", 1e-9},
                                Unit{"us", 1e-6},
                                Unit{"ms", 1e-3},
                                Unit{"s", 1},
                                Unit{"min", 60},
                                Unit{"h", 3600}};

constexpr Notation bytes_notation{"size", "bytes are ambiguous) write {0}MiB or {0}MB", byte_units};
constexpr Notation bandwidth_notation{
    "bandwidth", "bits or bytes per second?) write {0}GB/s or {0}Gbps", bandwidth_units};
constexpr Notation flop_rate_notation{
    "rate", "rates span many orders of magnitude) write {0}TFLOP/s", flop_rate_units};
constexpr Notation time_notation{
    "time", "times span many orders of magnitude) write {0}us or {0}s", time_units};

std::string_view trimmed(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

std::vector<std::string> names_of(std::span<const Unit> units) {
    std::vector<std::string> names;
    for (const Unit& unit : units) {
        names.emplace_back(unit.name);
    }
    return names;
}

/// `text` in base units: a non-negative finite number, then one of the notation's units.
double parse(std::string_view text, const Notation& notation) {
    const std::string_view body = trimmed(text);
    double number = 0;
    const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), number);
    if (error != std::errc{} || !std::isfinite(number)) {
        throw ConfigError(
            {fmt::format("'{}' is not a {} (it does not start with a usable number) "
                         "write a number and one of {}",
                         text,
                         notation.what,
                         fmt::join(names_of(notation.units), ", "))});
    }
    const std::string_view digits = body.substr(0, static_cast<std::size_t>(end - body.data()));
    const std::string_view name = trimmed(body.substr(digits.size()));
    if (std::signbit(number)) {
        throw ConfigError(
            {fmt::format("'{}' is negative (a {} is not) remove the sign", text, notation.what)});
    }
    if (name.empty()) {
        throw ConfigError({fmt::format(
            "'{}' has no unit ({}", text, fmt::format(fmt::runtime(notation.no_unit), digits))});
    }
    const auto unit = std::find_if(notation.units.begin(),
                                   notation.units.end(),
                                   [&](const Unit& candidate) { return candidate.name == name; });
    if (unit == notation.units.end()) {
        const std::vector<std::string> names = names_of(notation.units);
        throw ConfigError({fmt::format("'{}' has an unknown unit '{}' (units are {}){}",
                                       text,
                                       name,
                                       fmt::join(names, ", "),
                                       did_you_mean(name, names))});
    }
    return number * unit->factor;
}

void refuse_beyond(double value, double limit, std::string_view text, std::string_view most) {
    if (value > limit) {
        throw ConfigError(
            {fmt::format("'{}' is too large (the most is {}) write less", text, most)});
    }
}

/// `value` with three significant digits, trailing zeros kept: "1.23", "12.3", "123".
std::string three_digits(double value) {
    if (value < 9.995) {
        return fmt::format("{:.2f}", value);
    }
    return value < 99.95 ? fmt::format("{:.1f}", value) : fmt::format("{:.0f}", value);
}

/// A duration below a minute.
std::string short_duration(double seconds) {
    constexpr std::array units{Unit{"ns", 1e-9}, Unit{"us", 1e-6}, Unit{"ms", 1e-3}, Unit{"s", 1}};
    for (const Unit& unit : units) {
        if (seconds / unit.factor < 999.5 || unit.factor == 1) {
            return fmt::format("{} {}", three_digits(seconds / unit.factor), unit.name);
        }
    }
    return "";
}

/// Two whole units: "4 min 10 s". `seconds` counts the smaller one.
std::string two_units(double seconds,
                      double large,
                      std::string_view large_name,
                      double small,
                      std::string_view small_name) {
    const auto smalls = static_cast<std::int64_t>(std::llround(seconds / small));
    const auto per_large = static_cast<std::int64_t>(large / small);
    return fmt::format(
        "{} {} {} {}", smalls / per_large, large_name, smalls % per_large, small_name);
}

}  // namespace

Bytes parse_bytes(std::string_view text) {
    const double value = parse(text, bytes_notation);
    refuse_beyond(value, 9e18, text, "9000000 TB");
    return Bytes{std::llround(value)};
}

Bandwidth parse_bandwidth(std::string_view text) {
    return Bandwidth{parse(text, bandwidth_notation)};
}

FlopRate parse_flop_rate(std::string_view text) {
    return FlopRate{parse(text, flop_rate_notation)};
}

SimTime parse_time(std::string_view text) {
    const double seconds = parse(text, time_notation);
    refuse_beyond(seconds, 9e6, text, "2500 h");
    return from_seconds(seconds);
}

std::string format_bytes(Bytes bytes) {
    constexpr std::array<std::string_view, 6> prefixes{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const double magnitude = std::abs(bytes.as_double());
    if (magnitude < kibi) {
        return fmt::format("{} B", bytes.value());
    }
    double value = bytes.as_double() / kibi;
    std::size_t prefix = 0;
    while (std::abs(value) >= 1023.95 && prefix + 1 < prefixes.size()) {  // would print as 1024.0
        value /= kibi;
        ++prefix;
    }
    return fmt::format("{:.1f} {}", value, prefixes.at(prefix));
}

std::string format_seconds(double seconds) {
    constexpr double minute = 60;
    constexpr double hour = 60 * minute;
    constexpr double day = 24 * hour;
    constexpr double year = 365 * day;
    if (!std::isfinite(seconds)) {
        return fmt::format("{} s", seconds);
    }
    if (seconds < 0) {
        return "-" + format_seconds(-seconds);
    }
    if (seconds == 0) {
        return "0 s";
    }
    if (seconds < minute - 0.05) {
        return short_duration(seconds);
    }
    if (seconds < hour - 0.5) {
        return two_units(seconds, minute, "min", 1, "s");
    }
    if (seconds < day - minute / 2) {
        return two_units(seconds, hour, "h", minute, "min");
    }
    if (seconds < year) {
        return fmt::format("{} days", three_digits(seconds / day));
    }
    const double years = seconds / year;
    return years < 1e4 ? fmt::format("{} years", three_digits(years))
                       : fmt::format("{:.3g} years", years);
}

std::string format_count(double count) {
    constexpr std::array units{Unit{"K", 1e3}, Unit{"M", 1e6}, Unit{"B", 1e9}, Unit{"T", 1e12}};
    const double magnitude = std::abs(count);
    if (!(magnitude >= 999.5)) {
        return fmt::format("{:.3g}", count);
    }
    for (const Unit& unit : units) {
        if (magnitude / unit.factor < 999.95) {
            return fmt::format("{:.1f} {}", count / unit.factor, unit.name);
        }
    }
    std::string text = fmt::format("{:.2e}", count);
    std::erase(text, '+');
    return text;
}

}  // namespace traindyno
