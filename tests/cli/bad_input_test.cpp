// SPDX-License-Identifier: Apache-2.0
// What bad input gets: the right exit code, one report of all problems, nothing else on any rank.
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace traindyno::test {
namespace {

struct BadInput {
    std::string name;
    std::string arguments;
    std::vector<std::string> mentions;  ///< each must appear on standard error
    int exit_code = 2;
    int ranks = 1;  ///< 1 = started without a launcher
};

void PrintTo(const BadInput& input, std::ostream* stream) {
    *stream << input.arguments;
}

void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

constexpr const char* good_model =
    "name = \"tiny\"\nlayers = 4\nhidden = 64\nheads = 4\nseq = 32\nvocab = 100\n";

/// Input files the cases refer to.
void write_files(const std::filesystem::path& folder) {
    const std::string good = good_model;
    write(folder / "good.toml", good);
    write(folder / "truncated.toml", "name = \"tiny\"\nlayers = ");
    write(folder / "latin1.toml", "name = \"caf\xe9\"\n" + good.substr(good.find('\n') + 1));
    write(folder / "unknown_key.toml", good + "layer_count = 4\n");
    write(folder / "wrong_type.toml", good + "kv_heads = \"four\"\n");
    write(folder / "negative.toml",
          "name = \"tiny\"\nlayers = -4\nhidden = 64\nheads = 0\nseq = 32\nvocab = 100\n");
    write(folder / "huge.toml",
          "name = \"tiny\"\nlayers = 4\nhidden = 9000000000000000000\nheads = 4\nseq = 32\nvocab = "
          "100\n");
    write(folder / "indivisible.toml",
          "name = \"tiny\"\nlayers = 4\nhidden = 66\nheads = 4\nseq = 32\nvocab = 100\n");
    write(folder / "alien.json", R"({"model_type": "mamba", "hidden_size": 64})");
    write(folder / "truncated.json", R"({"model_type": "llama", "hidden_size": )");
    write(folder / "machine.toml", "name = \"m\"\nwarp_speed = 9\n");
    write(folder / "study_unknown.toml", "model = \"good.toml\"\nmicro_bath = 1\n");
    write(folder / "study_broken.toml", "model = [\n");
    write(folder / "study_point.toml", "model = \"good.toml\"\nout = \"o\"\n[[point]]\ntp = 2\n");
    write(folder / "a_file", "not a folder");
    std::filesystem::create_directory(folder / "broken_results");
    write(folder / "broken_results" / "study.json", "{\"schema\": \"traindyno.study/1\", ");
}

const std::string tiny = "--model good.toml --out o ";

std::vector<BadInput> cases() {
    return {
        {"unknown_flag",
         "scale " + tiny + "--micro-bach 2",
         {"--micro-bach", "unknown flag", "micro-batch"},
         2,
         2},
        {"unknown_command",
         "scael --model good.toml",
         {"'scael'", "unknown command", "scale"},
         2,
         1},
        {"no_command", "", {"no command"}},
        {"stray_argument", "scale " + tiny + "results", {"'results'"}},
        {"missing_model", "scale --out o", {"--model", "missing"}, 2, 2},
        {"missing_out", "scale --model good.toml", {"--out", "missing"}},
        {"unknown_model", "scale --model gpt3-125 --out o", {"gpt3-125", "gpt3-125m"}},
        {"missing_model_file", "scale --model absent.toml --out o", {"absent.toml"}},
        {"truncated_model", "scale --model truncated.toml --out o", {"truncated.toml:2"}, 2, 2},
        {"non_utf8_model", "scale --model latin1.toml --out o", {"latin1.toml", "UTF-8"}},
        {"unknown_model_key",
         "scale --model unknown_key.toml --out o",
         {"unknown_key.toml:7", "layer_count"}},
        {"wrong_model_type",
         "scale --model wrong_type.toml --out o",
         {"wrong_type.toml:7", "kv_heads"}},
        {"negative_and_zero", "scale --model negative.toml --out o", {"layers", "-4", "heads"}},
        {"huge_hidden", "scale --model huge.toml --out o", {"hidden"}},
        {"indivisible_hidden", "scale --model indivisible.toml --out o", {"heads", "hidden"}},
        {"unknown_hf_family", "scale --model alien.json --out o", {"mamba", "llama"}, 2, 2},
        {"truncated_hf", "scale --model truncated.json --out o", {"truncated.json"}},
        {"shrink_not_dividing", "scale --model gpt3-125m --shrink 5 --out o", {"shrink"}},
        {"shrink_zero", "scale --model gpt3-125m --shrink 0 --out o", {"--shrink", "'0'"}},
        {"tp_not_dividing_heads",
         "scale --model gpt3-125m --tp 8 --points 8 --out o",
         {"tp", "heads"},
         2,
         8},
        {"pp_not_dividing_layers",
         "scale --model gpt3-125m --pp 8 --points 8 --out o",
         {"pp", "layers"},
         2,
         8},
        {"shards_beside_experts",
         "scale --model mixtral-8x7b --ep 2 --zero 1 --shard 4 --points 8 --out o",
         {"shard: 4", "ep 2", "leave shard out"},
         2,
         8},
        {"ranks_not_divisible", "scale " + tiny + "--tp 2 --points 1,2", {"1 rank", "tp 2"}, 2, 2},
        {"cp_not_cutting_sequences",
         "show-program --model good.toml --cp 5",
         {"cp: 5 does not cut seq 32 into 10 equal parts", "change cp or seq"}},
        {"cp_too_fine_for_zigzag_parts",
         "show-program --model good.toml --cp 32",
         {"into 64 equal parts", "or use context_balance contiguous"}},
        {"cp_with_experts",
         "show-program --model mixtral-8x7b --cp 2",
         {"cp: 2 does not go with experts", "use cp 1"}},
        {"cp_in_fp8",
         "show-program --model good.toml --cp 2 --precision fp8",
         {"fp8 does not go with cp 2", "use bf16"}},
        {"batch_not_divisible",
         "scale " + tiny + "--scaling strong --global-batch 3 --micro-batch 2",
         {"global"}},
        {"zero", "scale " + tiny + "--tp 0", {"--tp", "'0'"}},
        {"negative", "scale " + tiny + "--tp -1", {"--tp", "'-1'"}},
        {"overflow", "scale " + tiny + "--micro-batch 99999999999999999999", {"--micro-batch"}},
        {"fraction", "scale " + tiny + "--tp 1.5", {"--tp", "'1.5'"}},
        {"word", "scale " + tiny + "--tp two", {"--tp", "'two'"}},
        {"empty_value", "scale --model '' --out o", {"--model", "empty"}},
        {"missing_value", "scale " + tiny + "--tp", {"--tp"}},
        {"not_a_number", "scale " + tiny + "--ci nan", {"--ci", "nan"}},
        {"negative_ci", "scale " + tiny + "--ci -0.1", {"--ci"}},
        {"infinite_time", "scale " + tiny + "--max-seconds inf", {"--max-seconds"}},
        {"zero_timeout", "scale " + tiny + "--timeout 0", {"--timeout"}},
        {"zero_steps", "scale " + tiny + "--steps 0", {"--steps"}},
        {"zero_threads", "scale " + tiny + "--threads 0", {"--threads"}},
        {"negative_seed", "scale " + tiny + "--seed -7", {"--seed"}},
        {"gate_out_of_range", "scale " + tiny + "--min-efficiency 80", {"--min-efficiency"}},
        {"bytes_without_unit", "scale " + tiny + "--bucket 25", {"--bucket", "unit"}},
        {"bytes_wrong_unit", "scale " + tiny + "--bucket 25Miles", {"--bucket"}},
        {"bytes_negative", "scale " + tiny + "--bucket -1MiB", {"--bucket"}},
        {"unknown_precision",
         "scale " + tiny + "--precision fp12",
         {"--precision", "'fp12'", "fp32, tf32, bf16, fp16 or fp8"}},
        {"untrainable_precision", "scale " + tiny + "--precision int64", {"--precision", "bf16"}},
        {"unknown_precision_to_describe",
         "describe --model good.toml --precision int8",
         {"--precision", "'int8'", "fp8"}},
        {"precision_the_cpu_lacks",
         "run --model good.toml --precision fp8 --allow-oversubscribe",
         {"--precision fp8", "it has fp32", "use --precision fp32", "--device timed"},
         2,
         2},
        {"tensor_core_precision_on_a_cpu",
         "run --model good.toml --device cpu --precision tf32",
         {"--precision tf32", "use --precision fp32"}},
        {"no_gpu",
         "run --model good.toml --device cuda --allow-oversubscribe",
         {"--device", "there is no GPU to use here", "use --device cpu", "--device timed"},
         2,
         2},
        {"graph_without_a_gpu",
         "run --model good.toml --device cpu --graph",
         {"--graph", "needs --device cuda", "drop it"},
         2,
         2},
        {"data_without_a_gpu",
         "run --model good.toml --data zeros",
         {"--data", "needs --device cuda"}},
        {"share_gpu_without_a_gpu",
         "run --model good.toml --share-gpu --allow-oversubscribe",
         {"--share-gpu", "needs --device cuda"},
         2,
         2},
        {"nccl_without_a_gpu",
         "run --model good.toml --device cpu --collectives nccl",
         {"--collectives", "needs --device cuda"}},
        {"every_gpu_flag_at_once",
         "run --model good.toml --device timed --machine dgx-a100 --nccl-ctas dp=4 --nccl-priority "
         "tp=normal --reserve-sms 4 --plan-cache plans.json",
         {"--nccl-ctas", "--nccl-priority", "--reserve-sms", "--plan-cache"}},
        {"unknown_collectives",
         "run --model good.toml --device cuda --collectives gloo",
         {"--collectives", "'gloo'", "nccl"}},
        {"graph_driven_by_the_host",
         "run --model good.toml --device cuda --collectives mpi --graph",
         {"--graph", "--collectives mpi", "drop one"}},
        {"unknown_data",
         "run --model good.toml --device cuda --data ones",
         {"--data", "'ones'", "zeros"}},
        {"ctas_of_an_unknown_group",
         "run --model good.toml --device cuda --nccl-ctas dp=4,zp=2",
         {"--nccl-ctas", "'zp=2'", "tp=16,dp=4"},
         2,
         2},
        {"ctas_beyond_nccls_limit",
         "run --model good.toml --device cuda --nccl-ctas dp=65",
         {"--nccl-ctas", "'dp=65'"}},
        {"ctas_without_a_group",
         "run --model good.toml --device cuda --nccl-ctas 4",
         {"--nccl-ctas", "'4'", "kind=value"}},
        {"unknown_priority",
         "run --model good.toml --device cuda --nccl-priority dp=urgent",
         {"--nccl-priority", "'dp=urgent'", "highest"}},
        {"more_sms_than_are_kept_free",
         "run --model good.toml --device cuda --reserve-sms 129",
         {"--reserve-sms", "129"}},
        {"unknown_memory_mode",
         "run --model good.toml --memory virtual",
         {"--memory", "'virtual'", "faithful", "aliased"},
         2,
         2},
        {"unknown_schedule", "scale " + tiny + "--schedule zigzag", {"--schedule", "1f1b"}},
        {"unknown_recompute", "scale " + tiny + "--recompute some", {"--recompute", "selective"}},
        {"unknown_switch",
         "scale " + tiny + "--overlap-gradients perhaps",
         {"--overlap-gradients"}},
        {"unknown_scaling", "scale " + tiny + "--scaling both", {"--scaling", "weak"}},
        {"unknown_device", "scale " + tiny + "--device gpu", {"--device", "timed"}},
        {"timed_without_machine", "scale " + tiny + "--device timed", {"--machine", "dgx-a100"}},
        {"machine_without_timed",
         "scale " + tiny + "--device cpu --machine dgx-a100",
         {"--machine", "--device timed"}},
        {"unknown_machine",
         "scale " + tiny + "--device timed --machine dgx-a1000",
         {"dgx-a1000", "dgx-a100"}},
        {"unknown_machine_key",
         "scale " + tiny + "--device timed --machine machine.toml",
         {"machine.toml:2", "warp_speed"},
         2,
         2},
        {"points_not_numbers", "scale " + tiny + "--points 1,x", {"--points", "'x'"}},
        {"points_beyond_job", "scale " + tiny + "--points 1,9", {"--points", "9", "2"}, 2, 2},
        {"points_zero", "scale " + tiny + "--points 0,1", {"--points", "'0'"}},
        {"weak_with_global_batch",
         "scale " + tiny + "--global-batch 4",
         {"--global-batch", "--batch-per-replica"},
         2,
         2},
        {"two_batches",
         "run --model good.toml --global-batch 4 --batch-per-replica 2",
         {"--global-batch", "--batch-per-replica"}},
        {"resume_without_out", "scale --model good.toml --resume", {"--resume"}},
        {"missing_study", "scale --study absent.toml", {"absent.toml"}},
        {"unknown_study_key",
         "scale --out o --study study_unknown.toml",
         {"study_unknown.toml:2", "micro_bath"}},
        {"broken_study", "scale --out o --study study_broken.toml", {"study_broken.toml"}, 2, 2},
        {"study_point_without_ranks", "scale --study study_point.toml", {"ranks"}},
        {"out_is_a_file", "scale --model good.toml --out a_file", {"a_file"}, 2, 2},
        {"out_not_writable",
         "scale --model good.toml --out /proc/no/such/folder",
         {"/proc/no/such/folder"},
         2,
         2},
        {"too_large_for_memory",
         "run --model gpt3-175b --allow-oversubscribe",
         {"weights", "gradients", "adam"},
         2,
         2},
        {"too_large_for_the_emulated_gpu",
         "run --model gpt3-175b --device timed --machine dgx-a100",
         {"weights", "80"},
         2,
         2},
        {"oversubscribed", "run --model good.toml --threads 64", {"--allow-oversubscribe"}, 3, 2},
        {"several_at_once",
         "scale --model good.toml --tp 0 --ci nan --bucket 7 --colour red",
         {"--tp", "--ci", "--bucket", "--colour", "--out"},
         2,
         2},
        {"describe_unknown_model", "describe --model nope", {"nope"}},
        {"report_without_folders", "report --out o", {"no result folder"}},
        {"report_missing_folder", "report absent --out o", {"absent"}},
        {"report_truncated_study",
         "report broken_results --out o",
         {"broken_results", "study.json"},
         2,
         1},
    };
}

class BadInputTest : public ::testing::TestWithParam<BadInput> {
  protected:
    void SetUp() override { write_files(folder_.path()); }

    [[nodiscard]] ProcessResult run(const std::string& arguments, int ranks) const {
        const std::string launcher = ranks == 1
                                         ? ""
                                         : TRAINDYNO_MPIRUN " --oversubscribe --bind-to none -n " +
                                               std::to_string(ranks) + " ";
        // GPUs that are there are hidden: what is refused does not depend on them.
        return run_command("CUDA_VISIBLE_DEVICES= timeout 60 " + launcher +
                               "'" TRAINDYNO_EXECUTABLE "' " + arguments,
                           folder_.path());
    }

    TemporaryFolder folder_;
};

int reports(const std::string& text) {
    int count = 0;
    for (std::size_t at = text.find("traindyno: "); at != std::string::npos;
         at = text.find("traindyno: ", at + 1)) {
        ++count;
    }
    return count;
}

TEST_P(BadInputTest, is_refused_once_with_the_right_code) {
    const BadInput& input = GetParam();
    const ProcessResult result = run(input.arguments, input.ranks);
    EXPECT_EQ(result.exit_code, input.exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    for (const std::string& mention : input.mentions) {
        EXPECT_NE(result.err.find(mention), std::string::npos) << "'" << mention << "' is not in:\n"
                                                               << result.err;
    }
    EXPECT_EQ(reports(result.err), 1) << result.err;
    EXPECT_EQ(result.err.find("MPI_ABORT"), std::string::npos) << result.err;
}

INSTANTIATE_TEST_SUITE_P(table, BadInputTest, ::testing::ValuesIn(cases()), [](const auto& each) {
    return each.param.name;
});

TEST(BadInputTable, has_at_least_forty_cases) {
    EXPECT_GE(cases().size(), 40U);
}

}  // namespace
}  // namespace traindyno::test
