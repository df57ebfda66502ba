// SPDX-License-Identifier: Apache-2.0
// The efficiency budget: a step's wall time cut into exclusive categories that add up exactly.
#pragma once

#include <array>
#include <cstdint>

#include "emulator/base/enum_names.hpp"
#include "emulator/layout/layout.hpp"

namespace traindyno {

enum class Category : std::uint8_t {
    compute_forward,
    compute_backward,
    compute_recompute,
    compute_optimizer,
    compute_slowdown,  ///< compute time beyond the same operation's time without communication
    exposed_tp,        ///< compute idle while a communication moves data, per group kind
    exposed_cp,
    exposed_ep,
    exposed_dp,
    exposed_dp_shard,
    exposed_dp_replicate,
    exposed_expert_dp,
    exposed_pp,
    exposed_embedding,
    exposed_model,
    wait_tp,  ///< compute idle until the latest member arrives at a communication, per group kind
    wait_cp,
    wait_ep,
    wait_dp,
    wait_dp_shard,
    wait_dp_replicate,
    wait_expert_dp,
    wait_pp,
    wait_embedding,
    wait_model,
    bubble,      ///< idle of the pipeline schedule itself, up to its formula
    launch_gap,  ///< compute idle although its next operation could run
    residual,    ///< step time minus everything above
};

template <>
struct EnumNames<Category> {
    static constexpr auto names = enum_table<Category>("compute_forward",
                                                       "compute_backward",
                                                       "compute_recompute",
                                                       "compute_optimizer",
                                                       "compute_slowdown",
                                                       "exposed_tp",
                                                       "exposed_cp",
                                                       "exposed_ep",
                                                       "exposed_dp",
                                                       "exposed_dp_shard",
                                                       "exposed_dp_replicate",
                                                       "exposed_expert_dp",
                                                       "exposed_pp",
                                                       "exposed_embedding",
                                                       "exposed_model",
                                                       "wait_tp",
                                                       "wait_cp",
                                                       "wait_ep",
                                                       "wait_dp",
                                                       "wait_dp_shard",
                                                       "wait_dp_replicate",
                                                       "wait_expert_dp",
                                                       "wait_pp",
                                                       "wait_embedding",
                                                       "wait_model",
                                                       "bubble",
                                                       "launch_gap",
                                                       "residual");
};

[[nodiscard]] constexpr Category exposed(GroupKind kind) {
    return static_cast<Category>(static_cast<int>(Category::exposed_tp) + static_cast<int>(kind));
}

[[nodiscard]] constexpr Category wait(GroupKind kind) {
    return static_cast<Category>(static_cast<int>(Category::wait_tp) + static_cast<int>(kind));
}

/// Seconds (or shares of ideal time) per category.
struct Budget {
    std::array<double, enum_count<Category>> seconds{};

    friend bool operator==(const Budget&, const Budget&) = default;

    [[nodiscard]] double& operator[](Category category) {
        return seconds[static_cast<std::size_t>(category)];
    }

    [[nodiscard]] double operator[](Category category) const {
        return seconds[static_cast<std::size_t>(category)];
    }

    [[nodiscard]] double total() const;
};

[[nodiscard]] Budget operator+(const Budget& a, const Budget& b);
[[nodiscard]] Budget operator-(const Budget& a, const Budget& b);
[[nodiscard]] Budget operator*(const Budget& a, double scale);

}  // namespace traindyno
