// SPDX-License-Identifier: Apache-2.0
// What NCCL says about network, NICs and channels when it sets up.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace traindyno {

/// The lines of an NCCL_DEBUG=INFO log that say what traffic takes: version, network, NICs, sizes,
/// channels; without time, host and process, each once. Connections are counted by their way.
[[nodiscard]] std::vector<std::string> interesting_lines(std::string_view log);

/// Sends NCCL's log of its set-up to a temporary file. Does nothing where the user set NCCL_DEBUG.
/// Must be made before the first NCCL call, since NCCL reads its environment once.
class NcclLog {
  public:
    NcclLog();
    ~NcclLog();

    NcclLog(const NcclLog&) = delete;
    NcclLog& operator=(const NcclLog&) = delete;
    NcclLog(NcclLog&&) = delete;
    NcclLog& operator=(NcclLog&&) = delete;

    /// What is there so far: NCCL connects at the first use, so ask after the warm-up.
    [[nodiscard]] std::vector<std::string> lines() const;

  private:
    std::filesystem::path file_;  ///< empty: the user reads the log
};

}  // namespace traindyno
