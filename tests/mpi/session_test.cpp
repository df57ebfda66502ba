// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/session.hpp"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>
#include <mpi.h>

#include "collectives/mpi/check.hpp"
#include "collectives/mpi/element_types.hpp"
#include "emulator/base/error.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

static_assert(!std::is_copy_constructible_v<MpiSession> &&
              !std::is_move_constructible_v<MpiSession>);
static_assert(std::is_nothrow_destructible_v<MpiSession>);

TEST(MpiSession, knows_its_place_in_the_world) {
    int rank = -1;
    int size = -1;
    TD_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    TD_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    EXPECT_EQ(session().rank(), WorldRank{rank});
    EXPECT_EQ(session().size(), size);
    EXPECT_EQ(session().world()->size(), size);
}

TEST(MpiSession, version_is_one_printable_line) {
    const std::string version = MpiSession::version();
    EXPECT_NE(version, "");
    EXPECT_TRUE(std::all_of(version.begin(), version.end(), [](char letter) {
        return letter >= ' ' && letter <= '~';
    })) << version;
}

/// What a message to a rank that does not exist says.
std::string text_of_failed_send(MPI_Comm comm) {
    try {
        TD_MPI(MPI_Send(nullptr, 0, MPI_BYTE, 1 << 20, 0, comm));
    } catch (const LibraryError& error) {
        return error.what();
    }
    return "no error";
}

TEST(CheckMpi, an_error_names_call_and_place) {
    for (const std::string& text :
         {text_of_failed_send(MPI_COMM_WORLD), text_of_failed_send(MPI_COMM_SELF)}) {
        EXPECT_NE(text.find("MPI failed: "), std::string::npos) << text;
        EXPECT_NE(text.find("MPI_Send(nullptr"), std::string::npos) << text;
        EXPECT_NE(text.find("session_test.cpp:"), std::string::npos) << text;
    }
}

TEST(MpiHandles, a_moved_from_owner_frees_nothing) {
    MPI_Datatype type = MPI_DATATYPE_NULL;
    TD_MPI(MPI_Type_contiguous(3, MPI_BYTE, &type));
    UniqueDatatype first{type};
    const UniqueDatatype second{std::move(first)};
    // NOLINTNEXTLINE(bugprone-use-after-move): what a moved-from object does is the subject
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(second.get(), type);
}

}  // namespace

}  // namespace traindyno::test
