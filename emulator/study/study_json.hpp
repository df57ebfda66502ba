// SPDX-License-Identifier: Apache-2.0
// Studies as JSON text (schema traindyno.study/1, docs/study.schema.json).
#pragma once

#include <string>
#include <string_view>

#include "emulator/study/study.hpp"

namespace traindyno {

inline constexpr std::string_view study_schema = "traindyno.study/1";
inline constexpr std::string_view point_schema = "traindyno.point/1";

/// `parse_study(to_json(study), "") == study`. Text that is not UTF-8 loses its wrong bytes; a
/// number that is not finite is a ContractError.
[[nodiscard]] std::string to_json(const Study& study);

/// One point on its own, as written while a job runs.
[[nodiscard]] std::string to_json(const Point& point);

/// Strict: unknown, missing and mistyped keys and values that make no sense are listed together in
/// a ConfigError, each with `file` and its key.
[[nodiscard]] Study parse_study(std::string_view text, std::string_view file);
[[nodiscard]] Point parse_point(std::string_view text, std::string_view file);

}  // namespace traindyno
