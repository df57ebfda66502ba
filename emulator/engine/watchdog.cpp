// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/watchdog.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/device/device.hpp"

namespace traindyno {

namespace {

constexpr auto look_every = std::chrono::milliseconds{200};

}  // namespace

Watchdog::Watchdog(const BlockingCaller& caller, SimTime timeout, std::string rank_name)
    : caller_(caller),
      timeout_(timeout),
      rank_name_(std::move(rank_name)),
      thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    stopping_.notify_one();
    thread_.join();
}

void Watchdog::watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_.wait_for(lock, look_every, [this] { return stop_; })) {
        const SimTime since = caller_.blocked_since();
        if (since == SimTime{0} || now() - since < timeout_) {
            continue;
        }
        fmt::print(stderr,
                   "[{}] blocked in a collective for {:.0f} s (a member is missing or stuck) "
                   "outstanding here:\n{}",
                   rank_name_,
                   to_seconds(timeout_),
                   caller_.outstanding());
        std::fflush(stderr);
        std::_Exit(static_cast<int>(ExitCode::hang));
    }
}

}  // namespace traindyno
