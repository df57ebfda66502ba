// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/version.hpp"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/cli/flags.hpp"
#include "emulator/gpu/inventory_text.hpp"
#include "emulator/gpu/module.hpp"

namespace traindyno {
namespace {

TEST(Version, tells_what_gpu_inventory_found) {
    const std::string text = version_text();
    EXPECT_EQ(text.find("traindyno " + version()), 0U);
    const std::string found = "\n" + to_text(gpu_inventory());
    ASSERT_GE(text.size(), found.size());
    EXPECT_EQ(text.substr(text.size() - found.size()), found);
}

TEST(Version, is_found_out_only_when_it_is_asked_for) {
    int asked = 0;
    const auto version_of_test = [&] {
        ++asked;
        return std::string("1.2.3");
    };
    Problems problems;
    const std::array describe{"describe", "--model", "gpt3-125m"};
    EXPECT_FALSE(parse_arguments(describe, version_of_test, problems).information.has_value());
    EXPECT_EQ(asked, 0);
    const std::array ask{"--version"};
    const ParsedArguments parsed = parse_arguments(ask, version_of_test, problems);
    ASSERT_TRUE(parsed.information.has_value());
    EXPECT_EQ(parsed.information->text, "1.2.3\n");
    EXPECT_EQ(asked, 1);
    EXPECT_TRUE(problems.empty());
}

}  // namespace
}  // namespace traindyno
