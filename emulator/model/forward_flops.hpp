// SPDX-License-Identifier: Apache-2.0
// FLOPs of one token's way through a model, by what does them.
#pragma once

#include "emulator/base/units.hpp"
#include "emulator/model/model.hpp"

namespace traindyno {

/// Forward FLOPs per token over all layers; a multiply-add counts two. Attention is counted over
/// the full score square, as Narayanan et al., SC'21, do; of the experts, those that a token
/// visits.
struct ForwardFlops {
    Flops linear;     ///< the layers' matrix products with weights
    Flops attention;  ///< QK^T and the product with V
    Flops logits;     ///< the output layer

    friend bool operator==(const ForwardFlops&, const ForwardFlops&) = default;

    [[nodiscard]] Flops layers() const { return linear + attention; }

    [[nodiscard]] Flops total() const { return layers() + logits; }
};

[[nodiscard]] ForwardFlops forward_flops_per_token(const Model& model);

}  // namespace traindyno
