// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/importer/argument_reader.hpp"
#include "emulator/importer/imported.hpp"
#include "emulator/importer/megatron_model.hpp"
#include "emulator/importer/megatron_names.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

namespace {

/// Megatron's buckets hold max(40e6, 1e6 x data-parallel ranks) parameters when their reduction
/// overlaps backward, and everything otherwise (DistributedDataParallelConfig).
constexpr std::int64_t default_bucket_elements = 40'000'000;
constexpr std::string_view one_bucket = "1000000GB";  // more than any stage has

/// Arguments that ask for what is computed anyway: no dropout, clipping, Megatron's padding.
bool means_the_same(const Argument& argument) {
    const std::string value = argument.values.empty() ? "" : argument.values.front();
    const bool zero = !value.empty() && value.find_first_not_of("0.") == std::string::npos;
    if (argument.name == "--attention-dropout" || argument.name == "--hidden-dropout") {
        return zero;
    }
    return (argument.name == "--clip-grad" && !zero) ||
           (argument.name == "--make-vocab-size-divisible-by" && value == "128");
}

class MegatronReader {
  public:
    MegatronReader(ArgumentReader& read, Problems& problems, Imported& imported)
        : read_(read), problems_(problems), imported_(imported) {}

    void run() {
        read_megatron_model(read_, problems_, imported_);
        read_batch();
        read_grid();
        read_precision();
        read_recomputation();
        read_data_parallelism();
        read_fsdp();
        read_experts();
        sort_left_over();
    }

  private:
    void set(const std::string& flag, std::string value, std::string_view because_of) {
        imported_.settings[flag] = {.value = std::move(value), .origin = read_.origin(because_of)};
    }

    void copy_count(const std::string& flag, std::string_view name) {
        if (const auto value = read_.count(name)) {
            set(flag, fmt::format("{}", *value), name);
        }
    }

    void lacks(std::string text) { imported_.not_emulated.push_back(std::move(text)); }

    void read_batch() {
        copy_count("micro-batch", "--micro-batch-size");
        copy_count("global-batch", "--global-batch-size");
        if (const auto optimizer = read_.text("--optimizer"); optimizer && *optimizer != "adam") {
            lacks(fmt::format("--optimizer {} (the optimizer is Adam)", *optimizer));
        }
    }

    void read_grid() {
        copy_count("tp", "--tensor-model-parallel-size");
        copy_count("pp", "--pipeline-model-parallel-size");
        copy_count("cp", "--context-parallel-size");
        copy_count("ep", "--expert-model-parallel-size");
        if (read_.given("--sequence-parallel")) {
            set("sequence-parallel", "on", "--sequence-parallel");
        }
        if (read_.given("--tp-comm-overlap")) {
            set("overlap-tp", "on", "--tp-comm-overlap");
        }
        read_context_exchange();
        read_pipeline();
        read_uneven_stages();
    }

    void read_context_exchange() {
        const std::vector<std::string> kinds = read_.values("--cp-comm-type");
        if (kinds.empty()) {
            return;
        }
        const bool gathers = kinds.front() == "all_gather";
        set("context-exchange", gathers ? "all-gather" : "ring", "--cp-comm-type");
        if (kinds.size() > 1 || (!gathers && kinds.front() != "p2p")) {
            lacks(fmt::format("--cp-comm-type {} (p2p or all_gather, the same in all layers)",
                              fmt::join(kinds, " ")));
        }
    }

    /// Megatron overlaps transfers with compute in the interleaved schedule only.
    void read_pipeline() {
        const std::int64_t stages = read_.count("--pipeline-model-parallel-size").value_or(1);
        const auto per_stage = read_.count("--num-layers-per-virtual-pipeline-stage");
        auto chunks = read_.count("--num-virtual-stages-per-pipeline-rank");
        const bool refused = read_.given("--no-overlap-p2p-communication");
        std::string_view source = "--num-virtual-stages-per-pipeline-rank";
        if (!chunks && per_stage) {
            source = "--num-layers-per-virtual-pipeline-stage";
            const std::int64_t layers = imported_.model->layers;
            if (layers % (stages * *per_stage) != 0) {
                read_.refuse(source,
                             fmt::format("{} x {} stages do not divide {} layers (every stage has "
                                         "equally many chunks) change one of them",
                                         *per_stage,
                                         stages,
                                         layers));
                return;
            }
            chunks = layers / (stages * *per_stage);
        }
        const bool interleaved = chunks && *chunks > 1 && stages > 1;
        if (interleaved) {
            set("schedule", "interleaved", source);
            set("virtual-stages", fmt::format("{}", *chunks), source);
        }
        if (stages > 1) {
            set("overlap-p2p",
                interleaved && !refused ? "on" : "off",
                "--no-overlap-p2p-communication");
        }
    }

    void read_uneven_stages() {
        const std::int64_t stages = read_.count("--pipeline-model-parallel-size").value_or(1);
        const auto first = read_.count("--decoder-first-pipeline-num-layers");
        const auto last = read_.count("--decoder-last-pipeline-num-layers");
        if ((!first && !last) || stages < 2) {
            return;
        }
        const std::string_view name =
            first ? "--decoder-first-pipeline-num-layers" : "--decoder-last-pipeline-num-layers";
        const std::int64_t layers = imported_.model->layers;
        const auto split = split_layers(layers, stages, {.first = first, .last = last});
        if (!split) {
            read_.refuse(name,
                         fmt::format("leaves {} layers for {} other stages (they take equally "
                                     "many) change one of them",
                                     layers - first.value_or(0) - last.value_or(0),
                                     stages - (first ? 1 : 0) - (last ? 1 : 0)));
            return;
        }
        set("stage-layers", fmt::format("{}", fmt::join(*split, ",")), name);
    }

    void read_precision() {
        const bool bf16 = read_.given("--bf16");
        const bool fp16 = read_.given("--fp16");
        const bool fp8 = read_.given("--fp8-format");
        const std::string_view name = fp8 ? "--fp8-format" : bf16 ? "--bf16" : "--fp16";
        set("precision", fp8 ? "fp8" : bf16 ? "bf16" : fp16 ? "fp16" : "fp32", name);
    }

    void read_recomputation() {
        const auto granularity = read_.text("--recompute-granularity");
        const bool activations = read_.given("--recompute-activations");
        const auto method = read_.text("--recompute-method");
        const auto layers = read_.count("--recompute-num-layers");
        if (granularity) {
            set("recompute", *granularity, "--recompute-granularity");
        } else if (activations) {
            set("recompute", "selective", "--recompute-activations");
        }
        if (granularity == "full" && (method != "uniform" || layers.value_or(1) != 1)) {
            lacks(
                fmt::format("--recompute-method {} --recompute-num-layers {} (every layer keeps "
                            "its input and is recomputed)",
                            method.value_or("(none)"),
                            layers.value_or(1)));
        }
    }

    void read_data_parallelism() {
        const bool overlaps = read_.given("--overlap-grad-reduce");
        set("overlap-gradients", overlaps ? "on" : "off", "--overlap-grad-reduce");
        const auto elements = read_.count("--ddp-bucket-size");
        set("bucket",
            overlaps ? fmt::format("{}B", 4 * elements.value_or(default_bucket_elements))
                     : std::string(one_bucket),
            elements ? "--ddp-bucket-size" : "--overlap-grad-reduce");
        const bool bf16 = read_.given("--grad-reduce-in-bf16");
        (void)read_.given("--accumulate-allreduce-grads-in-fp32");  // what fp32 gradients are
        if (bf16) {
            set("gradient-type", "bf16", "--grad-reduce-in-bf16");
        }
        if (read_.given("--use-distributed-optimizer")) {
            set("zero", "1", "--use-distributed-optimizer");
            set("overlap-parameters",
                read_.given("--overlap-param-gather") ? "on" : "off",
                "--overlap-param-gather");
        }
        (void)read_.given("--overlap-param-gather");
    }

    void read_fsdp() {
        const auto strategy = read_.text("--data-parallel-sharding-strategy");
        if (read_.given("--use-torch-fsdp2")) {
            set("zero", "3", "--use-torch-fsdp2");
        }
        for (const std::string_view name : {"--use-custom-fsdp", "--use-megatron-fsdp"}) {
            if (read_.given(name)) {
                const std::string kind = strategy.value_or("optim_grads_params");
                set("zero",
                    kind == "optim_grads_params" ? "3"
                    : kind == "optim_grads"      ? "2"
                    : kind == "optim"            ? "1"
                                                 : "0",
                    strategy ? "--data-parallel-sharding-strategy" : name);
            }
        }
    }

    /// Unless told otherwise Megatron cuts experts as all else, and dispatches by all-gather.
    void read_experts() {
        const std::int64_t tp = read_.count("--tensor-model-parallel-size").value_or(1);
        const std::int64_t cut = read_.count("--expert-tensor-parallel-size").value_or(tp);
        if (cut != tp) {
            lacks(fmt::format(
                "--expert-tensor-parallel-size {} (experts are cut by --tp like the rest)", cut));
        }
        const std::string dispatcher =
            read_.text("--moe-token-dispatcher-type").value_or("allgather");
        if (imported_.model->experts > 0 && dispatcher != "alltoall") {
            lacks(fmt::format(
                "--moe-token-dispatcher-type {} (tokens are dispatched by an all-to-all)",
                dispatcher));
        }
        if (const auto factor = read_.number("--moe-expert-capacity-factor")) {
            set("capacity-factor", fmt::format("{}", *factor), "--moe-expert-capacity-factor");
        }
    }

    void sort_left_over() {
        for (const Argument* argument : read_.left_over()) {
            const std::string text =
                argument->values.empty()
                    ? argument->name
                    : fmt::format("{} {}", argument->name, fmt::join(argument->values, " "));
            if (is_without_effect(argument->name) || means_the_same(*argument)) {
                imported_.without_effect.push_back(argument->name);
            } else if (const auto reason = reason_not_emulated(argument->name)) {
                lacks(fmt::format("{} ({})", text, *reason));
            } else {
                imported_.unknown.push_back(text);
            }
        }
    }

    ArgumentReader& read_;
    Problems& problems_;
    Imported& imported_;
};

}  // namespace

Imported import_megatron(const std::string& arguments_or_file) {
    const bool in_place =
        arguments_or_file.starts_with("--") || arguments_or_file.find(" --") != std::string::npos;
    const std::string text = in_place ? arguments_or_file : read_text_file(arguments_or_file);
    Problems problems;
    ArgumentReader read(
        arguments_in(text), in_place ? "--megatron-args" : arguments_or_file, problems);
    Imported imported;
    MegatronReader(read, problems, imported).run();
    problems.throw_if_any();
    return imported;
}

}  // namespace traindyno
