// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/check.hpp"

#include <array>
#include <cstdio>
#include <string>

namespace traindyno::detail {

namespace {

using ErrorText = std::array<char, MPI_MAX_ERROR_STRING + 1>;

ErrorText text_of(int code) noexcept {
    ErrorText text{};
    int length = 0;
    if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) {
        length = 0;
    }
    text[static_cast<std::size_t>(length)] = '\0';
    return text;
}

}  // namespace

void check_mpi(int code, const char* call, Where where) {
    if (code != MPI_SUCCESS) {
        throw LibraryError("MPI", code, text_of(code).data(), call, where);
    }
}

void report_mpi(int code, const char* call) noexcept {
    if (code != MPI_SUCCESS) {
        std::fprintf(stderr, "traindyno: MPI failed: %s (%s)\n", text_of(code).data(), call);
    }
}

}  // namespace traindyno::detail
