// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/in_flight.hpp"

#include <exception>
#include <utility>

#include "collectives/drain.hpp"

namespace traindyno {

struct InFlight::Entry {
    Pending pending;
    std::exception_ptr error{};  ///< why it failed, for its own Pending

    /// Whether it is complete. An error is for whoever waits, not for whoever looks: the call that
    /// posts must return, so that what comes after it is posted too.
    [[nodiscard]] bool look() {
        try {
            return !error && pending.done();
        } catch (...) {
            error = std::current_exception();
            return false;
        }
    }
};

class InFlight::Operation final : public Pending::Operation {
  public:
    Operation(std::shared_ptr<InFlight> all, std::shared_ptr<Entry> entry)
        : all_(std::move(all)), entry_(std::move(entry)) {}

    ~Operation() override {
        drain(*this);
        std::erase(all_->entries_, entry_);
    }

    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    Operation(Operation&&) = delete;
    Operation& operator=(Operation&&) = delete;

    [[nodiscard]] bool advance() override {
        all_->advance();
        if (entry_->error) {
            std::rethrow_exception(entry_->error);
        }
        return entry_->look();
    }

  private:
    std::shared_ptr<InFlight> all_;
    std::shared_ptr<Entry> entry_;
};

Pending InFlight::add(const std::shared_ptr<InFlight>& all, Pending pending) {
    const auto entry = std::make_shared<Entry>(Entry{.pending = std::move(pending)});
    if (entry->look()) {
        return {};
    }
    all->entries_.push_back(entry);
    return Pending{std::make_unique<Operation>(all, entry)};
}

void InFlight::advance() {
    for (const std::shared_ptr<Entry>& entry : entries_) {
        static_cast<void>(entry->look());
    }
}

}  // namespace traindyno
