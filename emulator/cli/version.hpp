// SPDX-License-Identifier: Apache-2.0
// What this binary is: version, source revision, libraries.
#pragma once

#include <string>

namespace traindyno {

/// "0.1.0 (git 1a2b3c4)": the project version and git describe of the tree it was built from.
[[nodiscard]] std::string version();

/// version() with the libraries and GPUs it runs on, for --version. Loads the GPU module.
[[nodiscard]] std::string version_text();

}  // namespace traindyno
