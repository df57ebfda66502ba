// SPDX-License-Identifier: Apache-2.0
// Configuration files are found, and unreadable ones are named with the reason.
#include "emulator/base/config_files.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

/// Sets TRAINDYNO_CONFIGS for one test.
class ChosenConfigs {
  public:
    explicit ChosenConfigs(const std::string& path) {
        setenv("TRAINDYNO_CONFIGS", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    }

    ChosenConfigs(const ChosenConfigs&) = delete;
    ChosenConfigs& operator=(const ChosenConfigs&) = delete;
    ChosenConfigs(ChosenConfigs&&) = delete;
    ChosenConfigs& operator=(ChosenConfigs&&) = delete;

    ~ChosenConfigs() { unsetenv("TRAINDYNO_CONFIGS"); }  // NOLINT(concurrency-mt-unsafe)
};

std::string read_error(const std::filesystem::path& path) {
    try {
        (void)read_text_file(path);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(ConfigRoot, is_the_source_tree_by_default) {
    EXPECT_TRUE(std::filesystem::is_directory(config_root() / "models"));
    EXPECT_TRUE(std::filesystem::is_directory(config_root() / "machines"));
}

TEST(ConfigRoot, follows_the_environment) {
    const ScratchFolder scratch;
    const ChosenConfigs chosen(scratch.path().string());
    EXPECT_EQ(config_root(), scratch.path());
}

TEST(ConfigRoot, refuses_an_environment_that_names_no_folder) {
    const ScratchFolder scratch;
    const ChosenConfigs chosen((scratch.path() / "absent").string());
    EXPECT_THROW((void)config_root(), ConfigError);
}

TEST(ConfigNames, are_the_sorted_stems_of_toml_files) {
    const ScratchFolder scratch;
    const ChosenConfigs chosen(scratch.path().string());
    for (const char* name : {"models/b.toml", "models/a-1.3b.toml", "models/notes.txt"}) {
        (void)scratch.write(name, "");
    }
    EXPECT_EQ(config_names("models"), (std::vector<std::string>{"a-1.3b", "b"}));
}

TEST(ConfigNames, need_their_folder) {
    const ScratchFolder scratch;
    const ChosenConfigs chosen(scratch.path().string());
    EXPECT_THROW((void)config_names("machines"), ConfigError);
}

TEST(ConfigPath, finds_names_and_takes_paths_as_they_are) {
    EXPECT_EQ(config_path("models", "gpt3-125m"), config_root() / "models" / "gpt3-125m.toml");
    EXPECT_EQ(config_path("models", "elsewhere/my.toml"), "elsewhere/my.toml");
}

TEST(ConfigPath, suggests_the_nearest_name) {
    try {
        (void)config_path("models", "gpt3-125n");
        FAIL() << "an unknown name was accepted";
    } catch (const ConfigError& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("did you mean 'gpt3-125m'?"), std::string::npos) << text;
        EXPECT_NE(text.find("gpt3-175b"), std::string::npos) << text;
    }
}

TEST(ConfigPath, does_not_leave_its_folder) {
    EXPECT_THROW((void)config_path("models", "../machines/dgx-a100"), ConfigError);
}

TEST(ReadTextFile, returns_every_byte) {
    const ScratchFolder scratch;
    const std::string text = "a = 1\r\n# gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\n";
    EXPECT_EQ(read_text_file(scratch.write("file.toml", text)), text);
    EXPECT_EQ(read_text_file(scratch.write("empty.toml", "")), "");
}

TEST(ReadTextFile, names_the_line_that_is_not_utf8) {
    const ScratchFolder scratch;
    for (const char* bytes : {"\xFF",
                              "\xC0\x80",
                              "\xED\xA0\x80",
                              "\xF5\x80\x80\x80",
                              "\xE2\x82",
                              "\x80",
                              "gr\xFC\xDF"}) {
        const std::string path = scratch.write("file.toml", std::string("a = 1\nb = ") + bytes);
        EXPECT_TRUE(read_error(path).starts_with(path + ":2: not UTF-8")) << read_error(path);
    }
}

TEST(ReadTextFile, says_why_a_file_cannot_be_read) {
    const ScratchFolder scratch;
    EXPECT_NE(read_error(scratch.path() / "absent.toml").find("No such file"), std::string::npos);
    EXPECT_NE(read_error(scratch.path()).find("not a regular file"), std::string::npos);
    EXPECT_NE(read_error("/dev/zero").find("not a regular file"), std::string::npos);
    const std::string beneath_a_file = scratch.write("file.toml", "") + "/x.toml";
    EXPECT_NE(read_error(beneath_a_file).find("Not a directory"), std::string::npos);
}

TEST(DidYouMean, forgives_slips_only) {
    const std::vector<std::string> known{"gpt3-125m", "gpt3-175b", "llama3-8b"};
    EXPECT_EQ(did_you_mean("gpt3-125", known), "; did you mean 'gpt3-125m'?");
    EXPECT_EQ(did_you_mean("LLAMA3-8B", known), "; did you mean 'llama3-8b'?");
    EXPECT_EQ(did_you_mean("bert", known), "");
    EXPECT_EQ(did_you_mean("anything", {}), "");
}

}  // namespace
}  // namespace traindyno
