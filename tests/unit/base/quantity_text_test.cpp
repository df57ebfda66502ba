// SPDX-License-Identifier: Apache-2.0
// Units are read exactly, and nothing that is ambiguous is read at all.
#include "emulator/base/quantity_text.hpp"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

template <class Action>
std::string error_of(Action&& action) {
    try {
        action();
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(ParseBytes, reads_decimal_and_binary_prefixes) {
    EXPECT_EQ(parse_bytes("12B"), Bytes{12});
    EXPECT_EQ(parse_bytes("3KB"), Bytes{3'000});
    EXPECT_EQ(parse_bytes("25MB"), Bytes{25'000'000});
    EXPECT_EQ(parse_bytes("80GB"), Bytes{80'000'000'000});
    EXPECT_EQ(parse_bytes("2TB"), Bytes{2'000'000'000'000});
    EXPECT_EQ(parse_bytes("25MiB"), Bytes{25LL * 1024 * 1024});
    EXPECT_EQ(parse_bytes("4KiB"), Bytes{4LL * 1024});
    EXPECT_EQ(parse_bytes("1.5 GiB"), Bytes{3LL * 1024 * 1024 * 1024 / 2});
    EXPECT_EQ(parse_bytes("0B"), Bytes{0});
}

TEST(ParseBytes, explains_a_missing_unit) {
    EXPECT_EQ(error_of([] { (void)parse_bytes("12"); }),
              "'12' has no unit (bytes are ambiguous) write 12MiB or 12MB");
}

TEST(ParseBytes, suggests_the_nearest_unit) {
    const std::string error = error_of([] { (void)parse_bytes("12Mib"); });
    EXPECT_NE(error.find("unknown unit 'Mib'"), std::string::npos) << error;
    EXPECT_NE(error.find("did you mean 'MiB'?"), std::string::npos) << error;
}

TEST(ParseBytes, refuses_what_is_no_size) {
    for (const char* text : {"",
                             " ",
                             "MiB",
                             "-1MiB",
                             "-0B",
                             "nan MB",
                             "infGB",
                             "1e400B",
                             "1e19B",
                             "9TiB5",
                             "1,5GB",
                             "0x10B"}) {
        EXPECT_NE(error_of([&] { (void)parse_bytes(text); }), "") << text;
    }
}

TEST(ParseBandwidth, tells_bits_from_bytes) {
    EXPECT_DOUBLE_EQ(parse_bandwidth("400Gbps").value(), 50e9);
    EXPECT_DOUBLE_EQ(parse_bandwidth("2.0TB/s").value(), 2e12);
    EXPECT_DOUBLE_EQ(parse_bandwidth("300 GB/s").value(), 300e9);
}

TEST(ParseBandwidth, refuses_sizes_and_bare_numbers) {
    EXPECT_THROW((void)parse_bandwidth("400GB"), ConfigError);
    EXPECT_THROW((void)parse_bandwidth("400"), ConfigError);
}

TEST(ParseFlopRate, reads_tera_and_peta) {
    EXPECT_DOUBLE_EQ(parse_flop_rate("312TFLOP/s").value(), 312e12);
    EXPECT_DOUBLE_EQ(parse_flop_rate("2.25PFLOP/s").value(), 2.25e15);
    EXPECT_DOUBLE_EQ(parse_flop_rate("50GFLOP/s").value(), 50e9);
    EXPECT_THROW((void)parse_flop_rate("312TFLOPS"), ConfigError);
}

TEST(ParseTime, is_exact_in_picoseconds) {
    EXPECT_EQ(parse_time("1.2us"), SimTime{1'200'000});
    EXPECT_EQ(parse_time("5 ns"), SimTime{5'000});
    EXPECT_EQ(parse_time("3ms"), std::chrono::milliseconds{3});
    EXPECT_EQ(parse_time("2min"), std::chrono::minutes{2});
    EXPECT_EQ(parse_time("1h"), std::chrono::hours{1});
    EXPECT_THROW((void)parse_time("9999999h"), ConfigError);
    EXPECT_THROW((void)parse_time("-1s"), ConfigError);
}

TEST(FormatBytes, uses_binary_prefixes) {
    EXPECT_EQ(format_bytes(Bytes{0}), "0 B");
    EXPECT_EQ(format_bytes(Bytes{1023}), "1023 B");
    EXPECT_EQ(format_bytes(Bytes{1024}), "1.0 KiB");
    EXPECT_EQ(format_bytes(Bytes{25LL * 1024 * 1024}), "25.0 MiB");
    EXPECT_EQ(format_bytes(Bytes{1024 * 1024 - 1}), "1.0 MiB");
    EXPECT_EQ(format_bytes(Bytes{-2048}), "-2.0 KiB");
}

TEST(FormatSeconds, picks_the_unit_a_reader_would) {
    EXPECT_EQ(format_seconds(0), "0 s");
    EXPECT_EQ(format_seconds(1.23e-3), "1.23 ms");
    EXPECT_EQ(format_seconds(12.34e-6), "12.3 us");
    EXPECT_EQ(format_seconds(0.9999), "1.00 s");
    EXPECT_EQ(format_seconds(5e-9), "5.00 ns");
    EXPECT_EQ(format_seconds(42), "42.0 s");
    EXPECT_EQ(format_seconds(59.99), "1 min 0 s");
    EXPECT_EQ(format_seconds(250), "4 min 10 s");
    EXPECT_EQ(format_seconds(2 * 3600 + 5 * 60), "2 h 5 min");
    EXPECT_EQ(format_seconds(3.5 * 86400), "3.50 days");
    EXPECT_EQ(format_seconds(357.0 * 365 * 86400), "357 years");
    EXPECT_EQ(format_seconds(-250), "-4 min 10 s");
}

TEST(FormatCount, keeps_one_digit_after_the_point) {
    EXPECT_EQ(format_count(512), "512");
    EXPECT_EQ(format_count(1.3e6), "1.3 M");
    EXPECT_EQ(format_count(174.6e9), "174.6 B");
    EXPECT_EQ(format_count(999'960), "1.0 M");
    EXPECT_EQ(format_count(1.5e12), "1.5 T");
    EXPECT_EQ(format_count(3.15e23), "3.15e23");
}

}  // namespace
}  // namespace traindyno
