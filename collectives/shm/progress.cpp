// SPDX-License-Identifier: Apache-2.0
#include "collectives/shm/progress.hpp"

#include <algorithm>

#include <sched.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace traindyno {

namespace {

/// Looks in a row before the processor is offered to others: some 20 us.
constexpr std::int64_t spins_with_processor = 500;
/// Fruitless looks between two questions to other libraries, each of which takes about 0.3 us.
constexpr std::int64_t looks_between = 64;

void spin_once() {
#if defined(__x86_64__)
    _mm_pause();
#endif
}

}  // namespace

HeapProgress::HeapProgress(std::int64_t ranks)
    : spins_(ranks > sysconf(_SC_NPROCESSORS_ONLN) ? 0 : spins_with_processor) {}

void HeapProgress::add(const std::shared_ptr<GroupQueue>& queue) {
    if (std::find(active_.begin(), active_.end(), queue) == active_.end()) {
        active_.push_back(queue);
    }
}

void HeapProgress::advance() {
    if (active_.empty()) {
        return;
    }
    bool progressed = false;
    for (std::size_t i = 0; i < active_.size();) {
        progressed = active_[i]->advance() == Look::progressed || progressed;
        if (active_[i]->empty()) {
            active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
            ++i;
        }
    }
    if (progressed) {
        fruitless_ = 0;
    } else {
        make_way();
    }
}

void HeapProgress::also_ask(const std::shared_ptr<Pending>& elsewhere) {
    std::erase_if(elsewhere_, [](const auto& each) { return each.expired(); });
    elsewhere_.emplace_back(elsewhere);
}

void HeapProgress::make_way() {
    ++fruitless_;
    if (fruitless_ % looks_between == 0) {
        for (const std::weak_ptr<Pending>& each : elsewhere_) {
            if (const std::shared_ptr<Pending> pending = each.lock()) {
                (void)pending->done();
            }
        }
    }
    if (fruitless_ > spins_) {
        sched_yield();
    } else {
        spin_once();
    }
}

}  // namespace traindyno
