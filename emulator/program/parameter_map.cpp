// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/parameter_map.hpp"

#include <algorithm>

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

    /// What lies from `begin` on.
    void pad(const Sharding& sharding, std::int64_t begin = 0) {
        end_ = begin + sharding.padded(end_ - begin);
    }

    [[nodiscard]] std::int64_t end() const { return end_; }

  private:
    std::int64_t end_ = 0;
};

std::int64_t norm_elements(const Model& model) {
    return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
}

/// What a layer with experts has in place of an MLP.
void pack_experts(const LocalShape& shape,
                  const Sharding& sharding,
                  Packer& pack,
                  LayerParameters& layer) {
    layer.router = pack.take(shape.experts * shape.hidden);
    layer.shared_up = pack.take(shape.shared_up_width * shape.hidden);
    layer.shared_down = pack.take(shape.hidden * shape.shared_ffn);
    if (sharding.experts_apart && sharding.by_unit()) {
        pack.pad(sharding);
    }
    layer.common = pack.end();
    for (std::int64_t expert = 0; expert < shape.local_experts; ++expert) {
        const Slice up = pack.take(shape.expert_up_width * shape.hidden);
        layer.experts.push_back({.up = up, .down = pack.take(shape.hidden * shape.expert_ffn)});
    }
    layer.elements = pack.end();
}

LayerParameters layer_parameters(const Model& model,
                                 const LocalShape& shape,
                                 const Sharding& sharding,
                                 LayerKind kind) {
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
        pack_experts(shape, sharding, pack, layer);
        return layer;
    }
    layer.up_weight = pack.take(shape.up_width * shape.hidden);
    layer.up_bias = pack.take(all_bias ? shape.up_width : 0);
    layer.down_weight = pack.take(shape.hidden * shape.ffn);
    layer.down_bias = pack.take(all_bias ? shape.hidden : 0);
    layer.common = layer.elements = pack.end();
    return layer;
}

/// Packs the flat array from the output side to the input side.
class MapPacker {
  public:
    MapPacker(const Model& model, const Sharding& sharding) : model_(model), sharding_(sharding) {}

    void output_side(ParameterMap& map, std::int64_t table) {
        map.output_table = pack_.take(table);
        if (sharding_.own_table) {
            pad_and_cut();
        }
        map.final_norm = pack_.take(norm_elements(model_));
    }

    void layers(ParameterMap& map) {
        if (sharding_.by_unit()) {
            pad_and_cut();
        }
        map.output_elements = pack_.end();
        const std::int64_t resident =
            map.resident_experts * map.expert_stride + map.resident_dense * map.dense_stride;
        pack_.take(resident);
        not_resident_ = map.from_layer(0) - resident;
        for (std::int64_t layer = map.layers - 1; layer >= 0; --layer) {
            const std::int64_t end = map.output_elements + map.from_layer(layer);
            if (sharding_.experts_apart && map.kind_of(layer) == LayerKind::experts) {
                cuts_.push_back(end - map.expert_stride + map.expert_layer.common);
                expert_cuts_.push_back(end);
                cuts_.push_back(end);
            } else if (sharding_.by_unit()) {
                cuts_.push_back(end);
            }
        }
        if (sharding_.by_unit()) {
            map.embedding_base = cut_ = pack_.end();
        }
    }

    void input_side(ParameterMap& map, std::int64_t table, std::int64_t positions) {
        if (sharding_.own_table) {
            pad_and_cut();
        }
        map.table = pack_.take(table);
        if (sharding_.own_table) {
            pad_and_cut();
        }
        map.positions = pack_.take(positions);
        if (map.head_unit == UnitKind::embedding) {
            map.final_norm = pack_.take(norm_elements(model_));
            map.final_norm.offset -= map.embedding_base;
        }
        map.table.offset -= map.embedding_base;
        map.positions.offset -= map.embedding_base;
    }

    void finish(ParameterMap& map) {
        pad_and_cut();
        map.elements = pack_.end();
        map.parameters = map.elements + not_resident_;
        std::int64_t from = 0;
        for (const std::int64_t to : cuts_) {
            const bool experts = std::binary_search(expert_cuts_.begin(), expert_cuts_.end(), to);
            std::vector<Bucket>& buckets = experts ? map.expert_buckets : map.buckets;
            const std::vector<Bucket> more = cut(sharding_, from, to);
            buckets.insert(buckets.end(), more.begin(), more.end());
            from = to;
        }
    }

  private:
    void pad_and_cut() {
        pack_.pad(sharding_, cut_);
        cut_ = pack_.end();
        cuts_.push_back(pack_.end() + not_resident_);
    }

    const Model& model_;
    const Sharding& sharding_;
    Packer pack_;
    std::int64_t cut_ = 0;                   ///< end of what has been padded
    std::int64_t not_resident_ = 0;          ///< elements of layers that share another one's memory
    std::vector<std::int64_t> cuts_;         ///< ascending; where a bucket ends whatever its size
    std::vector<std::int64_t> expert_cuts_;  ///< of them, where experts that are apart end
};

void place_layers(const Model& model,
                  const LocalShape& shape,
                  MemoryMode memory,
                  const Sharding& sharding,
                  ParameterMap& map) {
    const auto stride = [&](const LayerParameters& layer) {
        if (!sharding.by_unit()) {
            return layer.elements;
        }
        return sharding.experts_apart ? sharding.padded(layer.common) +
                                            sharding.padded_experts(layer.elements - layer.common)
                                      : sharding.padded(layer.elements);
    };
    const auto resident = [&](std::int64_t layers) {
        return memory == MemoryMode::aliased ? std::min<std::int64_t>(layers, 1) : layers;
    };
    map.resident_dense = resident(map.dense_layers);
    map.resident_experts = resident(map.layers - map.dense_layers);
    if (map.resident_dense > 0) {
        map.layer = layer_parameters(model, shape, sharding, LayerKind::dense);
        map.dense_stride = stride(map.layer);
    }
    if (map.resident_experts > 0) {
        map.expert_layer = layer_parameters(model, shape, sharding, LayerKind::experts);
        map.expert_stride = stride(map.expert_layer);
    }
}

/// Those that begin in `range`, of `buckets` in order.
std::span<const Bucket> buckets_in(const std::vector<Bucket>& buckets, const Bucket& range) {
    const auto before = [](const Bucket& bucket, std::int64_t position) {
        return bucket.offset < position;
    };
    const auto first = std::lower_bound(buckets.begin(), buckets.end(), range.offset, before);
    const auto last = std::lower_bound(first, buckets.end(), range.end(), before);
    return {first, last};
}

}  // namespace

ParameterMap parameter_map(const Model& model,
                           const Layout& layout,
                           const LocalShape& shape,
                           Stage stage,
                           MemoryMode memory,
                           const Sharding& sharding) {
    const bool first = stage.value() == 0;
    const bool last = stage.value() == layout.pp - 1;
    const bool shared_table = model.tied_embeddings && first && last;
    const std::int64_t table = shape.vocab * shape.hidden;

    ParameterMap map;
    map.layers = shape.layers;
    map.dense_layers = shape.dense_layers;
    place_layers(model, shape, memory, sharding, map);
    map.head_unit = shared_table && sharding.by_unit() ? UnitKind::embedding : UnitKind::head;
    MapPacker pack(model, sharding);
    if (last && map.head_unit == UnitKind::head) {
        pack.output_side(map, shared_table ? 0 : table);
    }
    pack.layers(map);
    if (first) {
        const bool learned = model.positions == Positions::learned;
        pack.input_side(map, table, learned ? shape.positions * shape.hidden : 0);
    }
    pack.finish(map);
    if (shared_table) {
        map.output_table = map.table;
    }
    return map;
}

std::int64_t ParameterMap::final_after(const Unit& unit) const {
    switch (unit.kind) {
        case UnitKind::head:
            return output_elements;
        case UnitKind::layer:
            return output_elements + from_layer(unit.layer);
        case UnitKind::embedding:
            break;
    }
    return parameters;
}

std::int64_t ParameterMap::base_of(const Unit& unit) const {
    switch (unit.kind) {
        case UnitKind::head:
            break;
        case UnitKind::layer:
            return layer_base(unit.layer);
        case UnitKind::embedding:
            return embedding_base;
    }
    return 0;
}

Bucket ParameterMap::range_of(const Unit& unit) const {
    const std::int64_t end = final_after(unit);
    switch (unit.kind) {
        case UnitKind::head:
            return {.offset = 0, .elements = end};
        case UnitKind::layer: {
            const std::int64_t stride = stride_of(kind_of(unit.layer));
            return {.offset = end - stride, .elements = stride};
        }
        case UnitKind::embedding:
            break;
    }
    const std::int64_t begin = output_elements + from_layer(0);
    return {.offset = begin, .elements = end - begin};
}

std::span<const Bucket> ParameterMap::buckets_of(const Unit& unit) const {
    return buckets_in(buckets, range_of(unit));
}

std::span<const Bucket> ParameterMap::expert_buckets_of(const Unit& unit) const {
    return buckets_in(expert_buckets, range_of(unit));
}

std::int64_t ParameterMap::resident(std::int64_t position) const {
    const std::int64_t experts_end = output_elements + from_layer(dense_layers);
    const std::int64_t layers_end = output_elements + from_layer(0);
    const std::int64_t dense_base = output_elements + resident_experts * expert_stride;
    if (position < output_elements) {
        return position;
    }
    if (position < experts_end) {
        return output_elements + (position - output_elements) % (resident_experts * expert_stride);
    }
    if (position < layers_end) {
        return dense_base + (position - experts_end) % (resident_dense * dense_stride);
    }
    return position - layers_end + dense_base + resident_dense * dense_stride;
}

std::vector<Bucket> ParameterMap::shared_places() const {
    std::vector<Bucket> places(static_cast<std::size_t>(layers - dense_layers - resident_experts),
                               Bucket{.offset = output_elements, .elements = expert_stride});
    places.insert(places.end(),
                  static_cast<std::size_t>(dense_layers - resident_dense),
                  Bucket{.offset = output_elements + resident_experts * expert_stride,
                         .elements = dense_stride});
    return places;
}

}  // namespace traindyno
