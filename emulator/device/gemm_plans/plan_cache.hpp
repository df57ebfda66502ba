// SPDX-License-Identifier: Apache-2.0
// Tuned algorithms of GPU matrix products, kept in a file between runs.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "emulator/device/gemm_plans/gemm_key.hpp"

namespace traindyno {

/// What plans are valid for: this GPU and this library. Others' plans stay in the file, unused.
struct PlanScope {
    std::string device;      ///< "NVIDIA H200"
    std::string capability;  ///< "9.0"
    int multiprocessors = 0;
    std::string library;  ///< "cuBLASLt 130100"

    friend auto operator<=>(const PlanScope&, const PlanScope&) = default;
};

struct TunedPlan {
    std::array<std::uint64_t, 8> algorithm{};  ///< cublasLtMatmulAlgo_t, opaque
    double microseconds = 0;                   ///< when tuned
    int rank = 0;                              ///< in the library's own list; 0 = its first guess

    friend bool operator==(const TunedPlan&, const TunedPlan&) = default;
};

/// Plans by scope and key text.
using PlanTable = std::map<PlanScope, std::map<std::string, TunedPlan>>;

class PlanCache {
  public:
    /// Reads `file` if it exists; "" keeps nothing. What cannot be read is left out and said in
    /// notes(): it only costs tuning anew.
    PlanCache(std::filesystem::path file, PlanScope scope);

    [[nodiscard]] std::optional<TunedPlan> find(const GemmKey& key) const;
    void add(const GemmKey& key, const TunedPlan& plan);

    /// Adds to the file what was added here since the last call, beside what other processes wrote
    /// meanwhile; of two plans of one key the later stays. Readers see the old file or the new one.
    /// ConfigError when the file cannot be written.
    void save();

    /// "problem (why) suggestion" of every damage found in the file.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

  private:
    std::filesystem::path file_;
    PlanScope scope_;
    std::map<std::string, TunedPlan> plans_;
    PlanTable unsaved_;
    std::vector<std::string> notes_;
};

}  // namespace traindyno
