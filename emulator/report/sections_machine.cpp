// SPDX-License-Identifier: Apache-2.0
// Sections about the machine: ranks, traffic, step times, memory, checks, environment.
#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/palette.hpp"
#include "emulator/report/sections.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

/// Longer rank tables show stragglers and the ranks that compute longest; charts/ and study.json
/// have all.
constexpr std::size_t listed_ranks = 32;

bool is_straggler(const Study& study, const Point& point, const RankDetail& rank) {
    return std::any_of(study.stragglers.begin(), study.stragglers.end(), [&](const Straggler& s) {
        return s.ranks == point.ranks && s.rank == rank.rank;
    });
}

Table ranks_table(const Study& study, const Point& point) {
    std::vector<RankDetail> ranks = point.ranks_detail;
    std::string caption = fmt::format("Ranks of the {}-rank point", grouped(point.ranks));
    if (ranks.size() > listed_ranks) {
        std::sort(ranks.begin(), ranks.end(), [&](const RankDetail& a, const RankDetail& b) {
            return std::pair(is_straggler(study, point, a), a.compute_seconds) >
                   std::pair(is_straggler(study, point, b), b.compute_seconds);
        });
        ranks.resize(listed_ranks);
        caption += fmt::format(": stragglers and those with most compute, {} in all", listed_ranks);
    }
    Table table{.caption = std::move(caption),
                .columns = {{"Rank"},
                            {"Host", Align::left},
                            {"Device", Align::left},
                            {"Compute, s"},
                            {"z"},
                            {"Lateness, s"},
                            {"z"},
                            {"Resident memory"}},
                .rows = {}};
    double longest = 0;
    for (const RankDetail& rank : ranks) {
        longest = std::max(longest, rank.compute_seconds);
    }
    for (const RankDetail& rank : ranks) {
        const bool odd = is_straggler(study, point, rank);
        table.rows.push_back(
            {{.text = grouped(rank.rank), .alarm = odd},
             {rank.host},
             {rank.device},
             {.text = fmt::format("{:.4f}", rank.compute_seconds),
              .bar = longest > 0 ? std::clamp(rank.compute_seconds / longest, 0.0, 1.0) : 0,
              .bar_colour = std::string(odd ? alarm_colour : measured_colour)},
             {fmt::format("{:.1f}", rank.compute_z)},
             {fmt::format("{:.4f}", rank.lateness_seconds)},
             {fmt::format("{:.1f}", rank.lateness_z)},
             {format_bytes(Bytes{rank.resident_bytes})}});
    }
    return table;
}

Table stragglers_table(const Study& study) {
    Table table{.caption = "Stragglers of all points",
                .columns = {{"Ranks"},
                            {"Rank"},
                            {"Host", Align::left},
                            {"Device", Align::left},
                            {"Reason", Align::left}},
                .rows = {}};
    for (const Straggler& straggler : study.stragglers) {
        table.rows.push_back({{grouped(straggler.ranks)},
                              {.text = grouped(straggler.rank), .alarm = true},
                              {straggler.host},
                              {straggler.device},
                              {straggler.reason}});
    }
    return table;
}

Table hosts_table(const EnvironmentInfo& environment) {
    Table table{.caption = "Hosts",
                .columns = {{"Name", Align::left},
                            {"Processor", Align::left},
                            {"Cores"},
                            {"Memory"},
                            {"Kernel", Align::left}},
                .rows = {}};
    for (const HostInfo& host : environment.hosts) {
        table.rows.push_back({{host.name},
                              {host.cpu},
                              {grouped(host.cores)},
                              {format_bytes(Bytes{host.memory_bytes})},
                              {host.kernel}});
    }
    return table;
}

std::string or_none(const std::string& text) {
    return text.empty() ? "none" : text;
}

/// How many tokens the experts take.
std::string described_load(const TrainingSetup& setup) {
    if (setup.capacity_factor > 0) {
        return fmt::format("{:g} times the equal share", setup.capacity_factor);
    }
    return setup.expert_skew > 0 ? fmt::format("by Zipf's law, exponent {:g}", setup.expert_skew)
                                 : "balanced";
}

Table model_table(const Study& study) {
    const Model& model = study.model;
    const TrainingSetup& setup = study.setup;
    Table table{.caption = "Workload",
                .columns = {{"Setting", Align::left}, {"Value", Align::left}},
                .rows = {}};
    const auto add = [&](const std::string& name, const std::string& value) {
        table.rows.push_back({{name}, {value}});
    };
    add("Model",
        fmt::format("{}: {} layers, hidden {}, {} heads of {} ({} key/value), ffn {}{}",
                    model.name,
                    model.layers,
                    model.hidden,
                    model.heads,
                    model.head_size,
                    model.kv_heads,
                    model.ffn,
                    model.gated_mlp ? " gated" : ""));
    if (model.experts > 0) {
        add("Experts",
            fmt::format("{} of width {}, {} per token, {} shared; {} layers without; load {}",
                        model.experts,
                        model.expert_ffn,
                        model.top_k,
                        model.shared_experts,
                        model.dense_layers,
                        described_load(setup)));
    }
    add("Sequence and vocabulary",
        fmt::format("{} tokens, {} words", model.seq, grouped(model.vocab)));
    add("Parameters", grouped(study.parameters));
    add("FLOPs per token", fmt::format("{:.4g}", study.flops_per_token));
    add("Precision", described(setup.precision));
    add("Micro-batch", fmt::format("{} sequences", setup.micro_batch));
    add("Recomputation", std::string(to_string(setup.recompute)));
    add("Pipeline schedule", std::string(to_string(setup.schedule)));
    add("Gradient bucket", format_bytes(setup.bucket));
    add("Gradient overlap", std::string(to_string(setup.overlap_gradients)));
    add("Transfer overlap", std::string(to_string(setup.overlap_p2p)));
    add("Sequence parallelism", std::string(to_string(setup.sequence_parallel)));
    if (std::any_of(study.points.begin(), study.points.end(), [](const Point& point) {
            return point.layout.cp > 1;
        })) {
        add("Context parallelism", context_text(setup));
    }
    add("Tensor-parallel overlap", std::string(to_string(setup.overlap_tp)));
    if (setup.zero != Zero::none) {
        add("ZeRO stage", std::string(to_string(setup.zero)));
        add("Parameter overlap", std::string(to_string(setup.overlap_parameters)));
    }
    if (setup.gradient_type != DType::fp32) {
        add("Main gradients", std::string(to_string(setup.gradient_type)));
    }
    add("Memory", std::string(to_string(setup.memory)));
    add("Device", study.device + (study.machine.empty() ? "" : ", timed as " + study.machine));
    return table;
}

Table software_table(const Study& study) {
    const EnvironmentInfo& environment = study.environment;
    return {.caption = "Software and placement",
            .columns = {{"Item", Align::left}, {"Value", Align::left}},
            .rows = {{{"traindyno"}, {study.version}},
                     {{"Created"}, {study.created}},
                     {{"MPI"}, {or_none(environment.mpi)}},
                     {{"Compute library"}, {or_none(environment.compute_library)}},
                     {{"Binding"}, {or_none(environment.binding)}},
                     {{"Clock"}, {or_none(environment.clock)}},
                     {{"Clock error"}, {format_seconds(environment.clock_error_seconds)}}}};
}

}  // namespace

Section ranks_section(const Study& study) {
    const Point& point = study.points.back();
    Section section{.id = "ranks", .title = "Ranks", .contents = {}};
    if (point.ranks_detail.empty()) {
        section.contents.emplace_back(Paragraph{"There are no figures per rank."});
        return section;
    }
    section.contents.emplace_back(Figures{{"rank_compute", "rank_lateness"}});
    if (study.stragglers.empty()) {
        section.contents.emplace_back(
            Paragraph{"No rank stands out: none is beyond a robust z-score of 3.5 and 5 % of its "
                      "peers."});
    } else {
        section.contents.emplace_back(stragglers_table(study));
    }
    section.contents.emplace_back(ranks_table(study, point));
    section.contents.emplace_back(Paragraph{
        "Peers are the ranks of the same pipeline stage. z is (value − median) / (1.4826 · median "
        "absolute deviation). Lateness sums, over a step's communications, how much later than the "
        "earliest member the rank arrived."});
    return section;
}

Section collectives_section(const Study& study) {
    Table table{.caption = "Per rank and step",
                .columns = {{"Ranks"},
                            {"Operation", Align::left},
                            {"Group", Align::left},
                            {"Algorithm", Align::left},
                            {"Group size"},
                            {"Calls"},
                            {"Bytes"},
                            {"Time"},
                            {"algbw, GB/s"},
                            {"busbw, GB/s"}},
                .rows = {}};
    for (const Point& point : study.points) {
        for (const CollectiveRow& row : point.collectives) {
            table.rows.push_back({{grouped(point.ranks)},
                                  {row.kind},
                                  {row.group},
                                  {row.algorithm.empty() ? "–" : row.algorithm},
                                  {grouped(row.ranks)},
                                  {grouped(row.count)},
                                  {format_bytes(Bytes{row.bytes})},
                                  {format_seconds(row.seconds)},
                                  {fmt::format("{:.3g}", row.algbw_gbs)},
                                  {fmt::format("{:.3g}", row.busbw_gbs)}});
        }
    }
    Section section{.id = "collectives", .title = "Communication", .contents = {}};
    if (table.rows.empty()) {
        section.contents.emplace_back(Paragraph{"Nothing was communicated."});
        return section;
    }
    section.contents.emplace_back(std::move(table));
    section.contents.emplace_back(
        Paragraph{"Time runs from the arrival of the latest member to completion, so waiting for a "
                  "late peer is "
                  "not counted against the network. algbw is bytes over time; busbw multiplies it "
                  "by 2(n−1)/n "
                  "for all-reduce, as nccl-tests does, and compares across group sizes."});
    return section;
}

Section step_times_section(const Study& study) {
    Table table{.caption = "Step times",
                .columns = {{"Ranks"},
                            {"Sequences"},
                            {"Warm-up steps"},
                            {"Measured steps"},
                            {"Least"},
                            {"Median"},
                            {"Mean"},
                            {"95th percentile"},
                            {"Most"}},
                .rows = {}};
    bool sampled = false;
    for (const Point& point : study.points) {
        const StepSeconds& step = point.step_seconds;
        sampled = sampled || !step.samples.empty();
        table.rows.push_back({{grouped(point.ranks)},
                              {grouped(point.global_batch)},
                              {grouped(point.warmup_steps)},
                              {grouped(point.steps)},
                              {format_seconds(step.min)},
                              {format_seconds(step.median)},
                              {format_seconds(step.mean)},
                              {format_seconds(step.p95)},
                              {format_seconds(step.max)}});
    }
    Section section{.id = "step-times", .title = "Step times", .contents = {}};
    if (sampled) {
        section.contents.emplace_back(Figures{{"step_times"}});
    }
    section.contents.emplace_back(std::move(table));
    return section;
}

Section memory_section(const Study& study) {
    std::vector<std::string> names;
    for (const Point& point : study.points) {
        for (const MemoryItem& item : point.memory) {
            if (std::find(names.begin(), names.end(), item.name) == names.end()) {
                names.push_back(item.name);
            }
        }
    }
    Table table{.caption = "Of the rank that needs most",
                .columns = {{"Item", Align::left}},
                .rows = {},
                .last_row = LastRow::sum};
    for (const Point& point : study.points) {
        table.columns.push_back({ranks_title(point)});
    }
    const auto row_of = [&](const std::string& title, const auto& bytes_at) {
        std::vector<Cell> row{{title}};
        for (const Point& point : study.points) {
            row.push_back({format_bytes(bytes_at(point))});
        }
        return row;
    };
    const auto sum_of = [](const Point& point, const std::string* name) {
        Bytes sum;
        for (const MemoryItem& item : point.memory) {
            if (name == nullptr || item.name == *name) {
                sum += item.bytes;
            }
        }
        return sum;
    };
    for (const std::string& name : names) {
        table.rows.push_back(
            row_of(name, [&](const Point& point) { return sum_of(point, &name); }));
    }
    table.rows.push_back(row_of("Sum", [&](const Point& point) { return sum_of(point, nullptr); }));
    return {.id = "memory", .title = "Memory", .contents = {std::move(table)}};
}

Section checks_section(const Study& study) {
    Table table{.caption = "Reduced values compared with their closed form inside the measured run",
                .columns = {{"Ranks"}, {"Checked"}, {"Wrong"}},
                .rows = {}};
    for (const Point& point : study.points) {
        table.rows.push_back({{grouped(point.ranks)},
                              {grouped(point.reduced_values_checked)},
                              {.text = grouped(point.reduced_values_wrong),
                               .alarm = point.reduced_values_wrong > 0}});
    }
    return {.id = "checks", .title = "Checks", .contents = {std::move(table)}};
}

Section environment_section(const Study& study) {
    Section section{.id = "environment", .title = "To repeat this", .contents = {}};
    if (!study.commands.empty()) {
        section.contents.emplace_back(
            Preformatted{fmt::format("{}", fmt::join(study.commands, "\n"))});
    }
    section.contents.emplace_back(model_table(study));
    section.contents.emplace_back(software_table(study));
    if (!study.environment.hosts.empty()) {
        section.contents.emplace_back(hosts_table(study.environment));
    }
    for (Content& content : gpu_environment(study.environment)) {
        section.contents.push_back(std::move(content));
    }
    if (!study.environment.env.empty()) {
        std::string variables;
        for (const auto& [name, value] : study.environment.env) {
            variables += fmt::format("{}{}={}", variables.empty() ? "" : "\n", name, value);
        }
        section.contents.emplace_back(Paragraph{"Environment variables that were set:"});
        section.contents.emplace_back(Preformatted{std::move(variables)});
    }
    section.contents.emplace_back(
        Paragraph{study.flags_raised.empty()
                      ? "No flags were raised."
                      : fmt::format("Flags raised: {}.", fmt::join(study.flags_raised, "; "))});
    return section;
}

}  // namespace traindyno
