// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/document.hpp"
#include "emulator/report/pipeline.hpp"
#include "emulator/report/report.hpp"
#include "emulator/report/sections.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

std::vector<KeyFigure> key_figures(const Study& study) {
    if (study.points.empty()) {
        return {};
    }
    const Point& base = study.points.front();
    const Point& largest = study.points.back();
    std::vector<KeyFigure> figures;
    if (study.points.size() > 1) {
        figures.push_back({.label = "Efficiency",
                           .value = percent(largest.efficiency, 1),
                           .note = interval_text(largest.efficiency_ci95)});
        figures.push_back(
            {.label = "Speed-up",
             .value = fmt::format("{:.2f}×", largest.tokens_per_second / base.tokens_per_second),
             .note = fmt::format(
                 "on {:.3g}× the ranks",
                 static_cast<double>(largest.ranks) / static_cast<double>(base.ranks))});
    }
    figures.push_back({.label = "Throughput",
                       .value = format_count(largest.tokens_per_second),
                       .note = "tokens per second"});
    if (largest.mfu) {
        figures.push_back(
            {.label = "MFU", .value = percent(*largest.mfu, 1), .note = "of dense peak"});
    }
    if (largest.joules_per_token) {
        figures.push_back({.label = "Energy",
                           .value = fmt::format("{:.3g} J", *largest.joules_per_token),
                           .note = "of the GPUs per token"});
    }
    figures.push_back({.label = "300 B tokens",
                       .value = format_seconds(largest.time_to_train.seconds),
                       .note = "linear: " + format_seconds(largest.time_to_train.ideal_seconds)});
    return figures;
}

std::vector<std::string> stamps(const Study& study) {
    std::vector<std::string> stamps;
    if (study.provenance == Provenance::predicted) {
        stamps.emplace_back("predicted, not measured");
    }
    stamps.insert(stamps.end(), study.flags_raised.begin(), study.flags_raised.end());
    return stamps;
}

}  // namespace

Document compose(const Study& study, const std::vector<std::string>& notes) {
    Document document{.headline = headline(study),
                      .subtitle = fmt::format("{} · {} scaling · {} · {} · {} host{} · {}",
                                              study.model.name,
                                              to_string(study.scaling),
                                              to_string(study.setup.precision),
                                              kind_of_result(study),
                                              study.environment.hosts.size(),
                                              study.environment.hosts.size() == 1 ? "" : "s",
                                              study.created),
                      .stamps = stamps(study),
                      .key_figures = key_figures(study),
                      .sections = {}};
    if (!study.points.empty()) {
        document.sections = {scaling_section(study),
                             budget_section(study),
                             loss_section(study),
                             definitions_section(study),
                             ranks_section(study),
                             collectives_section(study),
                             step_times_section(study),
                             training_section(study),
                             memory_section(study),
                             checks_section(study)};
        if (std::optional<Section> pipeline = pipeline_section(study)) {
            const auto ranks = std::find_if(
                document.sections.begin(), document.sections.end(), [](const Section& section) {
                    return section.id == "ranks";
                });
            document.sections.insert(ranks, std::move(*pipeline));
        }
        if (std::optional<Section> gpus = gpu_section(study)) {
            const auto after_ranks = std::find_if(
                document.sections.begin(), document.sections.end(), [](const Section& section) {
                    return section.id == "collectives";
                });
            document.sections.insert(after_ranks, std::move(*gpus));
        }
    }
    document.sections.push_back(environment_section(study));
    for (const std::string& note : notes) {
        document.sections.front().contents.insert(document.sections.front().contents.begin(),
                                                  Paragraph{note});
    }
    return document;
}

}  // namespace traindyno
