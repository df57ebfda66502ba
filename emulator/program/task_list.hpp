// SPDX-License-Identifier: Apache-2.0
// Issues tasks and makes compute wait for point-to-point traffic where overlap is off.
#pragma once

#include <initializer_list>
#include <optional>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

class TaskList {
  public:
    explicit TaskList(Overlap overlap_p2p) : overlap_p2p_(overlap_p2p) {}

    using Earlier = std::initializer_list<std::optional<TaskId>>;

    TaskId compute(Task task, Earlier after);
    /// With overlap: posted once `after` is complete. Without: posted after the compute before it,
    /// together with the others in that place, and the next compute waits for all of them.
    TaskId point_to_point(Task task, Earlier after);

    TaskId collective(Task task, Earlier after) { return add(std::move(task), after); }

    [[nodiscard]] std::optional<TaskId> last_compute() const { return last_compute_; }

    [[nodiscard]] std::vector<Task> take() { return std::move(tasks_); }

  private:
    TaskId add(Task task, Earlier after);

    Overlap overlap_p2p_;
    std::vector<Task> tasks_;
    std::optional<TaskId> last_compute_;
    std::vector<TaskId> unfinished_;  ///< traffic since the last compute task, without overlap
};

}  // namespace traindyno
