// SPDX-License-Identifier: Apache-2.0
// The result folder of a job: what is complete is on disk, whatever happens next.
#pragma once

#include <filesystem>
#include <string_view>

#include "emulator/study/study.hpp"

namespace traindyno {

// A result folder holds
//     header.json              the study without points, written before anything is measured
//     points/point-<ranks>.json   one per point, written when it is complete
//     study.json               the whole study, written at the end
// Folders are created as needed. Each file appears whole or not at all (temporary file, fsync,
// rename). ConfigError when something cannot be written; files written before stay as they are.

/// Replaces `path` with `text` as a whole.
void write_file(const std::filesystem::path& path, std::string_view text);

void write_header(const std::filesystem::path& folder, const Study& study);
void write_point(const std::filesystem::path& folder, const Point& point);
void write_study(const std::filesystem::path& folder, const Study& study);

/// The study in `path`: a study file, or a result folder. Of a folder whose job did not finish, the
/// header and the points it completed, with a flag that says so. Completed by complete(). Throws
/// ConfigError.
[[nodiscard]] Study read_results(const std::filesystem::path& path);

}  // namespace traindyno
