// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/abort_job.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "collectives/mpi/check.hpp"

namespace traindyno {

namespace {

/// MPI_Abort blocks for ever when a link is cut (Open MPI 4.1.4 over TCP): the launcher then at
/// least sees this process end.
void leave_anyway_soon(int exit_code) noexcept {
    try {
        std::thread([exit_code] {
            std::this_thread::sleep_for(std::chrono::seconds{5});
            std::_Exit(exit_code);
        }).detach();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "traindyno: cannot watch over MPI_Abort: %s\n", error.what());
    }
}

}  // namespace

void abort_mpi_job(int exit_code, std::string_view reason) noexcept {
    std::fprintf(stderr, "traindyno: %.*s\n", static_cast<int>(reason.size()), reason.data());
    leave_anyway_soon(exit_code);
    detail::report_mpi(MPI_Abort(MPI_COMM_WORLD, exit_code), "MPI_Abort");
    std::_Exit(exit_code);
}

}  // namespace traindyno
