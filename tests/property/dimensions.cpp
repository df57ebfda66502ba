// SPDX-License-Identifier: Apache-2.0
#include "tests/property/dimensions.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>

#include <fmt/format.h>

namespace traindyno::test {

namespace {

constexpr std::int64_t most_ranks = 16;

template <class T>
std::string text_of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
        return std::string(to_string(value));
    } else if constexpr (std::same_as<T, Bytes>) {
        return fmt::format("{}B", value.value());
    } else {
        return fmt::format("{}", value);
    }
}

template <class Owner, class At>
auto& part(At& at) {
    if constexpr (std::same_as<Owner, Model>) {
        return at.model;
    } else if constexpr (std::same_as<Owner, Layout>) {
        return at.layout;
    } else {
        return at.setup;
    }
}

using Matters = std::function<bool(const Case&)>;

bool always(const Case& /*at*/) {
    return true;
}

/// A member of model, layout or setup.
template <class Owner, class T>
Dimension values(std::string name,
                 T Owner::*member,
                 const std::vector<T>& list,
                 Matters matters = always) {
    Dimension dimension{
        .name = std::move(name),
        .choices = {},
        .set = [member, list](Case& at,
                              std::size_t index) { part<Owner>(at).*member = list.at(index); },
        .matters = std::move(matters)};
    std::transform(list.begin(), list.end(), std::back_inserter(dimension.choices), text_of<T>);
    if constexpr (!std::same_as<Owner, Model>) {
        dimension.flag = [member](const Case& at) { return text_of(part<Owner>(at).*member); };
    }
    return dimension;
}

/// A member that is an enum: all its enumerators.
template <class Owner, class T>
Dimension all(std::string name, T Owner::*member, Matters matters = always) {
    std::vector<T> list;
    for (std::size_t i = 0; i < enum_count<T>; ++i) {
        list.push_back(static_cast<T>(i));
    }
    return values(std::move(name), member, list, std::move(matters));
}

/// A number from which others follow.
Dimension derived(std::string name,
                  const std::vector<std::int64_t>& list,
                  const std::function<void(Case&, std::int64_t)>& use) {
    Dimension dimension{
        .name = std::move(name), .choices = {}, .set = [list, use](Case& at, std::size_t index) {
            use(at, list.at(index));
        }};
    std::transform(
        list.begin(), list.end(), std::back_inserter(dimension.choices), text_of<std::int64_t>);
    return dimension;
}

bool has_experts(const Case& at) {
    return at.model.experts > 0;
}

bool has_chunks(const Case& at) {
    return at.setup.schedule == Schedule::interleaved;
}

bool cuts_sequences(const Case& at) {
    return at.layout.cp > 1;
}

bool cuts_tokens(const Case& at) {
    return at.setup.sequence_parallel == SequenceParallel::on;
}

bool shards(const Case& at) {
    return at.setup.zero != Zero::none;
}

/// Grouped queries: so many share a key.
void group_queries(Case& at, std::int64_t queries) {
    at.model.kv_heads = std::max<std::int64_t>(1, at.model.heads / queries);
}

/// As many replicas as the job has ranks for.
void replicate(Case& at, std::int64_t dp) {
    at.layout.dp = std::min(dp, most_ranks / (at.layout.tp * at.layout.pp * at.layout.cp));
}

enum class StageShape : std::uint8_t { equal, long_first, long_last, alternating };

void give_layers(Case& at, std::int64_t per_part) {
    at.model.layers = per_part * at.layout.pp * at.setup.virtual_stages;
}

void shape_stages(Case& at, std::int64_t index) {
    const auto shape = static_cast<StageShape>(index);
    if (shape == StageShape::equal) {
        return;
    }
    const std::int64_t parts = at.layout.pp * at.setup.virtual_stages;
    std::vector<std::int64_t>& layers = at.setup.stage_layers;
    layers.assign(static_cast<std::size_t>(parts), at.model.layers / parts);
    if (shape == StageShape::alternating) {
        for (std::size_t i = 0; i < layers.size(); i += 2) {
            ++layers[i];
        }
    } else {
        (shape == StageShape::long_first ? layers.front() : layers.back()) += 2;
    }
    at.model.layers = 0;
    for (const std::int64_t count : layers) {
        at.model.layers += count;
    }
}

std::vector<Dimension> dimensions_of_job() {
    return {
        values("tp", &Layout::tp, {1, 2, 4}),
        values("pp", &Layout::pp, {1, 2, 3, 4}),
        values("cp", &Layout::cp, {1, 1, 2, 4}),  // experts need 1
        all("context-exchange", &TrainingSetup::context_exchange, cuts_sequences),
        all("context-balance", &TrainingSetup::context_balance, cuts_sequences),
        derived("dp", {1, 2, 3, 4, 6, 8}, replicate),
        all("schedule", &TrainingSetup::schedule),
        values("virtual-stages", &TrainingSetup::virtual_stages, {1, 2, 3}, has_chunks),
        derived("layers per part", {1, 2}, give_layers),
        derived("stage shape", {0, 1, 2, 3}, shape_stages),
        values("micro-batch", &TrainingSetup::micro_batch, {1, 2, 3}),
        derived("micro-batches",
                {1, 2, 3, 4, 6, 8},
                [](Case& at, std::int64_t count) {
                    at.setup.global_batch = count * at.layout.dp * at.setup.micro_batch;
                }),
        all("precision", &TrainingSetup::precision),
        all("recompute", &TrainingSetup::recompute),
        all("memory", &TrainingSetup::memory),
        all("overlap-p2p",
            &TrainingSetup::overlap_p2p,
            [](const Case& at) { return at.layout.pp > 1; }),
    };
}

std::vector<Dimension> dimensions_of_model() {
    return {
        // Half of the models are dense.
        values("experts", &Model::experts, {0, 0, 4, 8}),
        values("top_k", &Model::top_k, {1, 2, 3}, has_experts),
        values("expert_ffn", &Model::expert_ffn, {32, 48}, has_experts),
        values("shared_experts", &Model::shared_experts, {0, 1, 2}, has_experts),
        values("dense_layers", &Model::dense_layers, {0, 1, 2}, has_experts),
        values("hidden", &Model::hidden, {32, 48}),
        values("heads", &Model::heads, {4, 8}),
        derived("queries per key", {1, 2, 4}, group_queries),
        values("head_size", &Model::head_size, {8, 16}),
        values("ffn", &Model::ffn, {64, 96}),
        values("seq", &Model::seq, {8, 16, 12}),
        values("vocab", &Model::vocab, {128, 300}),
        values("gated_mlp", &Model::gated_mlp, {false, true}),
        values("tied_embeddings", &Model::tied_embeddings, {false, true}),
        all("norm", &Model::norm),
        all("positions", &Model::positions),
        all("bias", &Model::bias),
    };
}

std::vector<Dimension> dimensions_of_sharing() {
    return {
        all("sequence-parallel",
            &TrainingSetup::sequence_parallel,
            [](const Case& at) { return at.layout.tp > 1; }),
        all("overlap-tp", &TrainingSetup::overlap_tp, cuts_tokens),
        values("ep", &Layout::ep, {1, 2, 4}, has_experts),
        values("capacity-factor", &TrainingSetup::capacity_factor, {0.0, 0.75, 1.25}, has_experts),
        values("expert-skew", &TrainingSetup::expert_skew, {0.0, 0.5, 1.0}, has_experts),
        all("zero", &TrainingSetup::zero),
        values("shard", &Layout::shard, {0, 2, 3, 4}, shards),
        values("prefetch",
               &TrainingSetup::prefetch,
               {0, 1, 2, 5},
               [](const Case& at) { return at.setup.zero == Zero::parameters; }),
        all("overlap-parameters", &TrainingSetup::overlap_parameters, shards),
        all("overlap-gradients", &TrainingSetup::overlap_gradients),
        all("gradient-reduction", &TrainingSetup::gradient_reduction),
        values("gradient-type",
               &TrainingSetup::gradient_type,
               {DType::fp32, DType::bf16},
               [](const Case& at) { return storage_type(at.setup.precision) == DType::bf16; }),
        values("bucket", &TrainingSetup::bucket, {Bytes{1 << 25}, Bytes{40'000}, Bytes{5'000}}),
    };
}

}  // namespace

const std::vector<Dimension>& dimensions() {
    static const std::vector<Dimension> table = [] {
        std::vector<Dimension> list = dimensions_of_job();
        for (const auto& more : {dimensions_of_model(), dimensions_of_sharing()}) {
            list.insert(list.end(), more.begin(), more.end());
        }
        return list;
    }();
    return table;
}

Case case_of(Choices& choices) {
    Case at;
    at.model.name = "random";
    for (std::size_t i = 0; i < choices.size(); ++i) {
        const Dimension& dimension = dimensions()[i];
        if (dimension.matters(at)) {
            dimension.set(at, choices[i]);
        } else {
            choices[i] = 0;
        }
    }
    return at;
}

std::map<std::string, std::string> flags_of(const Case& at) {
    std::map<std::string, std::string> flags{{"dp", text_of(at.layout.dp)},
                                             {"global-batch", text_of(at.setup.global_batch)}};
    for (const Dimension& dimension : dimensions()) {
        if (dimension.flag && dimension.matters(at)) {
            flags[dimension.name] = dimension.flag(at);
        }
    }
    if (at.layout.shard == 0) {
        flags.erase("shard");  // all replicas, which has no number
    }
    if (!at.setup.stage_layers.empty()) {
        flags["stage-layers"] = fmt::format("{}", fmt::join(at.setup.stage_layers, ","));
    }
    return flags;
}

std::string model_file(const Model& model) {
    std::string text =
        fmt::format("name = \"{}\"\nnorm = \"{}\"\npositions = \"{}\"\nbias = \"{}\"\n",
                    model.name,
                    to_string(model.norm),
                    to_string(model.positions),
                    to_string(model.bias));
    const auto add = [&](std::string_view key, const auto& value) {
        text += fmt::format("{} = {}\n", key, value);
    };
    add("layers", model.layers);
    add("hidden", model.hidden);
    add("heads", model.heads);
    add("kv_heads", model.kv_heads);
    add("head_size", model.head_size);
    add("ffn", model.ffn);
    add("seq", model.seq);
    add("vocab", model.vocab);
    add("gated_mlp", model.gated_mlp);
    add("tied_embeddings", model.tied_embeddings);
    if (model.experts > 0) {
        add("experts", model.experts);
        add("top_k", model.top_k);
        add("expert_ffn", model.expert_ffn);
        add("shared_experts", model.shared_experts);
        add("dense_layers", model.dense_layers);
    }
    return text;
}

std::string reproduction(const Case& at) {
    std::string command = "traindyno show-program --model random.toml --rank 0";
    for (const auto& [flag, value] : flags_of(at)) {
        command += fmt::format(" --{} {}", flag, value);
    }
    return fmt::format("{}\nrandom.toml:\n{}", command, model_file(at.model));
}

}  // namespace traindyno::test
