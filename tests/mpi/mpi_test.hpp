// SPDX-License-Identifier: Apache-2.0
// What tests that run under mpirun need from their main.
#pragma once

#include "collectives/mpi/session.hpp"

namespace traindyno::test {

/// The session that mpi_main.cpp opened.
[[nodiscard]] MpiSession& session();

}  // namespace traindyno::test
