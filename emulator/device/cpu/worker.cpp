// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/worker.hpp"

#include <utility>

#include <immintrin.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

// About 20 us: longer than the gap between a completion and the submitter's reaction to it, shorter
// than what falling asleep and waking up costs.
constexpr int spins_before_sleep = 400;

constexpr std::size_t slot_of(Ticket ticket) {
    return static_cast<std::size_t>(ticket % Worker::capacity);
}

}  // namespace

Worker::Worker(Execute execute)
    : execute_(std::move(execute)),
      ring_(static_cast<std::size_t>(capacity)),
      thread_([this] { loop(); }) {}

Worker::~Worker() {
    stop_ = true;
    work_.ring();
    thread_.join();
}

void Worker::call(const std::function<void()>& action) {
    rethrow_failure();
    TD_EXPECT(completed_ == submitted_);
    completed_ = 0;
    submitted_ = 0;
    failure_ = nullptr;
    action_ = &action;
    work_.ring();
    for (;;) {
        const std::uint32_t seen = progress_.rings();
        if (action_ == nullptr) {
            break;
        }
        progress_.sleep(seen, SimTime::max());
    }
    if (failure_) {
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

Ticket Worker::submit(const ComputeOp& op, const Task& task) {
    const Ticket ticket = submitted_.load(std::memory_order_relaxed);
    while (ticket - completed() >= capacity) {
        wait(ticket - capacity, SimTime::max());
    }
    ring_[slot_of(ticket)] = {.op = &op, .task = &task};
    submitted_.store(ticket + 1);
    work_.ring();
    return ticket;
}

Ticket Worker::completed() {
    rethrow_failure();
    return completed_.load(std::memory_order_acquire);
}

Interval Worker::interval(Ticket ticket) const {
    const Ticket done = completed_.load(std::memory_order_acquire);
    TD_EXPECT(ticket >= 0 && ticket < done && ticket >= submitted_ - capacity);
    return ring_[slot_of(ticket)].ran;
}

void Worker::wait(Ticket seen, SimTime deadline) {
    for (;;) {
        const std::uint32_t rings = progress_.rings();
        if (completed() > seen || now() >= deadline) {
            return;
        }
        progress_.sleep(rings, deadline);
    }
}

void Worker::rethrow_failure() {
    if (failed_) {
        std::rethrow_exception(failure_);
    }
}

bool Worker::idle() const {
    return !stop_ && action_ == nullptr &&
           (failed_ || completed_.load(std::memory_order_relaxed) == submitted_);
}

void Worker::sleep_while_idle() {
    for (int spin = 0; spin < spins_before_sleep && idle(); ++spin) {
        _mm_pause();
    }
    for (;;) {
        const std::uint32_t seen = work_.rings();
        if (!idle()) {
            return;
        }
        work_.sleep(seen, SimTime::max());
    }
}

void Worker::run_action() {
    try {
        (*action_)();
    } catch (...) {
        failure_ = std::current_exception();
    }
    action_ = nullptr;
    progress_.ring();
}

void Worker::run_job(Job& job) {
    job.ran.begin = now();
    try {
        execute_(*job.op, *job.task);
    } catch (...) {
        failure_ = std::current_exception();
        failed_ = true;
        progress_.ring();
        return;
    }
    job.ran.end = now();
    completed_.store(completed_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    progress_.ring();
}

void Worker::loop() {
    while (!stop_) {
        if (idle()) {
            sleep_while_idle();
        } else if (action_ != nullptr) {
            run_action();
        } else {
            run_job(ring_[slot_of(completed_.load(std::memory_order_relaxed))]);
        }
    }
}

}  // namespace traindyno
