// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/simd.hpp"
#include "emulator/device/routing_math.hpp"
#include "emulator/model/model.hpp"

namespace traindyno::detail {

namespace {

constexpr std::int64_t serial_below = 16384;  // elements: a parallel region costs about 2 us

template <class T>
TD_CLONES void scale_row(const T* from, float factor, T* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(to[c], factor * load(from[c]));
    }
}

/// sum += factor * from
template <class T>
TD_CLONES void add_scaled(const T* from, float factor, float* sum, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        sum[c] += factor * load(from[c]);
    }
}

template <class T>
TD_CLONES void round_row(const float* from, T* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t c = 0; c < n; ++c) {
        store(to[c], from[c]);
    }
}

template <class T>
TD_CLONES float dot(const T* x, const T* y, std::int64_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < n; ++c) {
        sum += load(x[c]) * load(y[c]);
    }
    return sum;
}

/// The k largest logits of a token, in order, and the softmax over them.
struct Choice {
    std::array<RankedLogit, most_top_k> chosen{};
    std::array<float, most_top_k> weights{};
};

template <class T>
Choice choose(const T* logits, std::int64_t experts, std::int64_t top_k) {
    Choice choice;
    RankedLogit previous;
    float sum = 0;
    for (std::size_t j = 0; j < static_cast<std::size_t>(top_k); ++j) {
        RankedLogit best;
        for (std::int32_t expert = 0; expert < experts; ++expert) {
            const RankedLogit here{.logit = load(logits[expert]), .expert = expert};
            if ((j == 0 || ranks_before(previous, here)) && ranks_before(here, best)) {
                best = here;
            }
        }
        choice.chosen[j] = previous = best;
        choice.weights[j] = fast_exp(best.logit - choice.chosen[0].logit);
        sum += choice.weights[j];
    }
    for (std::size_t j = 0; j < static_cast<std::size_t>(top_k); ++j) {
        choice.weights[j] /= sum;
    }
    return choice;
}

/// Runs over tokens; a token's slots are `tokens` apart.
class Routing {
  public:
    Routing(const Elementwise& op,
            std::span<const Operand> reads,
            std::span<const Operand> writes,
            const KernelContext& context)
        : tokens_(op.rows),
          columns_(op.columns),
          reads_(reads),
          writes_(writes),
          context_(context) {}

    template <class T>
    void router_forward() const {
        const std::int64_t top_k = writes_[0].elements / tokens_;
        for_tokens(columns_ * top_k, [&](std::int64_t token) {
            const Choice choice = choose(row<const T>(reads_[0], token), columns_, top_k);
            T* weights = writes_[0].as<T>() + token * top_k;
            round_row(choice.weights.data(), weights, top_k);
        });
    }

    template <class T>
    void router_backward() const {
        const std::int64_t top_k = reads_[1].elements / tokens_;
        for_tokens(columns_ * top_k, [&](std::int64_t token) {
            const Choice choice = choose(row<const T>(reads_[0], token), columns_, top_k);
            const T* dweights = reads_[1].as<const T>() + token * top_k;
            float mean = 0;
            for (std::int64_t j = 0; j < top_k; ++j) {
                mean += choice.weights[static_cast<std::size_t>(j)] * load(dweights[j]);
            }
            T* dlogits = row<T>(writes_[0], token);
            std::fill_n(dlogits, columns_, T{});
            for (std::int64_t j = 0; j < top_k; ++j) {
                const auto at = static_cast<std::size_t>(j);
                store(dlogits[choice.chosen[at].expert],
                      choice.weights[at] * (load(dweights[j]) - mean));
            }
        });
    }

    template <class T>
    void permute_forward() const {
        const std::int64_t slots = writes_[0].elements / columns_;
        for_tokens(columns_ * rounds(slots), [&](std::int64_t token) {
            for (std::int64_t slot = token; slot < slots; slot += tokens_) {
                std::copy_n(row<const T>(reads_[0], token), columns_, row<T>(writes_[0], slot));
            }
        });
    }

    template <class T>
    void permute_backward() const {
        const std::int64_t slots = reads_[0].elements / columns_;
        sum_slots<T>(slots, [](std::int64_t, std::int64_t) { return 1.0F; });
    }

    template <class T>
    void unpermute_forward() const {
        const std::int64_t top_k = reads_[1].elements / tokens_;
        const std::int64_t slots = std::min(reads_[0].elements / columns_, top_k * tokens_);
        const T* weights = reads_[1].as<const T>();
        sum_slots<T>(slots, [&](std::int64_t token, std::int64_t j) {
            return load(weights[token * top_k + j]);
        });
    }

    template <class T>
    void unpermute_backward() const {
        const std::int64_t slots = reads_[1].elements / columns_;
        const std::int64_t top_k = reads_[2].elements / tokens_;
        for_tokens(columns_ * rounds(slots), [&](std::int64_t token) {
            const T* dz = row<const T>(reads_[0], token);
            const T* weights = reads_[2].as<const T>() + token * top_k;
            T* dweights = writes_[1].as<T>() + token * top_k;
            std::fill_n(dweights, top_k, T{});
            for (std::int64_t j = 0, slot = token; slot < slots; ++j, slot += tokens_) {
                if (j < top_k) {
                    store(dweights[j], dot(dz, row<const T>(reads_[1], slot), columns_));
                }
                scale_row(dz, j < top_k ? load(weights[j]) : 0, row<T>(writes_[0], slot), columns_);
            }
        });
    }

    void concatenate() const {
        std::byte* to = writes_[0].data;
        for (const Operand& part : reads_) {
            const std::int64_t size = element_size(part.dtype);
            const auto copy = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
                std::memcpy(to + begin * size,
                            part.data + begin * size,
                            static_cast<std::size_t>((end - begin) * size));
            };
            constexpr std::int64_t line = 64;  // elements: threads never share a cache line
            context_.team->for_ranges(part.elements, line, serial_below, copy);
            to += part.elements * size;
        }
    }

  private:
    [[nodiscard]] std::int64_t rounds(std::int64_t slots) const {
        return std::max<std::int64_t>(1, slots / tokens_);
    }

    template <class T>
    [[nodiscard]] T* row(const Operand& matrix, std::int64_t index) const {
        return matrix.as<T>() + index * columns_;
    }

    template <class Body>
    void for_tokens(std::int64_t elements_per_token, const Body& body) const {
        const auto run = [&](std::int64_t begin, std::int64_t end, int /*thread*/) {
            for (std::int64_t token = begin; token < end; ++token) {
                body(token);
            }
        };
        context_.team->for_ranges(tokens_, 1, serial_below / elements_per_token, run);
    }

    /// writes[0][token] <- sum over the token's slots of factor(token, round) * reads[0][slot]
    template <class T, class Factor>
    void sum_slots(std::int64_t slots, const Factor& factor) const {
        const auto run = [&](std::int64_t begin, std::int64_t end, int thread) {
            float* sum = context_.scratch.data() + thread * columns_;
            for (std::int64_t token = begin; token < end; ++token) {
                std::fill_n(sum, columns_, 0.0F);
                for (std::int64_t j = 0, slot = token; slot < slots; ++j, slot += tokens_) {
                    add_scaled(row<const T>(reads_[0], slot), factor(token, j), sum, columns_);
                }
                round_row(sum, row<T>(writes_[0], token), columns_);
            }
        };
        context_.team->for_ranges(tokens_, 1, serial_below / (columns_ * rounds(slots)), run);
    }

    std::int64_t tokens_;
    std::int64_t columns_;
    std::span<const Operand> reads_;
    std::span<const Operand> writes_;
    const KernelContext& context_;
};

template <class T>
void run_typed(ElementwiseKind kind, const Routing& routing) {
    switch (kind) {
        case ElementwiseKind::router_forward:
            return routing.router_forward<T>();
        case ElementwiseKind::router_backward:
            return routing.router_backward<T>();
        case ElementwiseKind::permute_forward:
            return routing.permute_forward<T>();
        case ElementwiseKind::permute_backward:
            return routing.permute_backward<T>();
        case ElementwiseKind::unpermute_forward:
            return routing.unpermute_forward<T>();
        case ElementwiseKind::unpermute_backward:
            return routing.unpermute_backward<T>();
        default:
            TD_EXPECT(!"a kind of routing");
    }
}

}  // namespace

void run_routing(const Elementwise& op,
                 std::span<const Operand> reads,
                 std::span<const Operand> writes,
                 const KernelContext& context) {
    const Routing routing(op, reads, writes, context);
    if (op.kind == ElementwiseKind::concatenate) {
        return routing.concatenate();
    }
    const bool bf16 = reads[0].dtype == DType::bf16;
    (bf16 ? run_typed<Bf16> : run_typed<float>)(op.kind, routing);
}

}  // namespace traindyno::detail
