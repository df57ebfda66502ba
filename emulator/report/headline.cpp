// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/report.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

constexpr std::size_t named_terms = 3;
constexpr double worth_naming = 0.005;

/// Whole percents, with a decimal where it matters: below 10 % and around 100 %.
std::string spoken(double share) {
    const bool fine = std::abs(share) < 0.095 || std::abs(share - 1) < 0.05;
    const bool exact = std::abs(100 * share - std::round(100 * share)) < 0.05;
    return percent(share, fine && !exact ? 1 : 0);
}

std::string ranks_text(std::int64_t ranks) {
    return fmt::format("{} rank{}", grouped(ranks), ranks == 1 ? "" : "s");
}

/// "rank 5 on node-b" when one rank of the point is to blame for waiting.
std::string late_rank(const Study& study, const Point& point) {
    std::vector<const Straggler*> of_point;
    for (const Straggler& straggler : study.stragglers) {
        if (straggler.ranks == point.ranks) {
            of_point.push_back(&straggler);
        }
    }
    if (of_point.empty()) {
        return "";
    }
    if (of_point.size() > 1) {
        return fmt::format("{} slow ranks", of_point.size());
    }
    return fmt::format("rank {} on {}", of_point[0]->rank, of_point[0]->host);
}

std::string wrong_values(const Study& study) {
    for (const Point& point : study.points) {
        if (point.reduced_values_wrong > 0) {
            return fmt::format("WRONG RESULTS: {} of {} checked reduced values were wrong on {}. ",
                               grouped(point.reduced_values_wrong),
                               grouped(point.reduced_values_checked),
                               ranks_text(point.ranks));
        }
    }
    return "";
}

/// Flags up to their first colon: the stamps beside the headline have the rest.
std::string flags_text(const Study& study) {
    std::string text;
    for (const std::string& flag : study.flags_raised) {
        text +=
            fmt::format("{}{}", text.empty() ? " Flagged: " : ", ", flag.substr(0, flag.find(':')));
    }
    return text.empty() ? text : text + ".";
}

/// "; 11 % went to exposed dp traffic, 5 % to the pipeline bubble"
std::string losses_text(const std::vector<LossTerm>& terms) {
    std::string text;
    double rest = 0;
    std::size_t named = 0;
    for (const LossTerm& term : terms) {
        if (named < named_terms && term.share >= worth_naming) {
            text += fmt::format("{}{} {}to {}",
                                named == 0 ? "; " : ", ",
                                spoken(term.share),
                                named == 0 ? "went " : "",
                                term.loss_name);
            ++named;
        } else if (term.share > 0) {
            rest += term.share;
        }
    }
    if (named > 0 && rest >= worth_naming) {
        text += fmt::format(" and {} elsewhere", spoken(rest));
    }
    const LossTerm& gain = terms.back();
    if (gain.share <= -worth_naming) {
        text += fmt::format("; {} gave {} back", gain.name, spoken(-gain.share));
    }
    return text;
}

/// Where the step of a lone point goes: it has nothing to lose against.
std::string step_text(const Point& point) {
    if (!has_budget(point)) {
        return "";
    }
    std::string text;
    const auto terms = loss_terms(point.budget * (1 / point.step_seconds.mean), "");
    for (std::size_t i = 0; i < named_terms && terms[i].share >= worth_naming; ++i) {
        text += fmt::format("{}{} {}{}",
                            i == 0 ? "; " : ", ",
                            terms[i].name,
                            i == 0 ? "takes " : "",
                            spoken(terms[i].share));
    }
    return text + (text.empty() ? "" : " of the step");
}

std::string single_point(const Study& study, const Point& point) {
    const std::string seen = study.provenance == Provenance::predicted ? "would train" : "train";
    return fmt::format("{} {}{} {} at {} tokens/s{}. Efficiency needs a second rank count.",
                       ranks_text(point.ranks),
                       seen,
                       point.ranks == 1 && study.provenance == Provenance::measured ? "s" : "",
                       study.model.name,
                       grouped(point.tokens_per_second),
                       step_text(point));
}

std::string uncertainty(const Point& base, const Point& point) {
    const bool unsure =
        base.verdict == Verdict::not_enough_samples || point.verdict == Verdict::not_enough_samples;
    return unsure ? fmt::format(" (not enough samples: {})", interval_text(point.efficiency_ci95))
                  : "";
}

std::string comparison(const Study& study, const Point& base, const Point& point) {
    const bool predicted = study.provenance == Provenance::predicted;
    std::string text = fmt::format("On {} ", ranks_text(point.ranks));
    if (study.scaling == Scaling::strong) {
        text += fmt::format("the same batch {} {:.3g} times as fast as on {}: ",
                            predicted ? "would train" : "trains",
                            point.tokens_per_second / base.tokens_per_second,
                            grouped(base.ranks));
    }
    text += fmt::format(
        "you {} {} of linear", predicted ? "would keep" : "keep", spoken(point.efficiency));
    if (study.scaling == Scaling::weak && base.ranks > 1) {
        text += fmt::format(" from {}", ranks_text(base.ranks));
    }
    text += uncertainty(base, point);
    if (point.efficiency >= 1 + worth_naming) {
        text += ", more than linear";
    }
    if (has_budget(point)) {
        text += losses_text(loss_terms(point.loss, late_rank(study, point)));
    }
    return text + ".";
}

}  // namespace

std::string headline(const Study& study) {
    if (study.points.empty()) {
        return "No point was completed." + flags_text(study);
    }
    const Point& base = study.points.front();
    const Point& largest = study.points.back();
    const std::string answer =
        study.points.size() == 1 ? single_point(study, largest) : comparison(study, base, largest);
    return wrong_values(study) + answer + flags_text(study);
}

}  // namespace traindyno
