// SPDX-License-Identifier: Apache-2.0
// The settings in which random cases differ. To draw another one, add a line to dimensions.cpp.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/program/cases.hpp"

namespace traindyno::test {

/// A setting and what is drawn for it.
struct Dimension {
    std::string name;                  ///< where it is a flag, the flag's
    std::vector<std::string> choices;  ///< the simplest first
    /// Sets the index-th choice. Dimensions are set in the order of the table.
    std::function<void(Case&, std::size_t)> set;
    /// Whether the setting changes anything, given the dimensions before.
    std::function<bool(const Case&)> matters = [](const Case&) { return true; };
    std::function<std::string(const Case&)> flag{};  ///< its value in a case; empty: no flag
};

[[nodiscard]] const std::vector<Dimension>& dimensions();

/// An index into Dimension::choices for each dimension; 0 where it does not matter.
using Choices = std::vector<std::size_t>;

[[nodiscard]] Case case_of(Choices& choices);

/// The flags, without dashes, that mean the case beside its model.
[[nodiscard]] std::map<std::string, std::string> flags_of(const Case& at);

/// A file that --model takes.
[[nodiscard]] std::string model_file(const Model& model);

/// How to see the case with the program itself.
[[nodiscard]] std::string reproduction(const Case& at);

}  // namespace traindyno::test
