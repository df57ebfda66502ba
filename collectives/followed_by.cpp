// SPDX-License-Identifier: Apache-2.0
#include "collectives/followed_by.hpp"

#include <cstdio>
#include <exception>
#include <memory>
#include <utility>

namespace traindyno {

namespace {

class FollowedOperation final : public Pending::Operation {
  public:
    FollowedOperation(Pending first, std::function<void()> last)
        : last_(std::move(last)), first_(std::move(first)) {}

    ~FollowedOperation() override {
        { const Pending waited_for = std::move(first_); }
        if (std::uncaught_exceptions() > 0 || complete_) {
            return;
        }
        try {
            last_();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "traindyno: %s\n", error.what());
        }
    }

    FollowedOperation(const FollowedOperation&) = delete;
    FollowedOperation& operator=(const FollowedOperation&) = delete;
    FollowedOperation(FollowedOperation&&) = delete;
    FollowedOperation& operator=(FollowedOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        if (!complete_ && first_.done()) {
            complete_ = true;  // also where it throws: it must not run twice
            last_();
        }
        return complete_;
    }

  private:
    std::function<void()> last_;
    Pending first_;  ///< destroyed before what `last_` owns
    bool complete_ = false;
};

}  // namespace

Pending followed_by(Pending first, std::function<void()> last) {
    if (first.done()) {
        last();
        return {};
    }
    return Pending{std::make_unique<FollowedOperation>(std::move(first), std::move(last))};
}

}  // namespace traindyno
