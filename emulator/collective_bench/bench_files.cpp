// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_files.hpp"

#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace traindyno {

namespace {

std::string placement_name(Placement placement) {
    return placement == Placement::in_place ? "in_place" : "out_of_place";
}

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

template <class T>
std::string or_empty(const std::optional<T>& value) {
    return value ? fmt::format("{}", *value) : std::string{};
}

std::optional<std::string> reduction_of(const BenchRow& row) {
    if (!reduces(row.what.op)) {
        return std::nullopt;
    }
    return std::string(to_string(row.what.reduction));
}

std::optional<std::int64_t> root_of(const BenchRow& row) {
    if (row.what.op != BenchOp::broadcast) {
        return std::nullopt;
    }
    return row.what.root.value();
}

std::optional<double> predicted_us(const BenchRow& row) {
    if (!row.predicted_s) {
        return std::nullopt;
    }
    return *row.predicted_s * micro;
}

nlohmann::ordered_json json_of(const BenchRow& row) {
    return {{"backend", row.backend},
            {"op", to_string(row.what.op)},
            {"ranks", row.ranks},
            {"dtype", to_string(row.what.type)},
            {"reduction", or_null(reduction_of(row))},
            {"root", or_null(root_of(row))},
            {"placement", placement_name(row.placement)},
            {"bytes", row.bytes().value()},
            {"count", row.shape.count},
            {"iterations", row.iterations},
            {"time_us",
             {{"min", row.time.min * micro},
              {"p50", row.time.p50 * micro},
              {"p95", row.time.p95 * micro},
              {"max", row.time.max * micro}}},
            {"algbw_gbs", row.algbw_gbs()},
            {"busbw_gbs", row.busbw_gbs()},
            {"wrong", or_null(row.wrong)},
            {"predicted_us", or_null(predicted_us(row))}};
}

}  // namespace

std::string bench_json(const BenchHeader& header, const std::vector<BenchRow>& rows) {
    nlohmann::ordered_json document{{"schema", "traindyno.collectives/1"},
                                    {"version", header.version},
                                    {"created", header.created},
                                    {"command", header.command},
                                    {"mpi", header.mpi},
                                    {"buffers", header.buffers},
                                    {"hosts", nlohmann::ordered_json::array()},
                                    {"flags_raised", header.flags_raised},
                                    {"rows", nlohmann::ordered_json::array()}};
    for (const HostInfo& host : header.hosts) {
        document["hosts"].push_back({{"name", host.name},
                                     {"cpu", host.cpu},
                                     {"cores", host.cores},
                                     {"memory_bytes", host.memory_bytes},
                                     {"kernel", host.kernel}});
    }
    for (const BenchRow& row : rows) {
        document["rows"].push_back(json_of(row));
    }
    return document.dump(2) + "\n";
}

std::string bench_csv(const std::vector<BenchRow>& rows) {
    std::string text =
        "backend,op,ranks,dtype,reduction,root,placement,bytes,count,iterations,"
        "min_us,p50_us,p95_us,max_us,algbw_gbs,busbw_gbs,wrong,predicted_us\n";
    for (const BenchRow& row : rows) {
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},",
                            row.backend,
                            to_string(row.what.op),
                            row.ranks,
                            to_string(row.what.type),
                            or_empty(reduction_of(row)),
                            or_empty(root_of(row)),
                            placement_name(row.placement),
                            row.bytes().value(),
                            row.shape.count,
                            row.iterations);
        text += fmt::format("{},{},{},{},{},{},{},{}\n",
                            row.time.min * micro,
                            row.time.p50 * micro,
                            row.time.p95 * micro,
                            row.time.max * micro,
                            row.algbw_gbs(),
                            row.busbw_gbs(),
                            or_empty(row.wrong),
                            or_empty(predicted_us(row)));
    }
    return text;
}

}  // namespace traindyno
