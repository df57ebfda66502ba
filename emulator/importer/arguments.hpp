// SPDX-License-Identifier: Apache-2.0
// Finds "--name value ..." in a command line or in the shell script that holds it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace traindyno {

struct Argument {
    std::string name;  ///< with its dashes
    std::vector<std::string> values;
    int line = 1;  ///< 0: not known
};

/// Reads `text` as a POSIX shell would split it into words: quotes, comments, continued lines, and
/// variables that the text itself sets (NAME=value, ${NAME}, ${NAME:-default}); lists in
/// parentheses and commands are words like others. A variable that is not set stays as "$NAME".
/// What follows a name up to the next one, or the end of the command, are its values.
[[nodiscard]] std::vector<Argument> arguments_in(std::string_view text);

}  // namespace traindyno
