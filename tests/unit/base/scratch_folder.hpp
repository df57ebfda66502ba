// SPDX-License-Identifier: Apache-2.0
// A folder of files that lives as long as a test.
#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include <unistd.h>

namespace traindyno {

class ScratchFolder {
  public:
    ScratchFolder() { std::filesystem::create_directories(path_); }

    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    ScratchFolder(ScratchFolder&&) = delete;
    ScratchFolder& operator=(ScratchFolder&&) = delete;

    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    /// Path of a new file `name` holding `content`; folders in `name` are made.
    [[nodiscard]] std::string write(std::string_view name, std::string_view content) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << content;
        return file.string();
    }

  private:
    [[nodiscard]] static std::filesystem::path fresh() {
        static std::atomic<int> count{0};
        return std::filesystem::temp_directory_path() /
               ("traindyno-test-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    }

    std::filesystem::path path_ = fresh();
};

}  // namespace traindyno
