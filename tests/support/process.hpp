// SPDX-License-Identifier: Apache-2.0
// Runs a command line for a test and keeps everything it printed.
#pragma once

#include <filesystem>
#include <string>

namespace traindyno::test {

struct ProcessResult {
    int exit_code = -1;
    std::string out;
    std::string err;
};

/// Runs `command` in a shell in `folder`, which also takes the captured output.
[[nodiscard]] ProcessResult run_command(const std::string& command,
                                        const std::filesystem::path& folder);

/// A folder of its own below the system's temporary folder; removed with everything in it.
class TemporaryFolder {
  public:
    TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    TemporaryFolder(TemporaryFolder&&) = delete;
    TemporaryFolder& operator=(TemporaryFolder&&) = delete;
    ~TemporaryFolder();

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace traindyno::test
