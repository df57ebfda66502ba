// SPDX-License-Identifier: Apache-2.0
// A Pending operation made of MPI requests.
#pragma once

#include <memory>
#include <vector>

#include <mpi.h>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Complete when all its requests are.
class RequestOperation final : public Pending::Operation {
  public:
    RequestOperation() = default;
    ~RequestOperation() override;

    RequestOperation(const RequestOperation&) = delete;
    RequestOperation& operator=(const RequestOperation&) = delete;
    RequestOperation(RequestOperation&&) = delete;
    RequestOperation& operator=(RequestOperation&&) = delete;

    /// Where the next non-blocking call writes its request. Valid until the next call.
    [[nodiscard]] MPI_Request* add() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

    [[nodiscard]] bool advance() override;

  private:
    std::vector<MPI_Request> requests_;
};

}  // namespace traindyno
