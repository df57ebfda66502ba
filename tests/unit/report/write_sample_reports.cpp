// SPDX-License-Identifier: Apache-2.0
// write_sample_reports FOLDER: reports of the sample studies, to look at.
#include <exception>
#include <filesystem>

#include <fmt/format.h>

#include "emulator/report/report.hpp"
#include "tests/unit/study/sample_study.hpp"

int main(int argc, char** argv) {
    try {
        if (argc != 2) {
            fmt::print(stderr, "usage: write_sample_reports FOLDER\n");
            return 2;
        }
        for (const auto& [name, study] : {std::pair{"weak", traindyno::test::weak_study()},
                                          std::pair{"strong", traindyno::test::strong_study()}}) {
            fmt::print("{}\n", traindyno::summary_text(study));
            const auto folder = std::filesystem::path(argv[1]) / name;
            for (const std::string& note : traindyno::write_report(study, folder)) {
                fmt::print("{}\n", note);
            }
        }
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
