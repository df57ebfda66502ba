// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/flag_table.hpp"

namespace traindyno {

const std::vector<FlagSpec>& flag_table() {
    static const std::vector<FlagSpec> table = [] {
        std::vector<FlagSpec> all;
        for (const auto part : {workload_flags(), measuring_flags(), collectives_flags()}) {
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    }();
    return table;
}

}  // namespace traindyno
