// SPDX-License-Identifier: Apache-2.0
// write_sample_studies FOLDER: the sample studies as result folders, for tests outside C++.
#include <exception>
#include <filesystem>

#include <fmt/format.h>

#include "emulator/study/result_files.hpp"
#include "tests/unit/study/sample_study.hpp"

int main(int argc, char** argv) {
    try {
        if (argc != 2) {
            fmt::print(stderr, "usage: write_sample_studies FOLDER\n");
            return 2;
        }
        const std::filesystem::path folder = argv[1];
        traindyno::write_study(folder / "weak", traindyno::test::weak_study());
        traindyno::write_study(folder / "strong", traindyno::test::strong_study());
        traindyno::write_study(folder / "gpus", traindyno::test::gpu_study());
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
