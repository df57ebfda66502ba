// SPDX-License-Identifier: Apache-2.0
// Every mistake in a TOML file is reported, with its line, at once.
#include "emulator/base/config_table.hpp"

#include <string>

#include <gtest/gtest.h>

#include "emulator/base/dtype.hpp"
#include "emulator/base/quantity_text.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

std::string problems_of(const ConfigTable& table) {
    try {
        table.throw_if_any();
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(ConfigTable, reads_every_kind_of_value) {
    const ScratchFolder scratch;
    ConfigTable table = ConfigTable::read(scratch.write("file.toml", R"(
count = 12
share = 0.5
nominal = 175e9
on = true
name = "x"
precision = "bf16"
memory = "80GB"
)"));
    EXPECT_EQ(table.integer("count"), 12);
    EXPECT_EQ(table.number("count"), 12.0);
    EXPECT_EQ(table.number("share"), 0.5);
    EXPECT_EQ(table.number("nominal"), 175e9);
    EXPECT_EQ(table.flag("on"), true);
    EXPECT_EQ(table.text("name"), "x");
    EXPECT_EQ(table.choice<DType>("precision"), DType::bf16);
    EXPECT_EQ(table.quantity("memory", parse_bytes), Bytes{80'000'000'000});
    EXPECT_EQ(table.integer("absent"), std::nullopt);
    table.refuse_other_keys();
    EXPECT_EQ(problems_of(table), "");
}

TEST(ConfigTable, reports_all_mistakes_with_their_lines) {
    const ScratchFolder scratch;
    const std::string path = scratch.write("file.toml", R"(count = "12"
share = "half"
on = 1
name = 3
precision = "bf61"
memory = "80"
infinite = inf
colour = "red"
)");
    ConfigTable table = ConfigTable::read(path);
    (void)table.integer("count");
    (void)table.number("share");
    (void)table.flag("on");
    (void)table.text("name");
    (void)table.choice<DType>("precision");
    (void)table.quantity("memory", parse_bytes);
    (void)table.number("infinite");
    table.require("layers", "12");
    table.refuse_other_keys();
    const std::string text = problems_of(table);
    EXPECT_NE(text.find(path + ":1: count: is text"), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":2: share: "), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":3: on: "), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":4: name: "), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":5: precision: 'bf61'"), std::string::npos) << text;
    EXPECT_NE(text.find("did you mean 'bf16'?"), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":6: memory: '80' has no unit"), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":7: infinite: is not finite"), std::string::npos) << text;
    EXPECT_NE(text.find(path + ":8: colour: unknown key"), std::string::npos) << text;
    EXPECT_NE(text.find(path + ": layers: is missing"), std::string::npos) << text;
    EXPECT_TRUE(table.reported("count"));
    EXPECT_FALSE(table.reported("absent"));
}

TEST(ConfigTable, shares_problems_with_its_sub_tables) {
    const ScratchFolder scratch;
    const std::string path =
        scratch.write("file.toml", "[[links]]\nranks = 8\n[[links]]\nranks = 'x'\n");
    ConfigTable table = ConfigTable::read(path);
    std::vector<ConfigTable> links = table.tables("links");
    ASSERT_EQ(links.size(), 2U);
    EXPECT_EQ(links[0].integer("ranks"), 8);
    EXPECT_EQ(links[1].integer("ranks"), std::nullopt);
    EXPECT_TRUE(problems_of(table).starts_with(path + ":4: ranks: is text"));
}

TEST(ConfigTable, refuses_a_table_where_a_list_of_tables_belongs) {
    const ScratchFolder scratch;
    ConfigTable table = ConfigTable::read(scratch.write("file.toml", "[links]\nranks = 8\n"));
    EXPECT_TRUE(table.tables("links").empty());
    EXPECT_NE(problems_of(table).find("[[links]]"), std::string::npos);
}

TEST(ConfigTable, names_the_line_where_toml_ends) {
    const ScratchFolder scratch;
    const std::string path = scratch.write("file.toml", "a = 1\nb = [1, 2");
    try {
        (void)ConfigTable::read(path);
        FAIL() << "a truncated file was accepted";
    } catch (const ConfigError& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with(path + ":2: not valid TOML"))
            << error.what();
    }
}

}  // namespace
}  // namespace traindyno
