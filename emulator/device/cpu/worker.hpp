// SPDX-License-Identifier: Apache-2.0
// One thread that runs operations in submission order and notes when each ran.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "emulator/device/cpu/doorbell.hpp"
#include "emulator/device/device.hpp"

namespace traindyno {

/// The queue between one submitting thread and one worker thread. What an operation throws reaches
/// the submitter from the next `completed`, `wait` or `submit`; nothing runs after it.
class Worker {
  public:
    using Execute = std::function<void(const ComputeOp&, const Task&)>;

    static constexpr Ticket capacity = Ticket{1} << 16;

    explicit Worker(Execute execute);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    Worker(Worker&&) = delete;
    Worker& operator=(Worker&&) = delete;
    ~Worker();

    /// Runs `action` on the worker thread and returns when it is done; throws what it throws.
    /// Everything submitted must be complete. Tickets count from 0 again.
    void call(const std::function<void()>& action);

    /// Waits for room only when `capacity` operations are under way.
    Ticket submit(const ComputeOp& op, const Task& task);
    [[nodiscard]] Ticket completed();
    [[nodiscard]] Interval interval(Ticket ticket) const;
    void wait(Ticket seen, SimTime deadline);

  private:
    struct Job {
        const ComputeOp* op = nullptr;
        const Task* task = nullptr;
        Interval ran{};
    };

    void loop();
    [[nodiscard]] bool idle() const;
    void sleep_while_idle();
    void run_action();
    void run_job(Job& job);
    void rethrow_failure();

    Execute execute_;
    std::vector<Job> ring_;
    std::atomic<Ticket> submitted_{0};
    std::atomic<Ticket> completed_{0};
    std::atomic<const std::function<void()>*> action_{nullptr};
    std::atomic<bool> stop_{false};
    std::atomic<bool> failed_{false};
    std::exception_ptr failure_;  ///< written before failed_ or before action_ is cleared
    Doorbell work_;               ///< rung by the submitter
    Doorbell progress_;           ///< rung by the worker
    std::thread thread_;          ///< last: it uses everything above
};

}  // namespace traindyno
