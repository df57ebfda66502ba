// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "emulator/base/config_files.hpp"
#include "emulator/importer/argument_reader.hpp"
#include "emulator/importer/imported.hpp"
#include "emulator/model/catalog.hpp"

namespace traindyno {

namespace {

/// Sections whose keys are no part of a step's work.
constexpr std::array<std::string_view, 11> quiet_sections{"job",
                                                          "profiling",
                                                          "metrics",
                                                          "lr_scheduler",
                                                          "checkpoint",
                                                          "validation",
                                                          "comm",
                                                          "memory_estimation",
                                                          "fault_tolerance",
                                                          "experimental",
                                                          "debug"};

constexpr std::array<std::string_view, 15> quiet_keys{"model.hf_assets_path",
                                                      "model.tokenizer_path",
                                                      "model.print_after_conversion",
                                                      "optimizer.lr",
                                                      "optimizer.eps",
                                                      "optimizer.beta1",
                                                      "optimizer.beta2",
                                                      "optimizer.weight_decay",
                                                      "optimizer.implementation",
                                                      "training.dataset",
                                                      "training.dataset_path",
                                                      "training.max_norm",
                                                      "training.steps",
                                                      "training.seed",
                                                      "training.gc_freq"};

bool is_quiet(std::string_view name) {
    const std::string_view section = name.substr(0, name.find('.'));
    return std::find(quiet_sections.begin(), quiet_sections.end(), section) !=
               quiet_sections.end() ||
           std::find(quiet_keys.begin(), quiet_keys.end(), name) != quiet_keys.end();
}

std::vector<std::string> texts_of(const toml::node& node) {
    if (const auto* array = node.as_array()) {
        std::vector<std::string> texts;
        for (const toml::node& item : *array) {
            const std::vector<std::string> inner = texts_of(item);
            texts.insert(texts.end(), inner.begin(), inner.end());
        }
        return texts;
    }
    if (const auto* text = node.as_string()) {
        return {text->get()};
    }
    if (const auto* number = node.as_integer()) {
        return {fmt::format("{}", number->get())};
    }
    if (const auto* number = node.as_floating_point()) {
        return {fmt::format("{}", number->get())};
    }
    const auto* truth = node.as_boolean();
    return {truth != nullptr && truth->get() ? "true" : "false"};
}

/// Keys as "section.key".
void flatten(const toml::table& table, const std::string& prefix, std::vector<Argument>& into) {
    for (const auto& [key, node] : table) {
        const std::string name = prefix + std::string(key.str());
        if (const auto* inner = node.as_table()) {
            flatten(*inner, name + ".", into);
        } else {
            into.push_back({.name = name,
                            .values = texts_of(node),
                            .line = static_cast<int>(node.source().begin.line)});
        }
    }
}

std::vector<Argument> toml_keys_of(const std::string& file) {
    try {
        std::vector<Argument> keys;
        flatten(toml::parse(read_text_file(file), file), "", keys);
        return keys;
    } catch (const toml::parse_error& error) {
        throw ConfigError({fmt::format("{}:{}: not valid TOML ({}) correct that line",
                                       file,
                                       error.source().begin.line,
                                       error.description())});
    }
}

std::string file_name_of(std::string text) {
    for (char& c : text) {
        c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return text;
}

class TorchtitanReader {
  public:
    TorchtitanReader(ArgumentReader& read, Imported& imported) : read_(read), imported_(imported) {}

    void run() {
        read_model();
        read_pipeline();
        read_grid();
        read_sharding();
        read_precision();
        read_recomputation();
        for (const Argument* key : read_.left_over()) {
            if (is_quiet(key->name)) {
                imported_.without_effect.push_back(key->name);
            } else {
                imported_.unknown.push_back(
                    fmt::format("{} = {}", key->name, fmt::join(key->values, " ")));
            }
        }
    }

  private:
    void set(const std::string& flag, std::string value, std::string_view because_of) {
        imported_.settings[flag] = {.value = std::move(value), .origin = read_.origin(because_of)};
    }

    void copy_degree(const std::string& flag, std::string_view key) {
        if (const auto value = read_.count(key)) {
            set(flag, fmt::format("{}", *value), key);
        }
    }

    void read_model() {
        const std::string name = file_name_of(read_.text("model.name").value_or("llama3"));
        const std::string flavor = file_name_of(read_.text("model.flavor").value_or("debugmodel"));
        const std::vector<std::string> known = model_names();
        const std::string both = fmt::format("{}-{}", name, flavor);
        const auto found = std::find_if(known.begin(), known.end(), [&](const std::string& each) {
            return each == both || each == name;
        });
        set("seq",
            fmt::format("{}", read_.count("training.seq_len").value_or(2048)),
            "training.seq_len");
        if (found == known.end()) {
            imported_.unknown.push_back(fmt::format(
                "model {} (no file in configs/models has its shape) give --model", both));
        } else {
            imported_.model = load_model(*found);
        }
    }

    void read_pipeline() {
        const std::int64_t stages = read_.count("parallelism.pipeline_parallel_degree").value_or(1);
        const std::string schedule =
            read_.text("parallelism.pipeline_parallel_schedule").value_or("1F1B");
        const auto micro = read_.count("parallelism.pipeline_parallel_microbatch_size");
        const std::int64_t local = read_.count("training.local_batch_size").value_or(8);
        set("pp", fmt::format("{}", stages), "parallelism.pipeline_parallel_degree");
        set("micro-batch",
            fmt::format("{}", stages > 1 ? micro.value_or(1) : local),
            "training.local_batch_size");
        const std::string global = read_.text("training.global_batch_size").value_or("-1");
        if (global == "-1") {
            set("batch-per-replica", fmt::format("{}", local), "training.local_batch_size");
        } else {
            copy_degree("global-batch", "training.global_batch_size");
        }
        if (stages > 1) {
            read_schedule(schedule, stages);
        }
    }

    void read_schedule(const std::string& schedule, std::int64_t stages) {
        constexpr std::string_view key = "parallelism.pipeline_parallel_schedule";
        const auto per_stage = read_.count("parallelism.pipeline_parallel_layers_per_stage");
        if (schedule == "Interleaved1F1B") {
            const std::int64_t layers = imported_.model ? imported_.model->layers : stages;
            const std::int64_t chunks =
                per_stage ? std::max<std::int64_t>(layers / (stages * *per_stage), 1) : 2;
            set("schedule", "interleaved", key);
            set("virtual-stages", fmt::format("{}", chunks), key);
        } else if (schedule == "GPipe") {
            set("schedule", "gpipe", key);
        } else if (schedule == "1F1B") {
            set("schedule", "1f1b", key);
        } else {
            set("schedule", "zero-bubble", key);
            imported_.not_emulated.push_back(
                fmt::format("{} = {} (ZB-H1 stands in for it)", key, schedule));
        }
    }

    void read_grid() {
        copy_degree("tp", "parallelism.tensor_parallel_degree");
        copy_degree("cp", "parallelism.context_parallel_degree");
        copy_degree("ep", "parallelism.expert_parallel_degree");
        const auto tp = read_.count("parallelism.tensor_parallel_degree");
        if (tp.value_or(1) > 1) {  // torchtitan's tensor parallelism is always sequence parallel
            set("sequence-parallel", "on", "parallelism.tensor_parallel_degree");
        }
        if (read_.text("parallelism.enable_async_tensor_parallel") == "true") {
            set("overlap-tp", "on", "parallelism.enable_async_tensor_parallel");
        }
        const std::string method =
            read_.text("parallelism.context_parallel_rotate_method").value_or("allgather");
        set("context-exchange",
            method == "allgather" ? "all-gather" : "ring",
            "parallelism.context_parallel_rotate_method");
        const bool experts = read_.count("parallelism.expert_parallel_degree").value_or(1) > 1;
        const std::int64_t cut =
            read_.count("parallelism.expert_tensor_parallel_degree").value_or(1);
        if (experts && cut != tp.value_or(1)) {
            imported_.not_emulated.push_back(fmt::format(
                "parallelism.expert_tensor_parallel_degree = {} (experts are cut by --tp like the "
                "rest)",
                cut));
        }
    }

    /// FSDP by default; replicas of it with a replicate degree (HSDP); neither: DDP.
    void read_sharding() {
        constexpr std::string_view shard_key = "parallelism.data_parallel_shard_degree";
        const std::int64_t replicas =
            read_.count("parallelism.data_parallel_replicate_degree").value_or(1);
        const std::string shard = read_.text(shard_key).value_or("-1");
        const std::int64_t context = read_.count("parallelism.context_parallel_degree").value_or(1);
        const std::string reshard =
            read_.text("parallelism.fsdp_reshard_after_forward").value_or("default");
        if (shard == "1" && context == 1) {
            set("zero", "0", shard_key);
            return;
        }
        set("zero", "3", shard_key);
        if (reshard == "never") {
            imported_.not_emulated.emplace_back(
                "parallelism.fsdp_reshard_after_forward = never (parameters are gathered again "
                "for backward)");
        }
        if (replicas > 1 && shard != "-1") {
            const auto degree = read_.count(shard_key);
            set("shard", fmt::format("{}", degree.value_or(1) * context), shard_key);
        } else if (replicas > 1) {
            imported_.not_emulated.push_back(
                fmt::format("parallelism.data_parallel_replicate_degree = {} (give --shard the "
                            "ranks of one replica: dp x cp / {})",
                            replicas,
                            replicas));
        }
    }

    void read_precision() {
        const std::string parameters =
            read_.text("training.mixed_precision_param").value_or("bfloat16");
        (void)read_.text("training.mixed_precision_reduce");  // always float32
        const std::vector<std::string> converters = read_.values("model.converters");
        const bool fp8 =
            std::find(converters.begin(), converters.end(), "float8") != converters.end();
        set("precision",
            fp8                        ? "fp8"
            : parameters == "bfloat16" ? "bf16"
                                       : "fp32",
            fp8 ? "model.converters" : "training.mixed_precision_param");
        const std::string optimizer = read_.text("optimizer.name").value_or("AdamW");
        if (optimizer != "AdamW" && optimizer != "Adam") {
            imported_.not_emulated.push_back(
                fmt::format("optimizer.name = {} (the optimizer is Adam)", optimizer));
        }
        if (read_.text("training.enable_cpu_offload") == "true") {
            imported_.not_emulated.emplace_back(
                "training.enable_cpu_offload (state stays on the device)");
        }
    }

    void read_recomputation() {
        constexpr std::string_view key = "activation_checkpoint.mode";
        const std::string mode = read_.text(key).value_or("selective");
        const std::string option =
            read_.text("activation_checkpoint.selective_ac_option").value_or("2");
        set("recompute", mode == "full" || mode == "selective" ? mode : "none", key);
        if (mode == "selective") {
            imported_.not_emulated.push_back(
                fmt::format("activation_checkpoint.selective_ac_option = {} (core attention is "
                            "recomputed in every layer)",
                            option));
        }
    }

    ArgumentReader& read_;
    Imported& imported_;
};

}  // namespace

Imported import_torchtitan(const std::string& file) {
    Problems problems;
    ArgumentReader read(toml_keys_of(file), file, problems);
    Imported imported;
    TorchtitanReader(read, imported).run();
    problems.throw_if_any();
    return imported;
}

}  // namespace traindyno
