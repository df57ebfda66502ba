// SPDX-License-Identifier: Apache-2.0
// Typed access to imported arguments; remembers which of them were asked for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/importer/arguments.hpp"

namespace traindyno {

/// The last of several arguments of one name counts, as in argparse.
class ArgumentReader {
  public:
    /// `source` is the file's name, or the flag that held the arguments.
    ArgumentReader(const std::vector<Argument>& arguments, std::string source, Problems& problems);

    /// "pretrain.sh:12: --num-layers"
    [[nodiscard]] std::string origin(std::string_view name) const;

    [[nodiscard]] bool given(std::string_view name);
    /// The first value. A problem when the argument has none.
    [[nodiscard]] std::optional<std::string> text(std::string_view name);
    /// A whole number of at least 1.
    [[nodiscard]] std::optional<std::int64_t> count(std::string_view name);
    [[nodiscard]] std::optional<double> number(std::string_view name);
    [[nodiscard]] std::vector<std::string> values(std::string_view name);
    void refuse(std::string_view name, std::string_view problem);

    /// Arguments that nobody asked for, in the order of their names.
    [[nodiscard]] std::vector<const Argument*> left_over() const;

  private:
    [[nodiscard]] const Argument* find(std::string_view name);

    std::map<std::string, Argument, std::less<>> arguments_;
    std::string source_;
    Problems& problems_;
    std::set<std::string, std::less<>> asked_for_;
};

}  // namespace traindyno
