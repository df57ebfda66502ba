// SPDX-License-Identifier: Apache-2.0
#include "tests/support/process.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <sys/wait.h>
#include <unistd.h>

namespace traindyno::test {

namespace {

std::string contents(const std::filesystem::path& path) {
    const std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

ProcessResult run_command(const std::string& command, const std::filesystem::path& folder) {
    const auto out = folder / "captured.out";
    const auto err = folder / "captured.err";
    const std::string line = "cd '" + folder.string() + "' && { " + command + "; } >'" +
                             out.string() + "' 2>'" + err.string() + "' </dev/null";
    const int status = std::system(line.c_str());
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .out = contents(out),
            .err = contents(err)};
}

TemporaryFolder::TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "traindyno-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        throw std::runtime_error("no temporary folder could be made");
    }
    path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace traindyno::test
