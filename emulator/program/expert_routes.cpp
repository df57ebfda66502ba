// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/expert_routes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emulator/base/error.hpp"

namespace traindyno {

std::vector<std::int64_t> expert_loads(std::int64_t experts,
                                       std::int64_t tokens,
                                       std::int64_t top_k,
                                       double skew) {
    TD_EXPECT(experts >= top_k && top_k >= 1 && tokens >= 1 && skew >= 0);
    const auto count = static_cast<std::size_t>(experts);
    const auto weight = [skew](std::size_t expert) {
        return std::pow(static_cast<double>(expert + 1), -skew);
    };
    std::vector<double> weight_from(count + 1);  // of an expert and all less popular ones
    for (std::size_t i = count; i-- > 0;) {
        weight_from[i] = weight_from[i + 1] + weight(i);
    }
    std::vector<std::int64_t> loads(count, tokens);
    std::int64_t left = tokens * top_k;
    std::size_t first = 0;  // experts before it are visited by every token
    const auto share = [&](std::size_t expert) {
        return static_cast<double>(left) * weight(expert) / weight_from[first];
    };
    for (; first < count && share(first) >= static_cast<double>(tokens); ++first) {
        left -= tokens;
    }
    std::int64_t rest = left;
    for (std::size_t i = first; i < count; ++i) {
        loads[i] = std::min(static_cast<std::int64_t>(share(i)), rest);
        rest -= loads[i];
    }
    for (std::size_t i = first; rest > 0; i = i + 1 < count ? i + 1 : first) {
        if (loads[i] < tokens) {
            ++loads[i];
            --rest;
        }
    }
    return loads;
}

std::int64_t expert_capacity(std::int64_t experts,
                             std::int64_t tokens,
                             std::int64_t top_k,
                             double capacity_factor) {
    const double share =
        static_cast<double>(tokens) * static_cast<double>(top_k) / static_cast<double>(experts);
    return static_cast<std::int64_t>(
        std::min(std::ceil(share * capacity_factor), static_cast<double>(tokens)));
}

ExpertRoutes::ExpertRoutes(const Model& model,
                           const Layout& layout,
                           const TrainingSetup& setup,
                           std::int64_t tokens)
    : members_(layout.ep), experts_of_member_(model.experts / layout.ep) {
    if (setup.capacity_factor > 0) {
        rows_.assign(static_cast<std::size_t>(model.experts),
                     expert_capacity(model.experts, tokens, model.top_k, setup.capacity_factor));
        return;
    }
    const std::vector<std::int64_t> loads =
        expert_loads(model.experts, tokens, model.top_k, setup.expert_skew);
    for (std::int64_t member = 0; member < members_; ++member) {
        for (std::int64_t local = 0; local < experts_of_member_; ++local) {
            rows_.push_back(loads[static_cast<std::size_t>(local * members_ + member)]);
        }
    }
}

std::int64_t ExpertRoutes::rows_to(std::int64_t member) const {
    const auto begin = rows_.begin() + member * experts_of_member_;
    return std::accumulate(begin, begin + experts_of_member_, std::int64_t{0});
}

std::int64_t ExpertRoutes::sent() const {
    return std::accumulate(rows_.begin(), rows_.end(), std::int64_t{0});
}

bool ExpertRoutes::equal_parts() const {
    for (std::int64_t member = 1; member < members_; ++member) {
        if (rows_to(member) != rows_to(0)) {
            return false;
        }
    }
    return true;
}

}  // namespace traindyno
