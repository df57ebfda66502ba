// SPDX-License-Identifier: Apache-2.0
// What --version and describe say about GPUs, with and without the GPU module beside the program.
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace traindyno::test {
namespace {

/// How many lines of `text` start with `start`.
int lines_starting_with(const std::string& text, const std::string& start) {
    int count = text.rfind(start, 0) == 0 ? 1 : 0;
    for (std::size_t at = text.find("\n" + start); at != std::string::npos;
         at = text.find("\n" + start, at + 1)) {
        ++count;
    }
    return count;
}

TEST(VersionFlag, lists_the_gpus_or_says_why_there_is_none) {
    const TemporaryFolder folder;
    const ProcessResult result = run_command("'" TRAINDYNO_EXECUTABLE "' --version", folder.path());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(lines_starting_with(result.out, "traindyno "), 1) << result.out;
    const int none = lines_starting_with(result.out, "GPU: none (");
    const int listed = lines_starting_with(result.out, "GPU 0: ");
    EXPECT_EQ(none + listed, 1) << result.out;
}

TEST(VersionFlag, needs_no_gpu_module) {
    const TemporaryFolder folder;
    // A copy, since a link would lead back to the folder of the module.
    std::filesystem::copy_file(TRAINDYNO_EXECUTABLE, folder.path() / "traindyno");
    const ProcessResult version = run_command("./traindyno --version", folder.path());
    EXPECT_EQ(version.exit_code, 0) << version.err;
    EXPECT_NE(version.out.find("\nGPU: none (libtraindyno_cuda.so: "), std::string::npos)
        << version.out;
    const ProcessResult describe =
        run_command("./traindyno describe --model gpt3-125m --json", folder.path());
    EXPECT_NE(describe.out.find("\"devices\": []"), std::string::npos)
        << describe.out << describe.err;
}

}  // namespace
}  // namespace traindyno::test
