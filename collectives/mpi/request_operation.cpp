// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/request_operation.hpp"

#include <exception>

#include "collectives/mpi/check.hpp"

namespace traindyno {

RequestOperation::~RequestOperation() {
    if (std::uncaught_exceptions() > 0) {
        return;
    }
    for (MPI_Request& request : requests_) {
        detail::report_mpi(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
    }
}

bool RequestOperation::advance() {
    while (!requests_.empty()) {
        int complete = 0;
        TD_MPI(MPI_Test(&requests_.back(), &complete, MPI_STATUS_IGNORE));
        if (complete == 0) {
            return false;
        }
        requests_.pop_back();
    }
    return true;
}

}  // namespace traindyno
