// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/config_table.hpp"

#include <cmath>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "emulator/base/config_files.hpp"

namespace traindyno {

struct ConfigTable::File {
    std::string path;
    toml::table root;
    Problems problems;
};

struct ConfigTable::Table {
    std::shared_ptr<File> file;
    const toml::table* content;
    std::set<std::string, std::less<>> asked;
    std::set<std::string, std::less<>> reported;

    const toml::node* find(std::string_view key) {
        asked.emplace(key);
        return content->get(key);
    }
};

namespace {

std::string_view described(toml::node_type type) {
    switch (type) {
        case toml::node_type::string:
            return "text";
        case toml::node_type::integer:
            return "a whole number";
        case toml::node_type::floating_point:
            return "a number with a fraction or exponent";
        case toml::node_type::boolean:
            return "true or false";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::table:
            return "a table";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time:
            return "a date or time";
        case toml::node_type::none:
            break;
    }
    return "nothing";
}

std::string wrong_type(const toml::node& node, std::string_view wanted, std::string_view example) {
    return fmt::format(
        "is {} ({} is needed) write it like {}", described(node.type()), wanted, example);
}

}  // namespace

ConfigTable ConfigTable::read(const std::filesystem::path& path) {
    auto file = std::make_shared<File>();
    file->path = path.string();
    try {
        file->root = toml::parse(read_text_file(path), file->path);
    } catch (const toml::parse_error& error) {
        throw ConfigError({fmt::format("{}:{}: not valid TOML ({}) correct this line",
                                       file->path,
                                       error.source().begin.line,
                                       error.description())});
    }
    const toml::table* root = &file->root;
    return ConfigTable{std::make_shared<Table>(
        Table{.file = std::move(file), .content = root, .asked = {}, .reported = {}})};
}

bool ConfigTable::has(std::string_view key) const {
    return table_->content->contains(key);
}

std::optional<std::int64_t> ConfigTable::integer(std::string_view key) {
    const toml::node* node = table_->find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (!node->is_integer()) {
        report(key, wrong_type(*node, "a whole number", fmt::format("{} = 12", key)));
        return std::nullopt;
    }
    return node->value<std::int64_t>();
}

std::optional<double> ConfigTable::number(std::string_view key) {
    const toml::node* node = table_->find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (!node->is_number()) {
        report(key, wrong_type(*node, "a number", fmt::format("{} = 0.8", key)));
        return std::nullopt;
    }
    const std::optional<double> value = node->value<double>();
    if (!std::isfinite(*value)) {
        report(key, "is not finite (nothing can be computed from it) write an ordinary number");
        return std::nullopt;
    }
    return value;
}

std::optional<bool> ConfigTable::flag(std::string_view key) {
    const toml::node* node = table_->find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (!node->is_boolean()) {
        report(key, wrong_type(*node, "true or false", fmt::format("{} = true", key)));
        return std::nullopt;
    }
    return node->value<bool>();
}

std::optional<std::string> ConfigTable::text(std::string_view key) {
    const toml::node* node = table_->find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (!node->is_string()) {
        report(key, wrong_type(*node, "text in quotes", fmt::format("{} = \"...\"", key)));
        return std::nullopt;
    }
    return node->value<std::string>();
}

std::vector<ConfigTable> ConfigTable::tables(std::string_view key) {
    const toml::node* node = table_->find(key);
    if (node == nullptr) {
        return {};
    }
    const toml::array* array = node->as_array();
    if (array == nullptr || !(array->empty() || array->is_homogeneous<toml::table>())) {
        report(key, wrong_type(*node, "a list of tables", fmt::format("[[{}]]", key)));
        return {};
    }
    std::vector<ConfigTable> tables;
    for (const toml::node& element : *array) {
        tables.push_back(ConfigTable{std::make_shared<Table>(Table{
            .file = table_->file, .content = element.as_table(), .asked = {}, .reported = {}})});
    }
    return tables;
}

void ConfigTable::require(std::string_view key, std::string_view example) {
    if (!has(key)) {
        report(key, fmt::format("is missing (it has no default) add {} = {}", key, example));
    }
}

void ConfigTable::report(std::string_view key, std::string_view problem) {
    table_->reported.emplace(key);
    const toml::node* node = table_->content->get(key);
    const bool whole_file = node == nullptr && table_->content == &table_->file->root;
    const toml::node& place = node != nullptr ? *node : *table_->content;
    const std::string line =
        whole_file ? std::string() : fmt::format(":{}", place.source().begin.line);
    table_->file->problems.add(fmt::format("{}{}: {}: {}", table_->file->path, line, key, problem));
}

bool ConfigTable::reported(std::string_view key) const {
    return table_->reported.contains(key);
}

void ConfigTable::refuse_other_keys() {
    const std::vector<std::string> known(table_->asked.begin(), table_->asked.end());
    for (const auto& [key, node] : *table_->content) {
        if (!table_->asked.contains(key.str())) {
            report(key.str(),
                   fmt::format("unknown key (known are {}){}",
                               fmt::join(known, ", "),
                               did_you_mean(key.str(), known)));
        }
    }
}

void ConfigTable::throw_if_any() const {
    table_->file->problems.throw_if_any();
}

void ConfigTable::report_choice(std::string_view key,
                                std::string_view name,
                                const std::vector<std::string_view>& choices) {
    report(key,
           fmt::format("'{}' is not a choice (choices are {}){}",
                       name,
                       fmt::join(choices, ", "),
                       did_you_mean(name, {choices.begin(), choices.end()})));
}

}  // namespace traindyno
