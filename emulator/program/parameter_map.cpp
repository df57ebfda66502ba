// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/parameter_map.hpp"

namespace traindyno {

namespace {

/// Packs parameters without gaps, so that counts and gradient volumes are the model's own.
class Packer {
  public:
    Slice take(std::int64_t elements) {
        const Slice slice{.space = Space::parameter, .offset = end_, .elements = elements};
        end_ += elements;
        return slice;
    }

    [[nodiscard]] std::int64_t end() const { return end_; }

  private:
    std::int64_t end_ = 0;
};

std::int64_t norm_elements(const Model& model) {
    return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
}

/// What a layer with experts has in place of an MLP.
void pack_experts(const LocalShape& shape, Packer& pack, LayerParameters& layer) {
    layer.router = pack.take(shape.experts * shape.hidden);
    layer.shared_up = pack.take(shape.shared_up_width * shape.hidden);
    layer.shared_down = pack.take(shape.hidden * shape.shared_ffn);
    layer.common = pack.end();
    for (std::int64_t expert = 0; expert < shape.local_experts; ++expert) {
        const Slice up = pack.take(shape.expert_up_width * shape.hidden);
        layer.experts.push_back({.up = up, .down = pack.take(shape.hidden * shape.expert_ffn)});
    }
    layer.elements = pack.end();
}

LayerParameters layer_parameters(const Model& model, const LocalShape& shape, LayerKind kind) {
    const bool qkv_bias = model.bias != LinearBias::none;
    const bool all_bias = model.bias == LinearBias::all;
    Packer pack;
    LayerParameters layer;
    layer.norm1 = pack.take(norm_elements(model));
    layer.qkv_weight = pack.take(shape.qkv_width * shape.hidden);
    layer.qkv_bias = pack.take(qkv_bias ? shape.qkv_width : 0);
    layer.projection_weight = pack.take(shape.hidden * shape.attention_width);
    layer.projection_bias = pack.take(all_bias ? shape.hidden : 0);
    layer.norm2 = pack.take(norm_elements(model));
    if (kind == LayerKind::experts) {
        pack_experts(shape, pack, layer);
        return layer;
    }
    layer.up_weight = pack.take(shape.up_width * shape.hidden);
    layer.up_bias = pack.take(all_bias ? shape.up_width : 0);
    layer.down_weight = pack.take(shape.hidden * shape.ffn);
    layer.down_bias = pack.take(all_bias ? shape.hidden : 0);
    layer.common = layer.elements = pack.end();
    return layer;
}

}  // namespace

ParameterMap parameter_map(const Model& model,
                           const Layout& layout,
                           const LocalShape& shape,
                           Stage stage,
                           MemoryMode memory) {
    const bool first = stage.value() == 0;
    const bool last = stage.value() == layout.pp - 1;
    const bool shared_table = model.tied_embeddings && first && last;
    const std::int64_t table = shape.vocab * shape.hidden;

    ParameterMap map;
    map.layer = layer_parameters(model, shape, LayerKind::dense);
    map.layers = shape.layers;
    map.dense_layers = std::clamp<std::int64_t>(
        model.layers_with_mlp() - stage.value() * shape.layers, 0, shape.layers);
    const auto resident = [&](std::int64_t layers) {
        return memory == MemoryMode::aliased ? std::min<std::int64_t>(layers, 1) : layers;
    };
    map.resident_dense = resident(map.dense_layers);
    map.resident_experts = resident(map.expert_layers());
    if (map.expert_layers() > 0) {
        map.expert_layer = layer_parameters(model, shape, LayerKind::experts);
    }
    Packer pack;
    if (last) {
        map.output_table = pack.take(shared_table ? 0 : table);
        map.final_norm = pack.take(norm_elements(model));
    }
    map.output_elements = pack.end();
    pack.take(map.resident_experts * map.expert_layer.elements +
              map.resident_dense * map.layer.elements);
    if (first) {
        map.table = pack.take(table);
        map.positions =
            pack.take(model.positions == Positions::learned ? shape.seq * shape.hidden : 0);
    }
    if (shared_table) {
        map.output_table = map.table;
    }
    map.elements = pack.end();
    map.parameters = map.elements +
                     (map.dense_layers - map.resident_dense) * map.layer.elements +
                     (map.expert_layers() - map.resident_experts) * map.expert_layer.elements;
    return map;
}

}  // namespace traindyno
