// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/experts_text.hpp"

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"

namespace traindyno {

std::string experts_text(const Model& model) {
    if (model.experts == 0) {
        return "";
    }
    std::string text =
        fmt::format("  {} experts of width {} per layer, of which each token visits {}",
                    model.experts,
                    model.expert_ffn,
                    model.top_k);
    if (model.shared_experts > 0) {
        text += fmt::format(", and {} that every token visits", model.shared_experts);
    }
    if (model.dense_layers > 0) {
        text += fmt::format("; the first {} layers have an MLP instead", model.dense_layers);
    }
    return text + fmt::format("\n  {} parameters active for a token\n",
                              format_count(static_cast<double>(active_parameters(model))));
}

std::string left_out_text(const std::vector<std::string>& features) {
    std::string text;
    for (const std::string& feature : features) {
        text += fmt::format("  left out: {}\n", feature);
    }
    return text;
}

}  // namespace traindyno
