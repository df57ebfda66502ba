// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/import_flags.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace traindyno {

namespace {

struct Source {
    std::string_view flag;
    std::string_view name;
    Imported (*read)(const std::string&);
};

constexpr std::array sources{Source{"megatron-args", "Megatron-LM", &import_megatron},
                             Source{"torchtitan", "torchtitan", &import_torchtitan},
                             Source{"deepspeed", "DeepSpeed", &import_deepspeed}};

/// In weak scaling the batch per replica is fixed, which no imported global batch can say.
void drop_global_batch(const Flags& flags, Imported& imported) {
    const FlagValue* scaling = flags.find("scaling");
    const auto batch = imported.settings.find("global-batch");
    if (flags.command != Command::scale || batch == imported.settings.end() ||
        (scaling != nullptr && scaling->text == "strong")) {
        return;
    }
    imported.not_emulated.push_back(
        fmt::format("{} {} (weak scaling fixes the batch per replica) give --batch-per-replica, or "
                    "--scaling strong",
                    batch->second.origin,
                    batch->second.value));
    imported.settings.erase(batch);
}

void add(Imported imported, const Source& source, Flags& flags) {
    drop_global_batch(flags, imported);
    for (const auto& [name, setting] : imported.settings) {
        flags.values.try_emplace(name, FlagValue{.text = setting.value, .origin = setting.origin});
    }
    flags.imports.push_back({.source = std::string(source.name), .content = std::move(imported)});
}

void note(std::vector<std::string>& notes,
          const std::string& source,
          std::string_view what,
          const std::vector<std::string>& names,
          std::string_view between) {
    if (!names.empty()) {
        notes.push_back(fmt::format("{}: {}: {}", source, what, fmt::join(names, between)));
    }
}

}  // namespace

void apply_imports(Flags& flags, Problems& problems) {
    for (const Source& source : sources) {
        if (const FlagValue* value = flags.find(source.flag)) {
            const std::string text = value->text;
            problems.collect([&] { add(source.read(text), source, flags); });
        }
    }
}

std::vector<std::string> import_gaps(const Flags& flags) {
    std::vector<std::string> gaps;
    for (const FlagImport& each : flags.imports) {
        note(gaps, each.source, "not emulated", each.content.not_emulated, "; ");
        note(gaps, each.source, "unknown, not used", each.content.unknown, "; ");
    }
    return gaps;
}

std::vector<std::string> import_notes(const Flags& flags) {
    std::vector<std::string> notes;
    for (const FlagImport& each : flags.imports) {
        note(notes, each.source, "without effect here", each.content.without_effect, " ");
    }
    return notes;
}

}  // namespace traindyno
