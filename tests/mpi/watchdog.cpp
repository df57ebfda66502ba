// SPDX-License-Identifier: Apache-2.0
#include "tests/mpi/watchdog.hpp"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "emulator/base/error.hpp"

namespace traindyno::test {

Watchdog::Watchdog(std::string who, std::chrono::seconds limit)
    : who_(std::move(who)), limit_(limit), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void Watchdog::start(std::string what) {
    {
        const std::lock_guard lock(mutex_);
        what_ = std::move(what);
        notes_.clear();
        deadline_ = std::chrono::steady_clock::now() + limit_;
    }
    changed_.notify_one();
}

void Watchdog::note(const std::string& text) {
    const std::lock_guard lock(mutex_);
    notes_ += text;
}

void Watchdog::stop() {
    const std::lock_guard lock(mutex_);
    what_.clear();
}

void Watchdog::watch() {
    std::unique_lock lock(mutex_);
    while (!closing_) {
        if (what_.empty()) {
            changed_.wait(lock);
        } else if (changed_.wait_until(lock, deadline_) == std::cv_status::timeout &&
                   !what_.empty() && std::chrono::steady_clock::now() >= deadline_) {
            std::fprintf(stderr,
                         "%s%s %s ran longer than %lld s\n",
                         notes_.c_str(),
                         who_.c_str(),
                         what_.c_str(),
                         static_cast<long long>(limit_.count()));
            std::_Exit(static_cast<int>(ExitCode::hang));
        }
    }
}

}  // namespace traindyno::test
