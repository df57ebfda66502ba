// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/palette.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace traindyno {

CategoryLook look_of(Category category) {
    static constexpr std::array<CategoryLook, enum_count<Category>> looks{{
        {"forward", "#0072b2"},
        {"backward", "#56b4e9"},
        {"recomputation", "#4a8ba8"},
        {"optimizer", "#009e73"},
        {"compute slowdown", "#7fa99b"},
        {"exposed tp traffic", "#e69f00"},
        {"exposed cp exchange", "#b87400"},
        {"exposed ep all-to-all", "#f0b860"},
        {"exposed dp traffic", "#d55e00"},
        {"exposed shard traffic", "#e2825f"},
        {"exposed replica traffic", "#b5532a"},
        {"exposed expert dp traffic", "#f19c79"},
        {"exposed pp transfers", "#a84a10"},
        {"exposed embedding all-reduce", "#e38b5b"},
        {"exposed norm all-reduce", "#96614a"},
        {"wait for tp peers", "#cc79a7"},
        {"wait for cp peers", "#a0527f"},
        {"wait for ep peers", "#e3a6c6"},
        {"wait for dp peers", "#9467bd"},
        {"wait for shard peers", "#7a5195"},
        {"wait for replica peers", "#a98bc4"},
        {"wait for expert dp peers", "#c5aede"},
        {"wait for pp peers", "#6f4aa0"},
        {"wait for embedding peers", "#b79ad6"},
        {"wait for norm peers", "#8573b8"},
        {"pipeline bubble", "#d8c21d"},
        {"launch gaps", "#8c9299"},
        {"not accounted for", "#b9bec4"},
    }};
    return looks.at(static_cast<std::size_t>(category));
}

std::string_view traffic_name(GroupKind kind) {
    static constexpr std::array<std::string_view, enum_count<GroupKind>> names{
        "tp traffic",
        "cp exchange",
        "ep all-to-all",
        "dp traffic",
        "shard traffic",
        "replica traffic",
        "expert dp traffic",
        "pp transfers",
        "embedding all-reduce",
        "gradient-norm all-reduce"};
    return names.at(static_cast<std::size_t>(kind));
}

std::vector<Category> all_categories() {
    std::vector<Category> categories;
    for (std::size_t i = 0; i < enum_count<Category>; ++i) {
        categories.push_back(static_cast<Category>(i));
    }
    return categories;
}

std::vector<Category> categories_in(const std::vector<Point>& points,
                                    Budget Point::*budget,
                                    double threshold) {
    std::vector<Category> categories;
    for (const Category category : all_categories()) {
        const bool present = std::any_of(points.begin(), points.end(), [&](const Point& point) {
            return std::abs((point.*budget)[category]) >= threshold;
        });
        if (present) {
            categories.push_back(category);
        }
    }
    return categories;
}

}  // namespace traindyno
