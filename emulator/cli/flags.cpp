// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/flags.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <toml++/toml.h>

#include "emulator/base/config_files.hpp"
#include "emulator/cli/flag_table.hpp"
#include "emulator/cli/import_flags.hpp"

namespace traindyno {

namespace {

struct CommandSpec {
    Command command;
    std::string_view name;
    unsigned bit;
    std::string_view help;
};

constexpr std::array commands{
    CommandSpec{Command::scale,
                "scale",
                takes::scale,
                "measure scaling efficiency over several rank counts in one job"},
    CommandSpec{Command::run, "run", takes::run, "measure one point on all ranks of the job"},
    CommandSpec{Command::describe, "describe", takes::describe, "print what a model is and costs"},
    CommandSpec{Command::show_program,
                "show-program",
                takes::show,
                "print a pipeline schedule and its bubble, or the step program of a rank"},
    CommandSpec{Command::report,
                "report",
                takes::report,
                "rebuild the report from one or several result folders"},
    CommandSpec{Command::collectives,
                "collectives",
                takes::collectives,
                "measure and check one collective over a range of sizes, as nccl-tests do"},
};

std::vector<std::string> flag_names(unsigned bit) {
    std::vector<std::string> names;
    for (const FlagSpec& spec : flag_table()) {
        if ((spec.commands & bit) != 0) {
            names.emplace_back(spec.name);
        }
    }
    return names;
}

const FlagSpec* find_spec(std::string_view name, unsigned bit) {
    const std::vector<FlagSpec>& table = flag_table();
    const auto found = std::find_if(table.begin(), table.end(), [&](const FlagSpec& spec) {
        return spec.name == name && (spec.commands & bit) != 0;
    });
    return found == table.end() ? nullptr : &*found;
}

/// One command as CLI11 sees it; the strings it fills must stay where they are.
struct Subcommand {
    const CommandSpec* spec = nullptr;
    CLI::App* app = nullptr;
    std::map<std::string, std::string> texts;
    std::map<std::string, bool> toggles;
    std::vector<std::string> positionals;
};

void declare(CLI::App& root, Subcommand& subcommand) {
    subcommand.app =
        root.add_subcommand(std::string(subcommand.spec->name), std::string(subcommand.spec->help));
    subcommand.app->allow_extras();
    for (const FlagSpec& spec : flag_table()) {
        if ((spec.commands & subcommand.spec->bit) == 0) {
            continue;
        }
        const std::string name(spec.name);
        const std::string spellings =
            (spec.also.empty() ? "" : std::string(spec.also) + ",") + "--" + name;
        CLI::Option* option = nullptr;
        if (spec.kind == FlagKind::toggle) {
            option = subcommand.app->add_flag(
                spellings, subcommand.toggles[name], std::string(spec.help));
        } else {
            option = subcommand.app
                         ->add_option(spellings, subcommand.texts[name], std::string(spec.help))
                         ->type_name(std::string(spec.placeholder));
        }
        option->group(std::string(spec.group));
    }
    if (subcommand.spec->command == Command::report) {
        subcommand.app->add_option(
            "results", subcommand.positionals, "result folders of `scale` or `run`");
    }
}

void report_extras(const Subcommand& subcommand, Problems& problems) {
    for (const std::string& extra : subcommand.app->remaining()) {
        if (!extra.starts_with("-")) {
            problems.add(fmt::format(
                "'{}' is not expected here (the command takes flags only) see traindyno {} --help",
                extra,
                subcommand.spec->name));
            continue;
        }
        const std::string name = extra.substr(extra.find_first_not_of('-') == std::string::npos
                                                  ? extra.size()
                                                  : extra.find_first_not_of('-'));
        problems.add(fmt::format("{}: unknown flag (traindyno {} does not have it){}",
                                 extra,
                                 subcommand.spec->name,
                                 did_you_mean(name, flag_names(subcommand.spec->bit))));
    }
}

std::string toml_text(const toml::node& node) {
    if (const auto* text = node.as_string()) {
        return text->get();
    }
    if (const auto* number = node.as_integer()) {
        return fmt::format("{}", number->get());
    }
    if (const auto* number = node.as_floating_point()) {
        return fmt::format("{}", number->get());
    }
    if (const auto* truth = node.as_boolean()) {
        return truth->get() ? "on" : "off";
    }
    std::string list;
    if (const auto* array = node.as_array()) {
        for (const toml::node& item : *array) {
            list += (list.empty() ? "" : ",") + toml_text(item);
        }
    }
    return list;
}

/// Flags of one table of a study file. Underscores may stand for dashes.
std::map<std::string, FlagValue> table_values(const toml::table& table,
                                              const std::string& file,
                                              unsigned bit,
                                              const std::vector<std::string>& extra_keys,
                                              Problems& problems) {
    std::map<std::string, FlagValue> values;
    for (const auto& [key, node] : table) {
        std::string name(key.str());
        std::replace(name.begin(), name.end(), '_', '-');
        const std::string origin =
            fmt::format("{}:{}: {}", file, node.source().begin.line, key.str());
        const bool extra =
            std::find(extra_keys.begin(), extra_keys.end(), name) != extra_keys.end();
        if (name == "study" || (find_spec(name, bit) == nullptr && !extra)) {
            std::vector<std::string> known = flag_names(bit);
            known.insert(known.end(), extra_keys.begin(), extra_keys.end());
            problems.add(
                fmt::format("{}: unknown key (study files take the flags of the command){}",
                            origin,
                            did_you_mean(name, known)));
            continue;
        }
        const FlagSpec* spec = find_spec(name, bit);
        const std::string text = toml_text(node);
        if (spec != nullptr && spec->kind == FlagKind::toggle) {
            if (text != "on" && text != "off") {
                problems.add(fmt::format(
                    "{}: '{}' is neither true nor false (it is a switch) write true or false",
                    origin,
                    text));
            } else if (text == "on") {
                values[name] = {.text = text, .origin = origin};
            }
            continue;
        }
        values[name] = {.text = text, .origin = origin};
    }
    return values;
}

void read_study_file(const std::string& path, unsigned bit, Flags& flags, Problems& problems) {
    toml::table table;
    try {
        table = toml::parse(read_text_file(path), path);
    } catch (const toml::parse_error& error) {
        problems.add(fmt::format("{}:{}: not valid TOML ({}) correct that line",
                                 path,
                                 error.source().begin.line,
                                 error.description()));
        return;
    }
    if (const toml::node* node = table.get("point")) {
        const toml::array* points = node->as_array();
        if (points == nullptr || !points->is_array_of_tables()) {
            problems.add(fmt::format(
                "{}:{}: point: not a list of tables (each point is one table) write [[point]]",
                path,
                node->source().begin.line));
        } else {
            for (const toml::node& point : *points) {
                FlagPoint read;
                read.values = table_values(*point.as_table(),
                                           path,
                                           0,
                                           {"ranks", "tp", "pp", "ep", "global-batch"},
                                           problems);
                flags.points.push_back(std::move(read));
            }
        }
        table.erase("point");
    }
    for (auto& [name, value] : table_values(table, path, bit, {}, problems)) {
        flags.values.try_emplace(name, std::move(value));
    }
}

Flags collect(const Subcommand& subcommand, Problems& problems) {
    Flags flags{.command = subcommand.spec->command,
                .values = {},
                .points = {},
                .positionals = subcommand.positionals};
    for (const auto& [name, text] : subcommand.texts) {
        if (subcommand.app->count("--" + name) > 0) {
            flags.values[name] = {.text = text, .origin = "--" + name};
        }
    }
    for (const auto& [name, on] : subcommand.toggles) {
        if (on) {
            flags.values[name] = {.text = "on", .origin = "--" + name};
        }
    }
    report_extras(subcommand, problems);
    if (const FlagValue* study = flags.find("study")) {
        const std::string path = study->text;
        problems.collect([&] { read_study_file(path, subcommand.spec->bit, flags, problems); });
    }
    apply_imports(flags, problems);
    return flags;
}

}  // namespace

ParsedArguments parse_arguments(std::span<const char* const> arguments,
                                const std::function<std::string()>& version,
                                Problems& problems) {
    CLI::App root{"traindyno: measures how training efficiency falls as hardware is added, and why",
                  "traindyno"};
    root.set_version_flag("--version", "");  // its text is made when it is asked for
    root.allow_extras();
    std::array<Subcommand, commands.size()> subcommands;
    for (std::size_t i = 0; i < commands.size(); ++i) {
        subcommands[i].spec = &commands[i];
        declare(root, subcommands[i]);
    }
    ParsedArguments parsed;
    try {
        std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
        root.parse(std::move(reversed));
    } catch (const CLI::CallForVersion&) {
        parsed.information = Information{version() + "\n"};
        return parsed;
    } catch (const CLI::Success&) {
        parsed.information = Information{root.help()};
        return parsed;
    } catch (const CLI::ParseError& error) {
        problems.add(
            fmt::format("{} (the command line is incomplete) see traindyno --help", error.what()));
    }
    for (const Subcommand& subcommand : subcommands) {
        if (subcommand.app->parsed()) {
            parsed.flags = collect(subcommand, problems);
            return parsed;
        }
    }
    std::vector<std::string> names;
    names.reserve(commands.size());
    for (const CommandSpec& spec : commands) {
        names.emplace_back(spec.name);
    }
    const std::vector<std::string> extras = root.remaining();
    if (!extras.empty()) {
        problems.add(fmt::format("'{}': unknown command (traindyno has {}){}",
                                 extras.front(),
                                 fmt::join(names, ", "),
                                 did_you_mean(extras.front(), names)));
    } else if (arguments.empty()) {
        problems.add(
            fmt::format("no command given (traindyno has {}) try: mpirun -n 2 traindyno scale "
                        "--model gpt3-125m --shrink 4 --out results",
                        fmt::join(names, ", ")));
    }
    return parsed;
}

}  // namespace traindyno
