// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tuning_table.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <tuple>

#include <fmt/format.h>

#include "emulator/base/config_table.hpp"
#include "emulator/base/quantity_text.hpp"

namespace traindyno {

namespace {

auto key_of(const TuningRow& row) {
    return std::tie(row.shape, row.op, row.urgency, row.bytes);
}

/// As parse_time reads it, four digits.
std::string time_text(double seconds) {
    if (seconds < 1e-3) {
        return fmt::format("{:.4g}us", seconds * 1e6);
    }
    return seconds < 1 ? fmt::format("{:.4g}ms", seconds * 1e3) : fmt::format("{:.4g}s", seconds);
}

std::string size_text(std::int64_t bytes) {
    constexpr std::int64_t kibi = 1024;
    if (bytes % (kibi * kibi) == 0) {
        return fmt::format("{}MiB", bytes / (kibi * kibi));
    }
    return bytes % kibi == 0 ? fmt::format("{}KiB", bytes / kibi) : fmt::format("{}B", bytes);
}

std::string times_text(const CarrierSeconds& seconds) {
    std::string text;
    for (std::size_t i = 0; i < seconds.size(); ++i) {
        if (seconds[i] > 0) {
            text += fmt::format("{}{} {}",
                                text.empty() ? "" : ", ",
                                to_string(static_cast<Carrier>(i)),
                                time_text(seconds[i]));
        }
    }
    return text;
}

/// "mpi 1.2ms, ring 900us".
CarrierSeconds parse_times(std::string_view text) {
    CarrierSeconds seconds{};
    while (!text.empty()) {
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), item.size() + 1));
        const std::size_t name = item.find_first_not_of(' ');
        const std::size_t space = item.find(' ', std::min(name, item.size()));
        const auto carrier = space == std::string_view::npos
                                 ? std::nullopt
                                 : parse_enum<Carrier>(item.substr(name, space - name));
        if (!carrier) {
            throw ConfigError(
                {fmt::format("'{}' is not a carrier and its time (carriers: {}) write e.g. \"mpi "
                             "1.2ms, ring 900us\"",
                             item,
                             enum_choices<Carrier>())});
        }
        seconds[static_cast<std::size_t>(*carrier)] =
            to_seconds(parse_time(item.substr(space + 1)));
    }
    return seconds;
}

/// Required and at least 1.
std::int64_t read_count(ConfigTable& table, std::string_view key) {
    table.require(key, fmt::format("{} = 2", key));
    const std::int64_t value = table.integer(key).value_or(1);
    if (value < 1) {
        table.report(key, "must be at least 1 (it counts ranks or nodes) correct it");
    }
    return value;
}

template <class E>
E read_choice(ConfigTable& table, std::string_view key) {
    table.require(key, fmt::format("{} = \"{}\"", key, EnumNames<E>::names.front()));
    return table.choice<E>(key).value_or(E{});
}

GroupShape read_shape(ConfigTable& table) {
    const GroupShape shape{.ranks = read_count(table, "ranks"),
                           .nodes = read_count(table, "nodes"),
                           .fewest = read_count(table, "fewest_per_node"),
                           .most = read_count(table, "most_per_node")};
    const bool fits = shape.fewest <= shape.most && shape.ranks >= shape.nodes * shape.fewest &&
                      shape.ranks <= shape.nodes * shape.most;
    if (!fits) {
        table.report(
            "ranks",
            fmt::format("{} ranks do not fit on {} nodes with {} to {} each (no such group "
                        "exists) correct the row or delete it",
                        shape.ranks,
                        shape.nodes,
                        shape.fewest,
                        shape.most));
    }
    return shape;
}

TuningRow read_row(ConfigTable& table) {
    TuningRow row{.op = read_choice<CollectiveOp>(table, "op"),
                  .urgency = read_choice<Urgency>(table, "urgency"),
                  .shape = read_shape(table),
                  .carrier = read_choice<Carrier>(table, "algorithm")};
    table.require("bytes", "bytes = \"1MiB\"");
    row.bytes = table.quantity("bytes", parse_bytes).value_or(Bytes{1}).value();
    row.seconds = table.quantity("times", parse_times).value_or(CarrierSeconds{});
    row.estimated = table.flag("estimated").value_or(false);
    table.refuse_other_keys();
    return row;
}

constexpr std::string_view header =
    "# Which algorithm carries which collective operation, as traindyno measured it on groups of "
    "this\n"
    "# placement (docs: collectives/README.md). A message takes the row of the nearest size, as a "
    "ratio.\n"
    "# Delete the file, or rows of it, to have them measured again.\n";

std::string text_of(const TuningRow& row) {
    return fmt::format(
        "\n[[choice]]\nop = \"{}\"\nurgency = \"{}\"\nranks = {}\nnodes = {}\nfewest_per_node = "
        "{}\n"
        "most_per_node = {}\nbytes = \"{}\"\nalgorithm = \"{}\"\ntimes = \"{}\"\n{}",
        to_string(row.op),
        to_string(row.urgency),
        row.shape.ranks,
        row.shape.nodes,
        row.shape.fewest,
        row.shape.most,
        size_text(row.bytes),
        to_string(row.carrier),
        times_text(row.seconds),
        row.estimated ? "estimated = true  # extrapolated from smaller sizes\n" : "");
}

}  // namespace

TuningTable TuningTable::read(const std::filesystem::path& path) {
    ConfigTable file = ConfigTable::read(path);
    TuningTable result;
    for (ConfigTable& table : file.tables("choice")) {
        const TuningRow row = read_row(table);
        const std::size_t before = result.rows_.size();
        result.add(row);
        if (result.rows_.size() == before) {
            table.report("bytes",
                         "a row for the same messages stands above (one must go) delete one");
        }
    }
    file.refuse_other_keys();
    file.throw_if_any();
    return result;
}

void TuningTable::write(const std::filesystem::path& path) const {
    const std::filesystem::path unfinished = path.string() + ".tmp";
    {
        std::ofstream file(unfinished);
        file << header;
        for (const TuningRow& row : rows_) {
            file << text_of(row);
        }
        if (!file.flush()) {
            throw ConfigError({fmt::format(
                "{}: cannot be written (is the folder there and writable?) name another file",
                path.string())});
        }
    }
    std::filesystem::rename(unfinished, path);
}

void TuningTable::add(const TuningRow& row) {
    const auto at = std::lower_bound(
        rows_.begin(), rows_.end(), row, [](const TuningRow& a, const TuningRow& b) {
            return key_of(a) < key_of(b);
        });
    if (at != rows_.end() && key_of(*at) == key_of(row)) {
        *at = row;
    } else {
        rows_.insert(at, row);
    }
}

std::vector<TuningRow> TuningTable::rows_of(const GroupShape& shape) const {
    std::vector<TuningRow> found;
    std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(found), [&](const TuningRow& row) {
        return row.shape == shape;
    });
    return found;
}

bool TuningTable::covers(CollectiveOp op, const GroupShape& shape, std::int64_t largest) const {
    const auto has = [&](Urgency urgency) {
        return std::any_of(rows_.begin(), rows_.end(), [&](const TuningRow& row) {
            return row.shape == shape && row.op == op && row.urgency == urgency &&
                   row.bytes >= largest;
        });
    };
    return has(Urgency::background) && has(Urgency::immediate);
}

std::vector<SizeChoice> TuningTable::choices(CollectiveOp op,
                                             Urgency urgency,
                                             const GroupShape& shape) const {
    std::vector<SizeChoice> found;
    double before = 0;
    for (const TuningRow& row : rows_) {
        if (row.op != op || row.urgency != urgency || row.shape != shape) {
            continue;
        }
        const auto size = static_cast<double>(row.bytes);
        if (!found.empty()) {
            found.back().up_to = static_cast<std::int64_t>(std::sqrt(before * size));
        }
        found.push_back({.up_to = row.bytes, .carrier = row.carrier});
        before = size;
    }
    return found;
}

Carrier choose(std::span<const SizeChoice> choices, std::int64_t bytes) {
    TD_EXPECT(!choices.empty());
    const auto found = std::lower_bound(
        choices.begin(), choices.end(), bytes, [](const SizeChoice& choice, std::int64_t size) {
            return choice.up_to < size;
        });
    return found == choices.end() ? choices.back().carrier : found->carrier;
}

}  // namespace traindyno
