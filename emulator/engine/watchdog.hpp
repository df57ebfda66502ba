// SPDX-License-Identifier: Apache-2.0
// Ends the job when a rank is blocked inside a library call for too long.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "emulator/engine/blocking_caller.hpp"

namespace traindyno {

/// Polled waits have deadlines of their own (HangError); a blocking collective has none. While it
/// lives, this thread looks at BlockingCaller::blocked_since and, past the deadline, prints what
/// the rank is stuck in and ends the process with ExitCode::hang, upon which the launcher ends the
/// others.
class Watchdog {
  public:
    Watchdog(const BlockingCaller& caller, SimTime timeout, std::string rank_name);
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    Watchdog(Watchdog&&) = delete;
    Watchdog& operator=(Watchdog&&) = delete;
    ~Watchdog();

  private:
    void watch();

    const BlockingCaller& caller_;
    SimTime timeout_;
    std::string rank_name_;
    std::mutex mutex_;
    std::condition_variable stopping_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace traindyno
