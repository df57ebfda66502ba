// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/doorbell.hpp"

#include <climits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulator/device/sleep_until.hpp"

namespace traindyno {

void Doorbell::ring() {
    rings_.fetch_add(1);
    if (sleepers_.load() > 0) {
        syscall(SYS_futex, &rings_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }
}

void Doorbell::sleep(std::uint32_t seen, SimTime deadline) {
    static_assert(sizeof(rings_) == sizeof(std::uint32_t), "a futex is 32 bits");
    const timespec until = to_timespec(deadline);
    sleepers_.fetch_add(1);
    syscall(SYS_futex,
            &rings_,
            FUTEX_WAIT_BITSET_PRIVATE,  // unlike FUTEX_WAIT it takes an absolute monotonic time
            seen,
            &until,
            nullptr,
            FUTEX_BITSET_MATCH_ANY);
    sleepers_.fetch_sub(1);
}

}  // namespace traindyno
