// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/team.hpp"

#include <utility>

#include <immintrin.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/binding.hpp"

namespace traindyno {

namespace {

/// Denormals cost hundreds of cycles each: flush them, in and out.
void flush_denormals() {
    constexpr unsigned flush_to_zero = 1U << 15;
    constexpr unsigned denormals_are_zero = 1U << 6;
    _mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero);
}

}  // namespace

Team::Team(std::vector<int> cores, int threads) : cores_(std::move(cores)), threads_(threads) {
    TD_EXPECT(threads_ > 0 && !cores_.empty());
}

void Team::adopt_this_thread() const {
    for (const int core : cores_) {
        bind_this_thread({core});  // reports a core that is not ours before a kernel needs it
    }
    bind_this_thread(cores_);
    flush_denormals();
    omp_set_dynamic(0);
    omp_set_num_threads(threads_);
}

void Team::settle(int thread) const {
    thread_local bool settled = false;
    if (settled || thread == 0) {
        return;
    }
    settled = true;
    flush_denormals();
    bind_this_thread({cores_[static_cast<std::size_t>(thread) % cores_.size()]});
}

}  // namespace traindyno
