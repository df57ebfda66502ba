// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/session.hpp"

#include <array>
#include <exception>

#include "collectives/mpi/abort_job.hpp"
#include "collectives/mpi/check.hpp"
#include "collectives/mpi/mpi_communicator.hpp"

namespace traindyno {

MpiSession::MpiSession(int& argc, char**& argv) : exceptions_at_start_(std::uncaught_exceptions()) {
    int granted = MPI_THREAD_SINGLE;
    TD_MPI(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &granted));
    TD_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    TD_MPI(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN));
    int rank = 0;
    int size = 0;
    TD_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    TD_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    rank_ = WorldRank{rank};
    size_ = size;
    if (granted < MPI_THREAD_FUNNELED) {
        MPI_Finalize();
        throw LaunchError(
            "this MPI grants no threads beside the one that calls it (MPI_THREAD_FUNNELED is "
            "needed for compute threads) use an MPI built with thread support");
    }
}

MpiSession::~MpiSession() {
    if (std::uncaught_exceptions() > exceptions_at_start_) {
        abort_mpi_job(static_cast<int>(ExitCode::internal), "ended by an error");
    }
    detail::report_mpi(MPI_Finalize(), "MPI_Finalize");
}

// Members, not static: there is no world and no job without a session.
// NOLINTBEGIN(readability-convert-member-functions-to-static)
std::unique_ptr<Communicator> MpiSession::world() const {
    MPI_Comm world = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &world));
    return make_mpi_communicator(world);
}

void MpiSession::abort(int exit_code, std::string_view reason) const noexcept {
    abort_mpi_job(exit_code, reason);
}

// NOLINTEND(readability-convert-member-functions-to-static)

std::string MpiSession::version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    TD_MPI(MPI_Get_library_version(text.data(), &length));
    const std::string whole{text.data()};  // Open MPI 4.1 counts the terminating zero as length
    return whole.substr(0, whole.find_first_of("\r\n"));
}

}  // namespace traindyno
