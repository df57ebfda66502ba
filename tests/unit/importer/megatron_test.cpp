// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/importer/imported.hpp"
#include "tests/unit/importer/imported_setting.hpp"

namespace traindyno {
namespace {

/// What any GPT needs, without parallelism.
constexpr const char* small =
    "--num-layers 24 --hidden-size 1024 --num-attention-heads 16 --seq-length 2048 "
    "--vocab-size 50257 ";

Imported with(const std::string& more) {
    return import_megatron(small + more);
}

bool mentions(const std::vector<std::string>& list, const std::string& text) {
    return std::any_of(list.begin(), list.end(), [&](const std::string& each) {
        return each.find(text) != std::string::npos;
    });
}

std::string problems_in(const std::string& arguments) {
    try {
        (void)import_megatron(arguments);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(Megatron, describes_gpt3_175b_as_the_report_trained_it) {
    const Imported imported = import_megatron(
        "--num-layers 96 --hidden-size 12288 --num-attention-heads 96 --seq-length 2048 "
        "--max-position-embeddings 2048 --tokenizer-type GPT2BPETokenizer --micro-batch-size 1 "
        "--global-batch-size 1536 --tensor-model-parallel-size 8 --pipeline-model-parallel-size "
        "16 --num-layers-per-virtual-pipeline-stage 1 --sequence-parallel --bf16 "
        "--recompute-activations --use-distributed-optimizer --overlap-grad-reduce "
        "--overlap-param-gather --lr 1e-4 --train-iters 100 --data-path x");
    const Model& model = imported.model.value();
    EXPECT_EQ(model.layers, 96);
    EXPECT_EQ(model.ffn, 4 * 12288);
    EXPECT_EQ(model.vocab, 50257);
    EXPECT_EQ(model.kv_heads, 96);
    EXPECT_TRUE(model.tied_embeddings);
    EXPECT_TRUE(problems_of(model).empty());
    EXPECT_EQ(test::setting(imported, "tp"), "8");
    EXPECT_EQ(test::setting(imported, "pp"), "16");
    EXPECT_EQ(test::setting(imported, "schedule"), "interleaved");
    EXPECT_EQ(test::setting(imported, "virtual-stages"), "6");
    EXPECT_EQ(test::setting(imported, "overlap-p2p"), "on");
    EXPECT_EQ(test::setting(imported, "sequence-parallel"), "on");
    EXPECT_EQ(test::setting(imported, "precision"), "bf16");
    EXPECT_EQ(test::setting(imported, "recompute"), "selective");
    EXPECT_EQ(test::setting(imported, "zero"), "1");
    EXPECT_EQ(test::setting(imported, "overlap-gradients"), "on");
    EXPECT_EQ(test::setting(imported, "overlap-parameters"), "on");
    EXPECT_EQ(test::setting(imported, "bucket"), "160000000B");
    EXPECT_TRUE(imported.unknown.empty());
    EXPECT_TRUE(imported.not_emulated.empty());
    EXPECT_EQ(imported.without_effect,
              (std::vector<std::string>{"--data-path", "--lr", "--train-iters"}));
}

TEST(Megatron, describes_a_llama_with_grouped_queries) {
    const Imported imported = import_megatron(
        "--num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 --num-attention-heads 32 "
        "--group-query-attention --num-query-groups 8 --seq-length 8192 --vocab-size 128256 "
        "--position-embedding-type rope --normalization RMSNorm --swiglu --disable-bias-linear "
        "--untie-embeddings-and-output-weights --attention-dropout 0.0 --hidden-dropout 0");
    const Model& model = imported.model.value();
    EXPECT_EQ(model.kv_heads, 8);
    EXPECT_EQ(model.norm, Norm::rmsnorm);
    EXPECT_EQ(model.positions, Positions::rotary);
    EXPECT_EQ(model.bias, LinearBias::none);
    EXPECT_TRUE(model.gated_mlp);
    EXPECT_FALSE(model.tied_embeddings);
    EXPECT_NEAR(static_cast<double>(parameters(model)), 8.03e9, 0.01e9);
    EXPECT_TRUE(imported.not_emulated.empty());
}

TEST(Megatron, describes_experts_behind_dense_layers) {
    const Imported imported = with(
        "--num-experts 64 --moe-router-topk 6 --moe-ffn-hidden-size 1408 "
        "--moe-shared-expert-intermediate-size 2816 --moe-layer-freq ([0]*1+[1]*23) "
        "--expert-model-parallel-size 8 --moe-expert-capacity-factor 1.5 --mtp-num-layers 1");
    const Model& model = imported.model.value();
    EXPECT_EQ(model.experts, 64);
    EXPECT_EQ(model.top_k, 6);
    EXPECT_EQ(model.expert_ffn, 1408);
    EXPECT_EQ(model.shared_experts, 2);
    EXPECT_EQ(test::setting(imported, "ep"), "8");
    EXPECT_EQ(test::setting(imported, "capacity-factor"), "1.5");
    EXPECT_TRUE(mentions(imported.not_emulated, "--mtp-num-layers 1 (no extra"));
}

TEST(Megatron, has_experts_cut_and_fed_as_they_are_here_where_told_so) {
    const std::string mixtral =
        "--num-experts 8 --expert-model-parallel-size 4 --tensor-model-parallel-size 2 "
        "--sequence-parallel --use-distributed-optimizer ";
    const Imported same = with(mixtral + "--moe-token-dispatcher-type alltoall");
    EXPECT_TRUE(same.not_emulated.empty());
    EXPECT_EQ(test::setting(same, "ep"), "4");
    EXPECT_EQ(test::setting(same, "sequence-parallel"), "on");
    EXPECT_EQ(test::setting(same, "zero"), "1");
    EXPECT_TRUE(with(mixtral + "--moe-token-dispatcher-type alltoall "
                               "--expert-tensor-parallel-size 2")
                    .not_emulated.empty());
    const Imported other = with(mixtral + "--expert-tensor-parallel-size 1");
    EXPECT_TRUE(mentions(other.not_emulated, "--expert-tensor-parallel-size 1 (experts are cut"));
    EXPECT_TRUE(mentions(other.not_emulated, "--moe-token-dispatcher-type allgather (tokens"));
    EXPECT_TRUE(with("--moe-token-dispatcher-type flex").not_emulated.empty());  // no experts
}

TEST(Megatron, counts_leading_dense_layers_only) {
    const auto dense = [](const std::string& pattern) {
        return with("--num-experts 8 --moe-layer-freq \"" + pattern + "\"");
    };
    EXPECT_EQ(dense("([0]*3+[1]*21)").model.value().dense_layers, 3);
    EXPECT_EQ(dense("[0,0,1,1]").model.value().dense_layers, 2);
    EXPECT_EQ(dense("1").model.value().dense_layers, 0);
    for (const char* const pattern : {"2", "([1]*3+[0]*1)*6", "([0]*1+[1]*1)*12", "nonsense"}) {
        const Imported imported = dense(pattern);
        EXPECT_EQ(imported.model.value().dense_layers, 0) << pattern;
        EXPECT_TRUE(mentions(imported.not_emulated, "--moe-layer-freq")) << pattern;
    }
}

TEST(Megatron, has_megatrons_defaults_where_nothing_is_said) {
    const Imported plain = with("");
    EXPECT_EQ(test::setting(plain, "precision"), "fp32");
    EXPECT_EQ(test::setting(plain, "overlap-gradients"), "off");
    EXPECT_EQ(test::setting(plain, "bucket"), "1000000GB");
    EXPECT_EQ(test::setting(plain, "zero"), "(none)");
    EXPECT_EQ(test::setting(with("--pipeline-model-parallel-size 4"), "overlap-p2p"), "off");
    EXPECT_EQ(with("--swiglu").model.value().ffn, 8 * 1024 / 3 / 64 * 64);
}

TEST(Megatron, splits_stages_unevenly) {
    const auto layers = [](const std::string& arguments) {
        return test::setting(with("--pipeline-model-parallel-size 4 " + arguments), "stage-layers");
    };
    EXPECT_EQ(layers("--decoder-first-pipeline-num-layers 3"), "3,7,7,7");
    EXPECT_EQ(layers("--decoder-last-pipeline-num-layers 3"), "7,7,7,3");
    EXPECT_EQ(layers("--decoder-first-pipeline-num-layers 5 --decoder-last-pipeline-num-layers 5"),
              "5,7,7,5");
}

TEST(Megatron, knows_its_ways_to_shard) {
    EXPECT_EQ(test::setting(with("--use-torch-fsdp2"), "zero"), "3");
    EXPECT_EQ(test::setting(with("--use-custom-fsdp"), "zero"), "3");
    EXPECT_EQ(test::setting(with("--use-custom-fsdp --data-parallel-sharding-strategy optim_grads"),
                            "zero"),
              "2");
    EXPECT_EQ(
        test::setting(with("--use-custom-fsdp --data-parallel-sharding-strategy no_shard"), "zero"),
        "0");
    EXPECT_EQ(test::setting(with("--bf16 --grad-reduce-in-bf16"), "gradient-type"), "bf16");
}

TEST(Megatron, lists_everything_that_it_does_not_use) {
    const Imported imported = with(
        "--hidden-dropout 0.1 --use-tp-pp-dp-mapping --my-own-switch 3 --wandb-project p "
        "--recompute-granularity full --recompute-method block --recompute-num-layers 4");
    EXPECT_TRUE(mentions(imported.not_emulated, "--hidden-dropout 0.1 (dropout"));
    EXPECT_TRUE(mentions(imported.not_emulated, "--use-tp-pp-dp-mapping (ranks"));
    EXPECT_TRUE(mentions(imported.not_emulated, "--recompute-method block"));
    EXPECT_EQ(imported.unknown, std::vector<std::string>{"--my-own-switch 3"});
    EXPECT_EQ(imported.without_effect, std::vector<std::string>{"--wandb-project"});
}

struct BadArguments {
    const char* arguments;
    const char* mentions;
};

TEST(Megatron, refuses_what_cannot_be_meant_and_names_it) {
    const std::string start = small;
    for (const auto& [arguments, text] :
         {BadArguments{"--tensor-model-parallel-size",
                       "--tensor-model-parallel-size: has no value"},
          BadArguments{"--tensor-model-parallel-size $TP", "'$TP' is not a whole number"},
          BadArguments{"--micro-batch-size 0", "'0' is not a whole number of at least 1"},
          BadArguments{"--pipeline-model-parallel-size 5 --num-layers-per-virtual-pipeline-stage 1",
                       "do not divide 24 layers"},
          BadArguments{"--pipeline-model-parallel-size 4 --decoder-first-pipeline-num-layers 4",
                       "leaves 20 layers for 3 other stages"},
          BadArguments{"--moe-expert-capacity-factor much", "'much' is not a number"}}) {
        EXPECT_NE(problems_in(start + arguments).find(text), std::string::npos)
            << arguments << "\n"
            << problems_in(start + arguments);
    }
    const std::string missing = problems_in("--num-layers 24 --tokenizer-type Llama2Tokenizer");
    for (const char* const name :
         {"--hidden-size", "--num-attention-heads", "--seq-length", "--vocab-size"}) {
        EXPECT_NE(missing.find(std::string(name) + ": missing"), std::string::npos) << missing;
    }
}

TEST(Megatron, reads_a_launch_script_and_names_its_lines) {
    const auto path = std::filesystem::path(testing::TempDir()) / "pretrain.sh";
    std::ofstream(path) << "TP=2\nARGS=\"" << small << "\"\npython pretrain_gpt.py $ARGS \\\n"
                        << "  --tensor-model-parallel-size $TP\n";
    const Imported imported = import_megatron(path.string());
    EXPECT_EQ(test::setting(imported, "tp"), "2");
    EXPECT_EQ(imported.settings.at("tp").origin,
              path.string() + ":4: --tensor-model-parallel-size");
    EXPECT_EQ(imported.model.value().layers, 24);
    std::filesystem::remove(path);
    EXPECT_THROW((void)import_megatron(path.string()), ConfigError);
}

}  // namespace
}  // namespace traindyno
