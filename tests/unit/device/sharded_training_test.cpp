// SPDX-License-Identifier: Apache-2.0
// Whole steps of several replicas on cpu devices: however state is sharded, the same gradients
// reach the same weights.
#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/half_types.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/cpu/gemm.hpp"
#include "emulator/device/random_values.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/parameter_map.hpp"
#include "tests/support/lockstep_job.hpp"

namespace traindyno {
namespace {

using test::LockstepJob;
using test::Timing;

Model gpt(std::int64_t layers = 3) {
    return {.name = "gpt",
            .layers = layers,
            .hidden = 32,
            .heads = 2,
            .kv_heads = 2,
            .head_size = 16,
            .ffn = 64,
            .seq = 24,
            .vocab = 100};
}

Model llama() {
    Model model = gpt();
    model.name = "llama";
    model.gated_mlp = true;
    model.tied_embeddings = false;
    model.norm = Norm::rmsnorm;
    model.positions = Positions::rotary;
    model.bias = LinearBias::none;
    return model;
}

/// A layer with an MLP, the others with experts of which a token visits half.
Model mixture() {
    Model model = llama();
    model.name = "mixture";
    model.experts = 4;
    model.top_k = 2;
    model.expert_ffn = 12;
    model.shared_experts = 1;
    model.dense_layers = 1;
    return model;
}

struct Training {
    std::string name;
    Model model;
    Layout layout;
    TrainingSetup setup;

    friend void PrintTo(const Training& value, std::ostream* out) { *out << value.name; }
};

/// Where the weights of one stage lie in its flat array, by name.
class Names {
  public:
    Names(const Training& training, Stage stage)
        : sharding_(sharding_of(training.model, training.layout, training.setup)),
          map_(parameter_map(training.model,
                             training.layout,
                             local_shape(training.model, training.layout, training.setup, stage),
                             stage,
                             training.setup.memory,
                             sharding_)) {
        for (std::int64_t layer = 0; layer < map_.layers; ++layer) {
            const std::string name = "layer " + std::to_string(stage.value() * map_.layers + layer);
            const Unit unit{.kind = UnitKind::layer, .layer = layer};
            const LayerParameters& weights = map_.of(map_.kind_of(layer));
            const auto from_to = [](std::int64_t from, std::int64_t to) {
                return Slice{.space = Space::parameter, .offset = from, .elements = to - from};
            };
            // Padding may follow what is not of experts.
            const std::int64_t common =
                weights.experts.empty() ? weights.elements
                                        : weights.shared_down.offset + weights.shared_down.elements;
            add(name, unit, from_to(0, common));
            add(name + " experts", unit, from_to(weights.common, weights.elements));
        }
        add("final norm", {.kind = map_.head_unit}, map_.final_norm);
        const bool first = map_.table.elements > 0;
        add("table", {.kind = UnitKind::embedding}, map_.table);
        add("positions", {.kind = UnitKind::embedding}, map_.positions);
        if (map_.output_table.elements > 0 && !(first && training.model.tied_embeddings)) {
            add(training.model.tied_embeddings ? "table" : "output table",
                {.kind = UnitKind::head},
                map_.output_table);
        }
    }

    /// Reproducible, large enough that gradients are clipped. `experts` are told apart by seeds.
    [[nodiscard]] std::vector<float> initial(std::uint32_t seed, std::int64_t experts) const {
        std::vector<float> flat(static_cast<std::size_t>(map_.elements));
        for (const auto& [name, place] : places_) {
            const auto apart =
                is_of_experts(name) ? 1000 * static_cast<std::uint32_t>(experts) : 0U;
            const auto own =
                seed + apart + static_cast<std::uint32_t>(std::hash<std::string>{}(name));
            for (std::int64_t i = 0; i < place.elements; ++i) {
                flat[static_cast<std::size_t>(place.offset + i)] =
                    normal_value(own, static_cast<std::uint32_t>(i), 0.3F);
            }
        }
        return flat;
    }

    /// Calls visit(part of a bucket that a rank holds, where it is kept), of all but experts that
    /// are apart. What is kept lies in the order of the buckets.
    template <class Visit>
    void for_each_part(std::int64_t rank, Visit&& visit) const {
        for (const Bucket& bucket : map_.buckets) {
            visit(part_of(bucket, rank, sharding_.ranks), kept_before(bucket));
        }
    }

    template <class Visit>
    void for_each_part_of_experts(std::int64_t rank, Visit&& visit) const {
        for (const Bucket& bucket : map_.expert_buckets) {
            visit(part_of(bucket, rank, sharding_.expert_ranks), kept_before(bucket));
        }
    }

    [[nodiscard]] static bool is_of_experts(const std::string& name) {
        return name.ends_with("experts");
    }

    [[nodiscard]] const Sharding& sharding() const { return sharding_; }

    [[nodiscard]] const std::map<std::string, Bucket>& places() const { return places_; }

  private:
    [[nodiscard]] static Bucket part_of(const Bucket& bucket,
                                        std::int64_t rank,
                                        std::int64_t ranks) {
        const std::int64_t elements = bucket.elements / ranks;
        return {.offset = bucket.offset + rank * elements, .elements = elements};
    }

    [[nodiscard]] std::int64_t kept_before(const Bucket& next) const {
        std::int64_t kept = 0;
        for (const Bucket& bucket : map_.buckets) {
            kept += bucket.offset < next.offset ? bucket.elements / sharding_.ranks : 0;
        }
        for (const Bucket& bucket : map_.expert_buckets) {
            kept += bucket.offset < next.offset ? bucket.elements / sharding_.expert_ranks : 0;
        }
        return kept;
    }

    void add(const std::string& name, const Unit& unit, const Slice& slice) {
        if (slice.elements > 0) {
            places_[name] = {.offset = map_.base_of(unit) + slice.offset,
                             .elements = slice.elements};
        }
    }

    Sharding sharding_;
    ParameterMap map_;
    std::map<std::string, Bucket> places_;
};

std::vector<std::unique_ptr<Device>> devices_of(const Training& training) {
    std::vector<std::unique_ptr<Device>> devices;
    for (std::int64_t rank = 0; rank < training.layout.ranks(); ++rank) {
        // Replicas see different tokens.
        const auto replica = coordinates_of(training.layout, WorldRank{rank}).dp;
        devices.push_back(make_cpu_device({.cores = {allowed_cores().front()},
                                           .threads = 1,
                                           .precision = training.setup.precision,
                                           .seed = 3 + 100 * static_cast<unsigned>(replica)}));
    }
    return devices;
}

std::vector<StepProgram> programs_of(const Training& training) {
    std::vector<StepProgram> programs;
    for (std::int64_t rank = 0; rank < training.layout.ranks(); ++rank) {
        programs.push_back(
            build_step(training.model, training.layout, training.setup, WorldRank{rank}));
    }
    return programs;
}

/// A job whose weights begin alike however they are sharded.
class Trainer {
  public:
    explicit Trainer(const Training& training)
        : training_(training), job_(programs_of(training), devices_of(training)) {
        for (std::int64_t stage = 0; stage < training.layout.pp; ++stage) {
            names_.emplace_back(training, Stage{stage});
        }
        for (std::int64_t rank = 0; rank < training.layout.ranks(); ++rank) {
            begin(rank);
        }
    }

    void step(Timing timing) { job_.run_step(timing); }

    /// Of every parameter, by name, its value in a space of optimizer state.
    [[nodiscard]] std::map<std::string, std::vector<float>> state(Space space) {
        std::map<std::string, std::vector<float>> values;
        for (std::int64_t rank = 0; rank < training_.layout.ranks(); ++rank) {
            const Coordinates at = coordinates_of(training_.layout, WorldRank{rank});
            if (at.dp >= training_.layout.ep) {
                continue;
            }
            const std::vector<float> flat = whole(rank, space);
            for (const auto& [name, place] : names(rank).places()) {
                if (at.dp == 0 || Names::is_of_experts(name)) {
                    const auto first = flat.begin() + place.offset;
                    values[name + " of tp rank " + std::to_string(at.tp) + " dp rank " +
                           std::to_string(at.dp) + (place.offset > 0 && at.pp > 0 ? " above" : "")]
                        .assign(first, first + place.elements);
                }
            }
        }
        return values;
    }

    /// State of the whole stage from all ranks that share it with `rank`.
    [[nodiscard]] std::vector<float> whole(std::int64_t rank, Space space) {
        std::vector<float> flat = names(rank).initial(0, 0);
        const Sharding& sharding = names(rank).sharding();
        const auto copy_from = [&](GroupKind kind, std::int64_t ranks, std::int64_t part) {
            const WorldRank holder = ranks == 1 ? WorldRank{rank}
                                                : group_of(training_.layout, kind, WorldRank{rank})
                                                      .members[static_cast<std::size_t>(part)];
            const std::span<float> kept = job_.floats(holder.index(), space);
            return [kept, &flat](const Bucket& own, std::int64_t at) {
                std::copy_n(kept.begin() + at, own.elements, flat.begin() + own.offset);
            };
        };
        for (std::int64_t part = 0; part < sharding.ranks; ++part) {
            names(rank).for_each_part(part, copy_from(GroupKind::dp_shard, sharding.ranks, part));
        }
        for (std::int64_t part = 0; part < sharding.expert_ranks; ++part) {
            names(rank).for_each_part_of_experts(
                part, copy_from(GroupKind::expert_dp, sharding.expert_ranks, part));
        }
        return flat;
    }

    [[nodiscard]] LockstepJob& job() { return job_; }

    [[nodiscard]] const Names& names(std::int64_t rank) const {
        return names_[static_cast<std::size_t>(
            coordinates_of(training_.layout, WorldRank{rank}).pp)];
    }

  private:
    void begin(std::int64_t rank) {
        const auto index = static_cast<std::size_t>(rank);
        const Names& at = names(rank);
        const Coordinates place = coordinates_of(training_.layout, WorldRank{rank});
        const std::vector<float> flat =
            at.initial(7 + static_cast<std::uint32_t>(place.tp), place.dp % training_.layout.ep);
        const auto part_in = [&](GroupKind kind, std::int64_t ranks) {
            return ranks == 1 ? 0
                              : group_of(training_.layout, kind, WorldRank{rank})
                                    .rank_of(WorldRank{rank})
                                    .value();
        };
        const std::span<float> master = job_.floats(index, Space::master);
        const auto keep = [&](const Bucket& own, std::int64_t kept) {
            std::copy_n(flat.begin() + own.offset, own.elements, master.begin() + kept);
        };
        at.for_each_part(part_in(GroupKind::dp_shard, at.sharding().ranks), keep);
        at.for_each_part_of_experts(part_in(GroupKind::expert_dp, at.sharding().expert_ranks),
                                    keep);
        const bool sharded = at.sharding().zero == Zero::parameters;
        write_weights(index, sharded ? std::vector<float>(master.begin(), master.end()) : flat);
    }

    void write_weights(std::size_t rank, const std::vector<float>& values) {
        const Slice slice{.space = Space::parameter,
                          .offset = 0,
                          .elements = static_cast<std::int64_t>(values.size())};
        const std::span<std::byte> bytes = job_.device(rank).memory(slice, {});
        if (training_.setup.precision == Precision::fp32) {
            std::copy(values.begin(), values.end(), reinterpret_cast<float*>(bytes.data()));
        } else {
            std::transform(
                values.begin(), values.end(), reinterpret_cast<Bf16*>(bytes.data()), to_bf16);
        }
    }

    Training training_;
    LockstepJob job_;
    std::vector<Names> names_;
};

/// The same training without sharding, its backwards in one piece.
Training plain(Training training) {
    training.layout.shard = 0;
    training.setup.zero = Zero::none;
    training.setup.gradient_reduction = GradientReduction::last_micro_batch;
    training.setup.gradient_type = DType::fp32;
    training.setup.schedule = Schedule::one_f_one_b;
    return training;
}

/// Largest difference over all parameters, in terms of the largest value.
void expect_close(const std::map<std::string, std::vector<float>>& found,
                  const std::map<std::string, std::vector<float>>& expected,
                  float tolerance) {
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, values] : expected) {
        ASSERT_TRUE(found.contains(name)) << name;
        const std::vector<float>& other = found.at(name);
        ASSERT_EQ(other.size(), values.size()) << name;
        float largest = 0;
        float difference = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            largest = std::max(largest, std::abs(values[i]));
            difference = std::max(difference, std::abs(values[i] - other[i]));
        }
        EXPECT_GT(largest, 0.0F) << name;
        EXPECT_LE(difference, tolerance * largest) << name;
    }
}

class ShardedTraining : public testing::TestWithParam<Training> {};

/// The first moment after a step is a tenth of the clipped gradient, so that it shows every error
/// of a gradient and of their norm; after two steps also those of the weights in between.
TEST_P(ShardedTraining, has_the_state_of_plain_data_parallelism_after_two_steps) {
    Trainer expected(plain(GetParam()));
    Trainer early(GetParam());
    Trainer late(GetParam());
    for (int step = 0; step < 2; ++step) {
        expected.step(Timing::early);
        early.step(Timing::early);
        late.step(Timing::late);
    }
    for (const Space space : {Space::adam_m, Space::adam_v, Space::master}) {
        const auto state = expected.state(space);
        expect_close(early.state(space), state, 2e-5F);
        expect_close(late.state(space), state, 2e-5F);
    }
}

Training training(const std::string& name,
                  const Layout& layout,
                  Zero zero,
                  std::int64_t micro_batches,
                  GradientReduction reduction = GradientReduction::last_micro_batch) {
    return {.name = name,
            .model = gpt(layout.pp > 1 ? 4 : 3),
            .layout = layout,
            .setup = {.global_batch = layout.dp * micro_batches,
                      .bucket = Bytes{20'000},
                      .zero = zero,
                      .gradient_reduction = reduction}};
}

std::vector<Training> trainings() {
    constexpr GradientReduction every = GradientReduction::every_micro_batch;
    const Layout two{.dp = 2};
    const Layout hybrid{.dp = 4, .shard = 2};
    const Layout pipelined{.dp = 2, .pp = 2};
    const Layout tensor{.tp = 2, .dp = 2};
    const Layout two_of_two{.ep = 2, .dp = 2};
    const Layout two_of_four{.ep = 2, .dp = 4};
    std::vector<Training> list{
        training("zero0_every", two, Zero::none, 3, every),
        training("zero1", two, Zero::optimizer, 3),
        training("zero2", two, Zero::gradients, 1),
        training("zero2_every", two, Zero::gradients, 3, every),
        training("zero2_last", two, Zero::gradients, 3),
        training("zero3", {.dp = 3}, Zero::parameters, 1),
        training("zero3_every", two, Zero::parameters, 3, every),
        training("zero3_last", two, Zero::parameters, 3),
        training("hybrid_zero1", hybrid, Zero::optimizer, 1),
        training("hybrid_zero2_every", hybrid, Zero::gradients, 2, every),
        training("hybrid_zero3", hybrid, Zero::parameters, 1),
        training("pipeline_zero1", pipelined, Zero::optimizer, 3),
        training("pipeline_zero2_every", pipelined, Zero::gradients, 3, every),
        training("pipeline_zero3_last", pipelined, Zero::parameters, 3),
        training("tensor_zero1", tensor, Zero::optimizer, 1),
        training("tensor_zero3", tensor, Zero::parameters, 1),
        training("experts_zero0_every", two_of_four, Zero::none, 3, every),
        training("experts_zero1", two_of_four, Zero::optimizer, 2),
        training("experts_zero2", two_of_four, Zero::gradients, 1),
        training("experts_zero2_every", two_of_four, Zero::gradients, 3, every),
        training("experts_zero2_last", two_of_four, Zero::gradients, 2),
        training("experts_zero3", two_of_four, Zero::parameters, 1),
        training("experts_zero3_every", two_of_four, Zero::parameters, 2, every),
        training("experts_alone_zero1", two_of_two, Zero::optimizer, 1),
        training("experts_alone_zero2", two_of_two, Zero::gradients, 1),
        training("experts_alone_zero2_every", two_of_two, Zero::gradients, 2, every),
        training("experts_alone_zero3", two_of_two, Zero::parameters, 1),
        training("experts_alone_zero3_last", two_of_two, Zero::parameters, 2),
        training("experts_deferred", {.ep = 2, .dp = 2, .pp = 2}, Zero::none, 3),
        training("experts_deferred_zero1", {.ep = 2, .dp = 4, .pp = 2}, Zero::optimizer, 3),
        training("experts_deferred_zero3", {.ep = 2, .dp = 4, .pp = 2}, Zero::parameters, 3),
        training("pipeline_deferred_zero2", pipelined, Zero::gradients, 3),
        training("llama_zero2", two, Zero::gradients, 1),
        training("llama_zero3", two, Zero::parameters, 2, every)};
    for (Training& item : list) {
        if (item.name.starts_with("llama")) {
            item.model = llama();
        }
        if (item.name.starts_with("experts")) {
            item.model = mixture();
            item.model.layers = 2 * item.layout.pp;
        }
        if (item.name.find("deferred") != std::string::npos) {
            item.setup.schedule = Schedule::zero_bubble;
        }
    }
    return list;
}

INSTANTIATE_TEST_SUITE_P(Settings,
                         ShardedTraining,
                         testing::ValuesIn(trainings()),
                         [](const auto& param) { return param.param.name; });

TEST(ShardedWeights, gathered_after_the_optimizer_are_the_master_weights_on_every_rank) {
    for (const Zero zero : {Zero::optimizer, Zero::gradients}) {
        Training at = training("gathered", {.dp = 3}, zero, 1);
        at.setup.overlap_parameters = Overlap::off;
        Trainer trainer(at);
        trainer.step(Timing::late);
        const std::vector<float> master = trainer.whole(0, Space::master);
        for (std::size_t rank = 0; rank < 3; ++rank) {
            const std::span<float> weights = trainer.job().floats(rank, Space::parameter);
            EXPECT_TRUE(std::equal(master.begin(), master.end(), weights.begin(), weights.end()));
        }
    }
}

/// bf16 keeps 8 bits: a rounding of 2^-9 for each micro-batch and rank that adds to a value.
TEST(ShardedGradients, in_bf16_are_those_in_fp32_but_for_rounding) {
    if (!has_bf16()) {
        GTEST_SKIP() << "this processor has no bf16 products";
    }
    for (const Zero zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
        const auto reduction = zero >= Zero::gradients ? GradientReduction::every_micro_batch
                                                       : GradientReduction::last_micro_batch;
        Training at = training("bf16", {.dp = 2}, zero, 2, reduction);
        at.setup.precision = Precision::bf16;
        at.setup.gradient_type = DType::bf16;
        Trainer found(at);
        Trainer expected(plain(at));
        found.step(Timing::early);
        expected.step(Timing::early);
        expect_close(found.state(Space::adam_m), expected.state(Space::adam_m), 0.03F);
    }
}

}  // namespace
}  // namespace traindyno
