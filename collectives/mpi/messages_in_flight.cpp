// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/messages_in_flight.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "collectives/mpi/check.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

class MessagesInFlight::Operation final : public Pending::Operation {
  public:
    Operation(std::shared_ptr<MessagesInFlight> all, MPI_Request request)
        : all_(std::move(all)), message_{.request = request}, seen_(all_->looks_) {
        all_->requests_.push_back(request);
        all_->messages_.push_back(&message_);
    }

    ~Operation() override {
        if (message_.is_complete) {
            return;
        }
        all_->forget(message_);
        if (std::uncaught_exceptions() == 0) {
            detail::report_mpi(MPI_Wait(&message_.request, MPI_STATUS_IGNORE), "MPI_Wait");
        }
    }

    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    Operation(Operation&&) = delete;
    Operation& operator=(Operation&&) = delete;

    [[nodiscard]] bool advance() override {
        // Of those who ask in turn only the first one looks; the others take what it saw.
        if (!message_.is_complete && seen_ == all_->looks_) {
            all_->look();
        }
        seen_ = all_->looks_;
        TD_MPI(message_.error);
        return message_.is_complete;
    }

  private:
    std::shared_ptr<MessagesInFlight> all_;
    Message message_;
    std::uint64_t seen_;  ///< looks there had been when this one was asked
};

Pending MessagesInFlight::add(const std::shared_ptr<MessagesInFlight>& all, MPI_Request request) {
    return Pending{std::make_unique<Operation>(all, request)};
}

void MessagesInFlight::look() {
    ++looks_;
    indices_.resize(requests_.size());
    statuses_.resize(requests_.size());
    int complete = 0;
    const int code = MPI_Testsome(static_cast<int>(requests_.size()),
                                  requests_.data(),
                                  &complete,
                                  indices_.data(),
                                  statuses_.data());
    if (code != MPI_ERR_IN_STATUS) {
        detail::check_mpi(code, "MPI_Testsome", Where::here());
    }
    for (int i = 0; i < complete; ++i) {
        const auto at = static_cast<std::size_t>(i);
        Message& message = *messages_[static_cast<std::size_t>(indices_[at])];
        message.is_complete = true;
        message.error = code == MPI_SUCCESS ? MPI_SUCCESS : statuses_[at].MPI_ERROR;
    }
    if (complete > 0) {
        std::erase(requests_, MPI_REQUEST_NULL);
        std::erase_if(messages_, [](const Message* message) { return message->is_complete; });
    }
    TD_EXPECT(requests_.size() == messages_.size());
}

void MessagesInFlight::forget(const Message& message) {
    const auto at = std::find(messages_.begin(), messages_.end(), &message);
    TD_EXPECT(at != messages_.end());
    requests_.erase(requests_.begin() + (at - messages_.begin()));
    messages_.erase(at);
}

}  // namespace traindyno
