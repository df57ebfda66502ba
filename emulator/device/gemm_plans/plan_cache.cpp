// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/plan_cache.hpp"

#include <utility>

#include "emulator/device/gemm_plans/plan_file.hpp"

namespace traindyno {

PlanCache::PlanCache(std::filesystem::path file, PlanScope scope)
    : file_(std::move(file)), scope_(std::move(scope)) {
    if (!file_.empty()) {
        PlanFile content = read_plan_file(file_);
        plans_ = std::move(content.plans[scope_]);
        notes_ = std::move(content.notes);
    }
}

std::optional<TunedPlan> PlanCache::find(const GemmKey& key) const {
    const auto found = plans_.find(to_text(key));
    return found == plans_.end() ? std::nullopt : std::optional(found->second);
}

void PlanCache::add(const GemmKey& key, const TunedPlan& plan) {
    plans_.insert_or_assign(to_text(key), plan);
    unsaved_[scope_].insert_or_assign(to_text(key), plan);
}

void PlanCache::save() {
    if (file_.empty() || unsaved_.empty()) {
        return;
    }
    merge_into_plan_file(file_, unsaved_);
    unsaved_.clear();
}

}  // namespace traindyno
