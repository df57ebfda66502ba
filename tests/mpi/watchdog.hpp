// SPDX-License-Identifier: Apache-2.0
// Ends the process when one test takes too long: a rank that failed makes the others wait for ever.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace traindyno::test {

class Watchdog {
  public:
    /// `who` prefixes its last words.
    Watchdog(std::string who, std::chrono::seconds limit);
    ~Watchdog();

    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    Watchdog(Watchdog&&) = delete;
    Watchdog& operator=(Watchdog&&) = delete;

    void start(std::string what);
    /// Kept for the last words, since nobody would see it otherwise.
    void note(const std::string& text);
    void stop();

  private:
    void watch();

    std::string who_;
    std::chrono::seconds limit_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string what_;  ///< empty: nothing to watch
    std::string notes_;
    std::chrono::steady_clock::time_point deadline_;
    bool closing_ = false;
    std::thread thread_;
};

}  // namespace traindyno::test
