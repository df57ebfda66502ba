// SPDX-License-Identifier: Apache-2.0
// With whom a rank exchanges parts: whom a carrier has to connect before the first step.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/program/step_program.hpp"

namespace traindyno {

/// By rank in a group, 1 for a partner. Empty where the group's members never exchange parts.
struct ExchangePartners {
    std::vector<std::uint8_t> sent_to;
    std::vector<std::uint8_t> received_from;

    friend bool operator==(const ExchangePartners&, const ExchangePartners&) = default;
};

/// Over all exchanges of `program`, by GroupId. Whom one member sends to, that one receives from.
[[nodiscard]] std::vector<ExchangePartners> exchange_partners(const StepProgram& program);

}  // namespace traindyno
