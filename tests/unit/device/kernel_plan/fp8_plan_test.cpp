// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_plan.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/kernel_plan/linear_role.hpp"
#include "emulator/program/local_shape.hpp"
#include "tests/unit/device/kernel_plan/symbolic_step.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {
namespace {

constexpr std::array recomputes{Recompute::none, Recompute::selective, Recompute::full};

/// Micro-batches of 2 sequences: 32 tokens of small_gpt, 16 of small_llama.
TrainingSetup setup_for(const Layout& layout, Recompute recompute, std::int64_t micro_batches = 3) {
    TrainingSetup setup = setup_of(layout, micro_batches, 2);
    setup.precision = Precision::fp8;
    setup.recompute = recompute;
    return setup;
}

std::vector<Case> fp8_cases() {
    std::vector<Case> list;
    for (const Layout& layout :
         {Layout{}, Layout{.tp = 2}, Layout{.pp = 2}, Layout{.tp = 2, .pp = 3}}) {
        for (const Recompute recompute : recomputes) {
            for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
                TrainingSetup setup = setup_for(layout, recompute);
                setup.schedule = schedule;
                list.push_back(
                    {.model = small_gpt(2 * layout.pp), .layout = layout, .setup = setup});
                list.push_back(
                    {.model = small_llama(2 * layout.pp), .layout = layout, .setup = setup});
            }
        }
    }
    return list;
}

/// And those in which a rank gathers what it multiplies.
std::vector<Case> gathering_cases() {
    std::vector<Case> list = fp8_cases();
    for (const Case& c : fp8_cases()) {
        if (c.layout.tp > 1) {
            list.push_back(c);
            list.back().setup.sequence_parallel = SequenceParallel::on;
        }
    }
    return list;
}

/// What each byte of the fp8 buffers holds: content of the source, tensor, orientation.
class Fp8Memory {
  public:
    explicit Fp8Memory(const Fp8Plan& plan) : plan_(plan) {}

    struct Copy {
        std::uint64_t content = 0;
        std::int64_t tensor = 0;
        bool transposed = false;

        friend bool operator==(const Copy&, const Copy&) = default;
    };

    void write(const Fp8Buffer& buffer, const Task& task, const Copy& copy) {
        auto& copies = copies_.at(static_cast<std::size_t>(buffer.home));
        const std::int64_t begin = plan_.base_of(buffer.home, task) + buffer.offset;
        const std::int64_t end = begin + buffer.bytes;
        EXPECT_LE(end, plan_.extent_of(buffer.home));
        EXPECT_EQ(begin % fp8_alignment, 0);
        std::erase_if(copies,
                      [&](const Placed& other) { return other.begin < end && begin < other.end; });
        copies.push_back({.begin = begin, .end = end, .copy = copy});
    }

    [[nodiscard]] Copy read(const Fp8Buffer& buffer, const Task& task) const {
        const std::int64_t begin = plan_.base_of(buffer.home, task) + buffer.offset;
        for (const Placed& placed : copies_.at(static_cast<std::size_t>(buffer.home))) {
            if (placed.begin == begin && placed.end == begin + buffer.bytes) {
                return placed.copy;
            }
        }
        ADD_FAILURE() << "nothing was cast to what a product reads";
        return {};
    }

  private:
    struct Placed {
        std::int64_t begin = 0;
        std::int64_t end = 0;
        Copy copy;
    };

    const Fp8Plan& plan_;
    std::array<std::vector<Placed>, 3> copies_;
};

const MatMul& product_at(const Block& block, std::uint32_t op) {
    return std::get<MatMul>(std::get<ComputeOp>(block.ops[op].op));
}

/// Runs the casts and products of one step on symbols.
void expect_operands_are_current(const StepProgram& program) {
    const Fp8Plan plan = fp8_plan(program);
    SymbolicStep step(program);
    Fp8Memory memory(plan);
    for (std::size_t index = 0; index < program.tasks.size(); ++index) {
        const Task& task = program.tasks[index];
        const Block& block = program.blocks[task.block.index()];
        const Fp8BlockPlan& fp8 = plan.blocks[task.block.index()];
        for (std::uint32_t op = 0; op < block.ops.size(); ++op) {
            for (const Fp8CastStep& cast : fp8.casts) {
                if (cast.before != op || !is_due(cast, task)) {
                    continue;
                }
                const std::uint64_t content = step.content(cast.source, task);
                const std::int64_t tensor = plan.index_of(cast.tensor, task);
                if (cast.plain) {
                    memory.write(*cast.plain, task, {content, tensor, false});
                }
                if (cast.transposed) {
                    memory.write(*cast.transposed, task, {content, tensor, true});
                }
            }
            for (const Fp8Product& product : fp8.products) {
                if (product.op != op) {
                    continue;
                }
                const MatMul& matmul = product_at(block, op);
                // k is contiguous in a[m,k] as it is, and in b[n,k] when the product transposes it
                EXPECT_EQ(memory.read(product.a.buffer, task),
                          (Fp8Memory::Copy{step.content(matmul.a, task),
                                           plan.index_of(product.a.tensor, task),
                                           matmul.transpose_a == Transpose::yes}));
                EXPECT_EQ(memory.read(product.b.buffer, task),
                          (Fp8Memory::Copy{step.content(matmul.b, task),
                                           plan.index_of(product.b.tensor, task),
                                           matmul.transpose_b == Transpose::no}));
            }
            step.run(index, op);
        }
    }
}

TEST(Fp8Plan, gives_every_product_current_copies_of_its_operands) {
    for (const Case& c : gathering_cases()) {
        SCOPED_TRACE(c.text());
        for (const StepProgram& program : build_all(c.model, c.layout, c.setup)) {
            expect_operands_are_current(program);
        }
    }
}

TEST(Fp8Plan, covers_the_linear_layers_and_nothing_else) {
    for (const Case& c : gathering_cases()) {
        SCOPED_TRACE(c.text());
        const StepProgram program = build_step(c.model, c.layout, c.setup, WorldRank{0});
        const Fp8Plan plan = fp8_plan(program);
        for (std::size_t block = 0; block < program.blocks.size(); ++block) {
            std::set<std::uint32_t> planned;
            for (const Fp8Product& product : plan.blocks[block].products) {
                EXPECT_TRUE(planned.insert(product.op).second);
            }
            std::set<std::uint32_t> expected;
            const bool layer = program.blocks[block].name.starts_with("layer_");
            for (std::uint32_t op = 0; layer && op < program.blocks[block].ops.size(); ++op) {
                const auto* compute = std::get_if<ComputeOp>(&program.blocks[block].ops[op].op);
                if (compute != nullptr && std::holds_alternative<MatMul>(*compute)) {
                    expected.insert(op);
                }
            }
            EXPECT_EQ(planned, expected) << program.blocks[block].name;
        }
    }
}

TEST(Fp8Plan, multiplies_e4m3_with_e4m3_forward_and_with_e5m2_backward) {
    for (const Case& c : fp8_cases()) {
        const StepProgram program = build_step(c.model, c.layout, c.setup, WorldRank{0});
        const Fp8Plan plan = fp8_plan(program);
        for (std::size_t block = 0; block < program.blocks.size(); ++block) {
            for (const Fp8Product& product : plan.blocks[block].products) {
                const auto role = linear_role(product_at(program.blocks[block], product.op));
                EXPECT_EQ(format_of(product.a.tensor.role),
                          role->pass == LinearPass::forward ? Fp8Format::e4m3 : Fp8Format::e5m2);
                EXPECT_EQ(format_of(product.b.tensor.role), Fp8Format::e4m3);
            }
        }
    }
}

/// Elements of the activations, weights and gradients that the 4 linear layers of a layer cast.
struct LayerElements {
    explicit LayerElements(const LocalShape& s)
        : context(s.tokens * s.attention_width),
          activations(s.tokens * (2 * s.hidden + s.attention_width + s.ffn)),
          weights(s.hidden * (s.qkv_width + s.attention_width + s.up_width + s.ffn)),
          gradients(s.tokens * (s.qkv_width + s.up_width + 2 * s.hidden)) {}

    std::int64_t context;
    std::int64_t activations;
    std::int64_t weights;
    std::int64_t gradients;
};

/// Casts of one layer: what a micro-batch adds, and the weights, once. A cast to one copy moves 3
/// bytes per element, a cast to two 4.
CastVolume closed_form(const LayerElements& e, Recompute recompute, std::int64_t micro_batches) {
    std::int64_t casts = 8;
    std::int64_t bytes = 4 * e.gradients;
    switch (recompute) {
        case Recompute::none:
            bytes += 4 * e.activations;
            break;
        case Recompute::selective:  // the context of attention is not kept
            casts += 1;
            bytes += 4 * (e.activations - e.context) + 3 * e.context + 3 * e.context;
            break;
        case Recompute::full:
            casts += 4;
            bytes += 3 * e.activations + 4 * e.activations;
            break;
    }
    return {.casts = micro_batches * casts + 4,
            .traffic = Bytes{micro_batches * bytes + 4 * e.weights}};
}

TEST(Fp8Plan, casts_as_often_as_the_closed_form_says) {
    for (const Case& c : fp8_cases()) {
        const StepProgram program = build_step(c.model, c.layout, c.setup, WorldRank{0});
        const LocalShape shape = local_shape(c.model, c.layout, c.setup, Stage{0});
        const CastVolume layer =
            closed_form(LayerElements(shape), c.setup.recompute, micro_batches(c.layout, c.setup));
        EXPECT_EQ(cast_volume(program, fp8_plan(program)),
                  (CastVolume{.casts = shape.layers * layer.casts,
                              .traffic = shape.layers * layer.traffic}))
            << c.text();
    }
}

TEST(Fp8Plan, records_each_tensor_once_per_micro_batch) {
    for (const Recompute recompute : recomputes) {
        const Layout layout;
        const TrainingSetup setup = setup_for(layout, recompute);
        const StepProgram program = build_step(small_gpt(2), layout, setup, WorldRank{0});
        const Fp8Plan plan = fp8_plan(program);
        EXPECT_EQ(plan.tensors(), 2 * 4 * 3);
        std::vector<int> recorded(static_cast<std::size_t>(plan.tensors()));
        for (const Task& task : program.tasks) {
            for (const Fp8CastStep& cast : plan.blocks[task.block.index()].casts) {
                if (is_due(cast, task) && cast.amax == Amax::recorded) {
                    ++recorded[static_cast<std::size_t>(plan.index_of(cast.tensor, task))];
                }
            }
        }
        for (std::size_t tensor = 0; tensor < recorded.size(); ++tensor) {
            const bool weight = tensor % 3 == static_cast<std::size_t>(Fp8Role::weight);
            EXPECT_EQ(recorded[tensor], weight ? 1 : 3) << tensor;
        }
    }
}

Bytes bytes_of(const std::vector<MemoryItem>& items, const std::string& name) {
    const auto found = std::find_if(
        items.begin(), items.end(), [&](const MemoryItem& item) { return item.name == name; });
    EXPECT_NE(found, items.end()) << name;
    return found == items.end() ? Bytes{0} : found->bytes;
}

TEST(Fp8Plan, needs_the_memory_that_the_closed_form_says) {
    const Layout layout;
    for (const Recompute recompute : recomputes) {
        const TrainingSetup setup = setup_for(layout, recompute);
        const StepProgram program = build_step(small_gpt(3), layout, setup, WorldRank{0});
        const LocalShape s = local_shape(small_gpt(3), layout, setup, Stage{0});
        const LayerElements e(s);
        const auto items = memory_items(fp8_plan(program));
        // every size is a multiple of the alignment, and 1f1b on one stage keeps one micro-batch
        EXPECT_EQ(bytes_of(items, "fp8_weights"), Bytes{3 * 2 * e.weights});
        const std::int64_t kept = recompute == Recompute::full        ? 0
                                  : recompute == Recompute::selective ? e.activations - e.context
                                                                      : e.activations;
        EXPECT_EQ(bytes_of(items, "fp8_activations"), Bytes{3 * kept});
        // Largest are both copies of d(up). Recomputation adds the transposed activations of the
        // other layers, and first fit a gap: the plain copy of the first one.
        const std::int64_t recomputed = e.activations - s.tokens * s.ffn + s.tokens * s.hidden;
        EXPECT_EQ(
            bytes_of(items, "fp8_workspace"),
            Bytes{2 * s.tokens * s.up_width + (recompute == Recompute::full ? recomputed : 0)});
        EXPECT_EQ(bytes_of(items, "fp8_scales"), Bytes{3 * 4 * 3 * (1024 + 5) * 4});
    }
}

TEST(Fp8Plan, leaves_layers_whose_sizes_do_not_suit_fp8_alone) {
    const Layout layout;
    TrainingSetup setup = setup_of(layout, 1, 1);  // 8 tokens
    EXPECT_EQ(fp8_plan(build_step(small_llama(1), layout, setup, WorldRank{0})).tensors(), 0);

    Model model = small_llama(1);
    model.ffn = 168;  // up 336, down 168: one of them is no multiple of 16
    setup.micro_batch = setup.global_batch = 2;
    const StepProgram program = build_step(model, layout, setup, WorldRank{0});
    const Fp8Plan plan = fp8_plan(program);
    EXPECT_EQ(plan.tensors(), 3 * 3);
    EXPECT_EQ(plan.blocks.size(), program.blocks.size());
    expect_operands_are_current(program);
}

TEST(Fp8Plan, leaves_layers_alone_whose_gradients_do_not_begin_at_16_bytes) {
    const Layout layout;
    const auto tensors = [&](std::int64_t layers) {
        Model model = small_gpt(layers);
        model.ffn = 250;  // its bias is 2 elements short of a multiple of 4: of 16 bytes in fp32
        const TrainingSetup setup = setup_for(layout, Recompute::none);
        return fp8_plan(build_step(model, layout, setup, WorldRank{0})).tensors();
    };
    EXPECT_EQ(tensors(1), 2 * 3);  // before that bias: qkv and projection
    EXPECT_EQ(tensors(2), 0);      // one of two layers begins behind such a bias
}

/// A block's first product and the weight gradient behind it read the same incoming gradient.
/// Casts of that block after `change`, which gets an operation that scales it.
std::size_t casts_after(const std::function<void(Block&, const BlockOp&)>& change) {
    const Layout layout;
    StepProgram program =
        build_step(small_gpt(1), layout, setup_for(layout, Recompute::none), WorldRank{0});
    const auto backward =
        std::find_if(program.blocks.begin(), program.blocks.end(), [](const Block& block) {
            return block.name == "layer_backward";
        });
    const Slice gradient = product_at(*backward, 0).a;
    BlockOp scale = backward->ops[0];
    scale.op = ComputeOp{Elementwise{.kind = ElementwiseKind::scale,
                                     .rows = 1,
                                     .columns = gradient.elements,
                                     .reads = {gradient},
                                     .writes = {gradient}}};
    change(*backward, scale);
    expect_operands_are_current(program);
    const auto index = static_cast<std::size_t>(backward - program.blocks.begin());
    return fp8_plan(program).blocks[index].casts.size();
}

TEST(Fp8Plan, casts_again_what_changed_since) {
    EXPECT_EQ(casts_after([](Block&, const BlockOp&) {}), 4U);
    EXPECT_EQ(casts_after([](Block& block, const BlockOp& scale) {
                  block.ops.insert(block.ops.begin() + 1, scale);
              }),
              5U);
    EXPECT_EQ(casts_after([](Block& block, const BlockOp& scale) {
                  const BlockOp weight_gradient = block.ops[1];
                  block.ops.insert(block.ops.begin() + 2, {scale, weight_gradient});
              }),
              5U);
}

}  // namespace
}  // namespace traindyno
