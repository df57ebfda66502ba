// SPDX-License-Identifier: Apache-2.0
// Strict reader of TOML files: every key is asked for, every mistake is reported with its line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

/// One table of a TOML file. Readers return nothing for an absent key; a value of the wrong type
/// also becomes a problem "file:line: key: problem (why) suggestion". Tables of one file share
/// their problems.
class ConfigTable {
  public:
    /// Parses the file. ConfigError when it cannot be read or is not TOML.
    [[nodiscard]] static ConfigTable read(const std::filesystem::path& path);

    [[nodiscard]] bool has(std::string_view key) const;
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key);
    [[nodiscard]] std::optional<double> number(std::string_view key);  ///< finite
    [[nodiscard]] std::optional<bool> flag(std::string_view key);
    [[nodiscard]] std::optional<std::string> text(std::string_view key);
    /// The tables of `[[key]]`, in file order; empty when absent.
    [[nodiscard]] std::vector<ConfigTable> tables(std::string_view key);

    /// One of the names of enum E.
    template <class E>
    [[nodiscard]] std::optional<E> choice(std::string_view key) {
        const std::optional<std::string> name = text(key);
        if (!name) {
            return std::nullopt;
        }
        const std::optional<E> value = parse_enum<E>(*name);
        if (!value) {
            report_choice(key, *name, {EnumNames<E>::names.begin(), EnumNames<E>::names.end()});
        }
        return value;
    }

    /// Text with a unit, read by a parser of quantity_text.hpp.
    template <class Parse>
    [[nodiscard]] auto quantity(std::string_view key, const Parse& parse)
        -> std::optional<std::invoke_result_t<Parse, std::string_view>> {
        const std::optional<std::string> value = text(key);
        if (!value) {
            return std::nullopt;
        }
        try {
            return parse(*value);
        } catch (const ConfigError& error) {
            report(key, error.what());
            return std::nullopt;
        }
    }

    /// Reports `key` as missing when it is absent; `example` shows how to write it.
    void require(std::string_view key, std::string_view example);
    void report(std::string_view key, std::string_view problem);
    /// Whether a problem was reported for `key`.
    [[nodiscard]] bool reported(std::string_view key) const;
    /// Reports every key of this table that was never asked for.
    void refuse_other_keys();
    /// Throws ConfigError with the problems of the whole file, if any.
    void throw_if_any() const;

  private:
    struct File;
    struct Table;

    explicit ConfigTable(std::shared_ptr<Table> table) : table_(std::move(table)) {}

    void report_choice(std::string_view key,
                       std::string_view name,
                       const std::vector<std::string_view>& choices);

    std::shared_ptr<Table> table_;
};

}  // namespace traindyno
