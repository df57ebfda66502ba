// SPDX-License-Identifier: Apache-2.0
// A job whose last rank fails while the others wait for it: `job_end throw|abort`.
#include <exception>
#include <stdexcept>
#include <string_view>

#include "collectives/control.hpp"
#include "collectives/mpi/session.hpp"

int main(int argc, char** argv) {
    const std::string_view way = argc > 1 ? argv[1] : "";
    try {
        const traindyno::MpiSession session(argc, argv);
        if (session.rank().value() == session.size() - 1) {
            if (way == "abort") {
                session.abort(5, "the last rank gave up");
            }
            throw std::runtime_error("the last rank failed");
        }
        traindyno::barrier(*session.world(), traindyno::Urgency::background);
    } catch (const std::exception&) {
        return 1;
    }
    return 0;
}
