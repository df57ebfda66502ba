// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/task_list.hpp"

#include <algorithm>

namespace traindyno {

TaskId TaskList::compute(Task task, Earlier after) {
    task.after.insert(task.after.end(), unfinished_.begin(), unfinished_.end());
    unfinished_.clear();
    last_compute_ = add(std::move(task), after);
    return *last_compute_;
}

TaskId TaskList::point_to_point(Task task, Earlier after) {
    if (overlap_p2p_ == Overlap::on) {
        return add(std::move(task), after);
    }
    unfinished_.push_back(add(std::move(task), {last_compute_}));
    return unfinished_.back();
}

TaskId TaskList::add(Task task, Earlier after) {
    for (const std::optional<TaskId>& earlier : after) {
        if (earlier &&
            std::find(task.after.begin(), task.after.end(), *earlier) == task.after.end()) {
            task.after.push_back(*earlier);
        }
    }
    tasks_.push_back(std::move(task));
    return TaskId{static_cast<std::int64_t>(tasks_.size()) - 1};
}

}  // namespace traindyno
