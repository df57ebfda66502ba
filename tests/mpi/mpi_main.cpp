// SPDX-License-Identifier: Apache-2.0
// main() of the tests that run under mpirun.
#include <chrono>
#include <exception>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/mpi/mpi_test.hpp"
#include "tests/mpi/rank_listener.hpp"

namespace traindyno::test {

namespace {

MpiSession* current_session = nullptr;

int run_all_tests(MpiSession& session) {
    current_session = &session;
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    RankListener listener(session.world(), std::chrono::seconds{60});
    listeners.Append(&listener);
    const int code = listener.exit_code(RUN_ALL_TESTS());
    listeners.Release(&listener);
    return code;
}

}  // namespace

MpiSession& session() {
    TD_EXPECT(current_session != nullptr);
    return *current_session;
}

}  // namespace traindyno::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    traindyno::MpiSession session(argc, argv);
    try {
        return traindyno::test::run_all_tests(session);
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
