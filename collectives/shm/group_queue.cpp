// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/group_queue.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"

namespace traindyno {

void GroupQueue::add(PhasedOperation& operation) {
    TD_EXPECT(usable_);
    operations_.push_back(&operation);
}

void GroupQueue::abandon(const PhasedOperation& operation) {
    if (holds(operation)) {
        operations_.clear();
        usable_ = false;
    }
}

bool GroupQueue::holds(const PhasedOperation& operation) const {
    return std::find(operations_.begin(), operations_.end(), &operation) != operations_.end();
}

Look GroupQueue::advance() {
    if (operations_.empty()) {
        return Look::waiting;
    }
    PhasedOperation& oldest = *operations_.front();
    if (stage_ == Stage::writing) {
        oldest.write(board_, phase_);
        board_.publish(phase_);
        stage_ = Stage::waiting;
        return Look::progressed;
    }
    if (stage_ == Stage::waiting && !board_.all_published(phase_)) {
        return Look::waiting;
    }
    stage_ = Stage::reading;
    const PhasedOperation::Outcome outcome = oldest.read(board_, phase_);
    if (outcome != PhasedOperation::Outcome::more) {
        stage_ = Stage::writing;
        ++phase_;
    }
    if (outcome == PhasedOperation::Outcome::complete) {
        operations_.pop_front();
    }
    return Look::progressed;
}

std::vector<GroupRank> GroupQueue::waiting_for() const {
    std::vector<GroupRank> ranks;
    if (!operations_.empty() && stage_ == Stage::waiting) {
        for (const std::int64_t missing : board_.missing(phase_)) {
            ranks.emplace_back(missing);
        }
    }
    return ranks;
}

}  // namespace traindyno
