// SPDX-License-Identifier: Apache-2.0
// Many sends and receives under way, looked at together.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <mpi.h>

#include "collectives/communicator.hpp"

namespace traindyno {

/// The messages of a communicator and of all that were split from it. MPI_Test lets MPI make
/// progress, system calls and all, for each message that has not arrived; with dozens of messages
/// under way one MPI_Testsome for all of them costs what one MPI_Test does. From one thread.
class MessagesInFlight {
  public:
    /// `request` of a call that has just begun. Its Pending keeps `all` alive.
    [[nodiscard]] static Pending add(const std::shared_ptr<MessagesInFlight>& all,
                                     MPI_Request request);

  private:
    /// One message, at a fixed address while it is under way.
    struct Message {
        MPI_Request request = MPI_REQUEST_NULL;
        bool is_complete = false;
        int error = MPI_SUCCESS;
    };

    class Operation;

    /// One look at all of them.
    void look();
    void forget(const Message& message);

    std::vector<MPI_Request> requests_;
    std::vector<Message*> messages_;  ///< of each request
    std::vector<int> indices_;        ///< what MPI_Testsome fills
    std::vector<MPI_Status> statuses_;
    std::uint64_t looks_ = 0;
};

}  // namespace traindyno
