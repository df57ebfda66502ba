// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/base/config_files.hpp"
#include "emulator/importer/argument_reader.hpp"
#include "emulator/importer/imported.hpp"

namespace traindyno {

namespace {

using Json = nlohmann::json;

/// Beginnings of keys that are no part of a step's work.
constexpr std::array<std::string_view, 16> quiet{"optimizer.params",
                                                 "scheduler",
                                                 "steps_per_print",
                                                 "wall_clock_breakdown",
                                                 "dump_state",
                                                 "flops_profiler",
                                                 "tensorboard",
                                                 "wandb",
                                                 "csv_monitor",
                                                 "comms_logger",
                                                 "gradient_clipping",
                                                 "prescale_gradients",
                                                 "fp16.",
                                                 "bf16.",
                                                 "zero_optimization.contiguous_gradients",
                                                 "zero_optimization.round_robin_gradients"};

std::string text_of(const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

void flatten(const Json& object, const std::string& prefix, std::vector<Argument>& into) {
    for (const auto& [key, value] : object.items()) {
        const std::string name = prefix + key;
        if (value.is_object()) {
            flatten(value, name + ".", into);
        } else {
            into.push_back({.name = name, .values = {text_of(value)}, .line = 0});
        }
    }
}

std::vector<Argument> json_keys_of(const std::string& file) {
    try {
        const Json json = Json::parse(read_text_file(file));
        if (!json.is_object()) {
            throw ConfigError({fmt::format(
                "{}: is not a JSON object (DeepSpeed's files are) begin it with {{", file)});
        }
        std::vector<Argument> keys;
        flatten(json, "", keys);
        return keys;
    } catch (const Json::parse_error& error) {
        throw ConfigError({fmt::format(
            "{}: not valid JSON ({}) correct it at byte {}", file, error.what(), error.byte)});
    }
}

class DeepSpeedReader {
  public:
    DeepSpeedReader(ArgumentReader& read, Imported& imported) : read_(read), imported_(imported) {}

    void run() {
        copy("micro-batch", "train_micro_batch_size_per_gpu");
        copy("global-batch", "train_batch_size");
        read_accumulation();
        read_precision();
        read_zero();
        for (const Argument* key : read_.left_over()) {
            const std::string text = fmt::format("{} = {}", key->name, fmt::join(key->values, " "));
            if (std::any_of(quiet.begin(), quiet.end(), [&](std::string_view beginning) {
                    return key->name.starts_with(beginning);
                })) {
                imported_.without_effect.push_back(key->name);
            } else if (key->name.find("offload") != std::string::npos) {
                imported_.not_emulated.push_back(text + " (state stays on the device)");
            } else {
                imported_.unknown.push_back(text);
            }
        }
    }

  private:
    void set(const std::string& flag, std::string value, std::string_view because_of) {
        imported_.settings[flag] = {.value = std::move(value), .origin = read_.origin(because_of)};
    }

    /// "auto" leaves a number to the framework that calls DeepSpeed.
    [[nodiscard]] std::optional<std::int64_t> count(std::string_view key) {
        if (read_.text(key) == "auto") {
            imported_.not_emulated.push_back(
                fmt::format("{} = auto (the calling framework knows it) give the flag", key));
            return std::nullopt;
        }
        return read_.count(key);
    }

    void copy(const std::string& flag, std::string_view key) {
        if (const auto value = count(key)) {
            set(flag, fmt::format("{}", *value), key);
        }
    }

    void read_accumulation() {
        const auto steps = count("gradient_accumulation_steps");
        const auto micro = count("train_micro_batch_size_per_gpu");
        if (steps && micro && !imported_.settings.contains("global-batch")) {
            set("batch-per-replica",
                fmt::format("{}", *steps * *micro),
                "gradient_accumulation_steps");
        }
    }

    void read_precision() {
        const bool bf16 = read_.text("bf16.enabled") == "true";
        const bool fp16 = read_.text("fp16.enabled") == "true";
        set("precision",
            bf16   ? "bf16"
            : fp16 ? "fp16"
                   : "fp32",
            bf16 ? "bf16.enabled" : "fp16.enabled");
        const auto wire = read_.text("communication_data_type");
        if (wire == "bf16" || wire == "bfp16") {
            set("gradient-type", "bf16", "communication_data_type");
        } else if (wire == "fp16") {
            imported_.not_emulated.emplace_back(
                "communication_data_type = fp16 (gradients are reduced in fp32 or bf16)");
        }
        const auto optimizer = read_.text("optimizer.type");
        if (optimizer && *optimizer != "Adam" && *optimizer != "AdamW") {
            imported_.not_emulated.push_back(
                fmt::format("optimizer.type = {} (the optimizer is Adam)", *optimizer));
        }
    }

    void read_zero() {
        const auto stage = read_.text("zero_optimization.stage");
        if (stage) {
            set("zero", *stage, "zero_optimization.stage");
        }
        if (const auto elements = count("zero_optimization.reduce_bucket_size")) {
            set("bucket",
                fmt::format("{}B", 4 * *elements),
                "zero_optimization.reduce_bucket_size");
        }
        if (const auto overlap = read_.text("zero_optimization.overlap_comm")) {
            set("overlap-gradients",
                *overlap == "true" ? "on" : "off",
                "zero_optimization.overlap_comm");
        }
        if (const auto ranks = count("zero_optimization.zero_hpz_partition_size");
            ranks && *ranks > 1) {
            set("shard", fmt::format("{}", *ranks), "zero_optimization.zero_hpz_partition_size");
            imported_.not_emulated.push_back(
                fmt::format("zero_optimization.zero_hpz_partition_size = {} (gradients are sharded "
                            "inside the group too)",
                            *ranks));
        }
        // DeepSpeed reduces at every micro-batch from stage 2 on.
        if (stage == "2" || stage == "3") {
            set("gradient-reduction", "every-micro-batch", "zero_optimization.stage");
        }
    }

    ArgumentReader& read_;
    Imported& imported_;
};

}  // namespace

Imported import_deepspeed(const std::string& file) {
    Problems problems;
    ArgumentReader read(json_keys_of(file), file, problems);
    Imported imported;
    DeepSpeedReader(read, imported).run();
    problems.throw_if_any();
    return imported;
}

}  // namespace traindyno
