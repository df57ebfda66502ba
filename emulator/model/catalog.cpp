// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/catalog.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/config_table.hpp"
#include "emulator/base/error.hpp"
#include "emulator/model/hugging_face.hpp"

namespace traindyno {

namespace {

/// hidden / heads, or 1 (and a problem) where that is no whole number.
std::int64_t default_head_size(ConfigTable& table, const Model& model) {
    if (model.hidden <= 0 || model.heads <= 0) {
        return 1;  // already reported
    }
    if (model.hidden % model.heads != 0) {
        table.report("hidden",
                     fmt::format("{} is not divisible by heads {} (head_size defaults to hidden / "
                                 "heads) change hidden or heads, or add head_size",
                                 model.hidden,
                                 model.heads));
        return 1;
    }
    return model.hidden / model.heads;
}

void require_shape(ConfigTable& table) {
    table.require("layers", "12");
    table.require("hidden", "768");
    table.require("heads", "12");
    table.require("seq", "2048");
    table.require("vocab", "50257");
}

/// Reads every key; absent ones get their defaults. `fallback_name` serves a file without `name`.
Model read_model(ConfigTable& table, const std::string& fallback_name) {
    require_shape(table);
    Model model;
    model.name = table.text("name").value_or(fallback_name);
    (void)table.text("source");  // for readers of the file
    model.layers = table.integer("layers").value_or(0);
    model.hidden = table.integer("hidden").value_or(0);
    model.heads = table.integer("heads").value_or(0);
    model.seq = table.integer("seq").value_or(0);
    model.vocab = table.integer("vocab").value_or(0);
    model.kv_heads =
        table.integer("kv_heads").value_or(std::clamp<std::int64_t>(model.heads, 1, 1 << 16));
    model.head_size = table.has("head_size") ? table.integer("head_size").value_or(0)
                                             : default_head_size(table, model);
    // Defaults stay in range even where hidden or heads do not: one mistake, one problem.
    model.ffn = table.has("ffn") ? table.integer("ffn").value_or(0)
                                 : 4 * std::clamp<std::int64_t>(model.hidden, 1, 1 << 22);
    model.gated_mlp = table.flag("gated_mlp").value_or(model.gated_mlp);
    model.tied_embeddings = table.flag("tied_embeddings").value_or(model.tied_embeddings);
    model.norm = table.choice<Norm>("norm").value_or(model.norm);
    model.positions = table.choice<Positions>("positions").value_or(model.positions);
    model.bias = table.choice<LinearBias>("bias").value_or(model.bias);
    model.experts = table.integer("experts").value_or(0);
    model.top_k = table.integer("top_k").value_or(0);
    model.expert_ffn =
        table.integer("expert_ffn").value_or(model.experts > 0 ? model.ffn : std::int64_t{0});
    model.shared_experts = table.integer("shared_experts").value_or(0);
    model.dense_layers = table.integer("dense_layers").value_or(0);
    model.nominal_parameters = table.number("nominal_parameters").value_or(0);
    table.refuse_other_keys();
    return model;
}

/// Adds what is wrong with the model itself, unless its key already has a problem or was not
/// written in a file whose other keys have some.
void report_problems(ConfigTable& table, const Model& model) {
    for (const std::string& problem : problems_of(model)) {
        const std::size_t colon = problem.find(": ");
        const std::string key = problem.substr(0, colon);
        const bool follows_from_another =
            !table.has(key) && (table.reported("hidden") || table.reported("heads"));
        if (!table.reported(key) && !follows_from_another) {
            table.report(key, problem.substr(colon + 2));
        }
    }
}

Model load_toml_model(const std::filesystem::path& path) {
    ConfigTable table = ConfigTable::read(path);
    Model model = read_model(table, path.stem().string());
    report_problems(table, model);
    table.throw_if_any();
    return model;
}

}  // namespace

Model load_model(std::string_view name_or_path) {
    if (name_or_path.ends_with(".json")) {
        return load_hugging_face_model(std::filesystem::path(name_or_path)).model;
    }
    return load_toml_model(config_path("models", name_or_path));
}

std::vector<std::string> left_out_of_model(std::string_view name_or_path) {
    return name_or_path.ends_with(".json")
               ? load_hugging_face_model(std::filesystem::path(name_or_path)).left_out
               : std::vector<std::string>{};
}

std::vector<std::string> model_names() {
    return config_names("models");
}

}  // namespace traindyno
