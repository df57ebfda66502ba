// SPDX-License-Identifier: Apache-2.0
// How budget categories look and read, the same in every chart and table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

struct CategoryLook {
    std::string_view label;
    std::string_view colour;  ///< #rrggbb
};

/// Hues follow Okabe and Ito's colour-blind safe set: blue and green for work, orange to red for
/// exposed communication, purple for waiting, yellow for the bubble, grey for the rest. All are
/// readable on white and on near-black.
[[nodiscard]] CategoryLook look_of(Category category);

inline constexpr std::string_view measured_colour = "#0072b2";
inline constexpr std::string_view ideal_colour = "#888888";
inline constexpr std::string_view alarm_colour = "#d55e00";

/// "dp traffic", "pp transfers": the traffic of a group kind.
[[nodiscard]] std::string_view traffic_name(GroupKind kind);

/// All categories, in the order of the enum.
[[nodiscard]] std::vector<Category> all_categories();

/// Categories that are at least `threshold` in size in one of the budgets picked from the points.
[[nodiscard]] std::vector<Category> categories_in(const std::vector<Point>& points,
                                                  Budget Point::*budget,
                                                  double threshold);

}  // namespace traindyno
