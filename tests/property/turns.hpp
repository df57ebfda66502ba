// SPDX-License-Identifier: Apache-2.0
// Threads of which one runs at a time, in an order that a seed decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <semaphore>
#include <vector>

namespace traindyno::test {

class Turns {
  public:
    explicit Turns(std::uint64_t seed);

    ~Turns();
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    void add(std::function<void()> body);

    /// Called by a body: others have their turns before it goes on, and before `ready` holds it has
    /// none. Throws where run() gives up.
    void yield(std::function<bool()> ready = {});

    /// Runs all bodies, in rounds that give each that is ready a turn. Where none of them is, calls
    /// `stuck`, leaves them by an exception and returns false. What a body throws is thrown here,
    /// once the others are left.
    [[nodiscard]] bool run(std::function<void()> stuck);

  private:
    struct Body;

    struct GivenUp {};

    void live(Body& body);
    void pass_on();
    void begin_round();

    std::mt19937_64 random_;
    std::vector<std::unique_ptr<Body>> bodies_;
    std::vector<Body*> round_;  ///< whose turn is still to come, the next one last
    Body* current_ = nullptr;
    std::function<void()> stuck_;
    bool given_up_ = false;
    std::binary_semaphore all_ended_{0};
};

}  // namespace traindyno::test
