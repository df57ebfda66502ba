// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/model/catalog.hpp"
#include "emulator/model/forward_flops.hpp"

namespace traindyno {

namespace {

struct Divided {
    std::string_view key;
    std::int64_t value;
};

std::string divisors_above_one(std::int64_t number) {
    std::vector<std::int64_t> divisors;
    for (std::int64_t i = 2; i <= number; ++i) {
        if (number % i == 0) {
            divisors.push_back(i);
        }
    }
    return divisors.empty() ? "no --shrink at all" : fmt::format("{}", fmt::join(divisors, ", "));
}

/// The number of layers matters where it is not given beside.
void refuse_uneven_shrink(const Model& model, const ModelOverrides& overrides) {
    const std::int64_t shrink = overrides.shrink;
    if (shrink <= 0) {
        throw ConfigError({fmt::format(
            "--shrink {} is not positive (it divides the model's shape) give 1 or more", shrink)});
    }
    const std::array divided{Divided{"layers", overrides.layers ? 0 : model.layers},
                             Divided{"hidden", model.hidden},
                             Divided{"heads", model.heads},
                             Divided{"ffn", model.ffn},
                             Divided{"expert_ffn", model.expert_ffn},
                             Divided{"seq", model.seq}};
    std::int64_t common = 0;
    std::vector<std::string> uneven;
    for (const Divided& part : divided) {
        common = std::gcd(common, part.value);
        if (part.value % shrink != 0) {
            uneven.push_back(fmt::format("{} {}", part.key, part.value));
        }
    }
    if (!uneven.empty()) {
        throw ConfigError({fmt::format(
            "--shrink {}: does not divide {} (the shape of {} must stay whole) choose {}",
            shrink,
            fmt::join(uneven, ", "),
            model.name,
            divisors_above_one(common))});
    }
}

/// Key/value heads divided by `shrink`, rounded down to a divisor of the remaining `heads`.
std::int64_t shrunk_kv_heads(std::int64_t kv_heads, std::int64_t heads, std::int64_t shrink) {
    std::int64_t shrunk = std::max<std::int64_t>(1, kv_heads / shrink);
    while (heads % shrunk != 0) {
        --shrunk;
    }
    return shrunk;
}

Model shrunk_by(Model model, const ModelOverrides& overrides) {
    refuse_uneven_shrink(model, overrides);
    const std::int64_t shrink = overrides.shrink;
    model.layers /= shrink;
    model.hidden /= shrink;
    model.heads /= shrink;
    model.kv_heads = shrunk_kv_heads(model.kv_heads, model.heads, shrink);
    model.ffn /= shrink;
    model.expert_ffn /= shrink;
    model.dense_layers /= shrink;
    model.seq /= shrink;
    model.vocab = (model.vocab + shrink - 1) / shrink;
    return model;
}

Proportion compared(std::string name, double original, double shrunk) {
    const bool kept = std::abs(shrunk - original) <= 0.01 * std::abs(original);
    return {.name = std::move(name), .original = original, .shrunk = shrunk, .kept = kept};
}

double ratio(std::int64_t a, std::int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
}

/// Training FLOPs of one sequence for each byte of its fp32 gradient all-reduce.
double flop_per_gradient_byte(const Model& model) {
    const double training = 3 * forward_flops_per_token(model).total().value();
    return training * ratio(model.seq, 4 * parameters(model));
}

/// Bytes of the four bf16 all-reduces per layer of tensor parallelism for each training FLOP.
double tp_bytes_per_flop(const Model& model) {
    const double training = 3 * forward_flops_per_token(model).total().value();
    return 4 * 2 * static_cast<double>(model.hidden * model.layers) / training;
}

/// Bytes that one token's four all-to-alls per layer with experts move in bf16, for each training
/// FLOP.
double ep_bytes_per_flop(const Model& model) {
    const double training = 3 * forward_flops_per_token(model).total().value();
    const std::int64_t layers = model.layers - model.dense_layers;
    return 4 * 2 * static_cast<double>(model.top_k * model.hidden * layers) / training;
}

double attention_share(const Model& model) {
    const ForwardFlops forward = forward_flops_per_token(model);
    return forward.attention.value() / forward.total().value();
}

double logits_share(const Model& model) {
    const ForwardFlops forward = forward_flops_per_token(model);
    return forward.logits.value() / forward.total().value();
}

}  // namespace

Model apply(const Model& model, const ModelOverrides& overrides) {
    Model changed = shrunk_by(model, overrides);
    changed.layers = overrides.layers.value_or(changed.layers);
    changed.seq = overrides.seq.value_or(changed.seq);
    if (changed.experts > 0) {  // one layer with experts stays
        changed.dense_layers =
            std::max<std::int64_t>(0, std::min(changed.dense_layers, changed.layers - 1));
    }
    if (changed == model) {
        return changed;
    }
    changed.nominal_parameters = 0;
    if (overrides.shrink != 1) {
        changed.name += fmt::format("-shrink{}", overrides.shrink);
    }
    if (overrides.layers) {
        changed.name += fmt::format("-layers{}", *overrides.layers);
    }
    if (overrides.seq) {
        changed.name += fmt::format("-seq{}", *overrides.seq);
    }
    Problems problems;
    for (const std::string& problem : problems_of(changed)) {
        problems.add("--" + problem);  // only --layers and --seq can leave the valid range
    }
    problems.throw_if_any();
    return changed;
}

std::vector<Proportion> proportions(const Model& original, const Model& shrunk) {
    const auto of = [&](std::string name, auto&& property) {
        return compared(std::move(name), property(original), property(shrunk));
    };
    std::vector<Proportion> list{
        of("ffn / hidden", [](const Model& m) { return ratio(m.ffn, m.hidden); }),
        of("head size", [](const Model& m) { return static_cast<double>(m.head_size); }),
        of("heads / kv heads", [](const Model& m) { return ratio(m.heads, m.kv_heads); }),
        of("hidden / layers", [](const Model& m) { return ratio(m.hidden, m.layers); }),
        of("vocab / hidden", [](const Model& m) { return ratio(m.vocab, m.hidden); }),
        of("attention share of FLOP", attention_share),
        of("logits share of FLOP", logits_share),
        of("FLOP per gradient byte (per sequence)", flop_per_gradient_byte),
        of("TP bytes per FLOP (bf16)", tp_bytes_per_flop)};
    if (original.experts > 0) {
        list.push_back(of("expert ffn / hidden",
                          [](const Model& m) { return ratio(m.expert_ffn, m.hidden); }));
        list.push_back(of("layers with experts share of layers", [](const Model& m) {
            return ratio(m.layers - m.dense_layers, m.layers);
        }));
        list.push_back(of("EP bytes per FLOP (bf16)", ep_bytes_per_flop));
    }
    return list;
}

}  // namespace traindyno
