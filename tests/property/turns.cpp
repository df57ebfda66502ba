// SPDX-License-Identifier: Apache-2.0
#include "tests/property/turns.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <thread>
#include <utility>

namespace traindyno::test {

struct Turns::Body {
    explicit Body(std::function<void()> function) : run(std::move(function)) {}

    std::function<void()> run;
    std::binary_semaphore turn{0};
    std::function<bool()> ready{};
    bool ended = false;
    std::exception_ptr thrown{};
    std::thread thread{};
};

Turns::Turns(std::uint64_t seed) : random_(seed) {}

Turns::~Turns() {
    for (const auto& body : bodies_) {
        if (body->thread.joinable()) {
            body->thread.join();
        }
    }
}

void Turns::add(std::function<void()> body) {
    bodies_.push_back(std::make_unique<Body>(std::move(body)));
}

bool Turns::run(std::function<void()> stuck) {
    stuck_ = std::move(stuck);
    for (const auto& body : bodies_) {
        body->thread = std::thread([this, &body] { live(*body); });
    }
    pass_on();
    all_ended_.acquire();
    for (const auto& body : bodies_) {
        if (body->thrown) {
            std::rethrow_exception(body->thrown);
        }
    }
    return !given_up_;
}

void Turns::live(Body& body) {
    body.turn.acquire();
    try {
        if (!given_up_) {
            body.run();
        }
    } catch (const GivenUp&) {  // run() says so
    } catch (...) {
        body.thrown = std::current_exception();
        given_up_ = true;
    }
    body.ended = true;
    pass_on();
}

void Turns::yield(std::function<bool()> ready) {
    Body& self = *current_;
    self.ready = std::move(ready);
    pass_on();
    self.turn.acquire();
    if (given_up_) {
        throw GivenUp{};
    }
}

void Turns::pass_on() {
    if (round_.empty()) {
        begin_round();
    }
    if (round_.empty()) {
        all_ended_.release();
        return;
    }
    current_ = round_.back();
    round_.pop_back();
    current_->turn.release();
}

void Turns::begin_round() {
    std::vector<Body*> left;
    for (const auto& body : bodies_) {
        if (!body->ended) {
            left.push_back(body.get());
        }
    }
    std::copy_if(left.begin(), left.end(), std::back_inserter(round_), [&](const Body* body) {
        return given_up_ || !body->ready || body->ready();
    });
    if (round_.empty() && !left.empty()) {
        stuck_();
        given_up_ = true;
        round_ = left;
    }
    for (std::size_t i = round_.size(); i > 1; --i) {
        std::swap(round_[i - 1], round_[random_() % i]);
    }
}

}  // namespace traindyno::test
