// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/charts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "emulator/report/palette.hpp"
#include "emulator/report/pipeline.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

using detail::script_head;

constexpr double year_seconds = 365.0 * 86400;
constexpr double day_seconds = 86400;

/// Smaller shares would be thinner than a line.
constexpr double drawn_share = 0.001;

/// Samples drawn per point; the CSV and study.json keep all.
constexpr std::size_t drawn_samples = 400;

/// Ranks double from point to point: a logarithmic axis with a tic at each.
std::string rank_axis(const Study& study) {
    std::string tics;
    for (const Point& point : study.points) {
        tics += fmt::format(
            R"({}"{}" {})", tics.empty() ? "" : ", ", grouped(point.ranks), point.ranks);
    }
    const auto first = static_cast<double>(study.points.front().ranks);
    const auto last = static_cast<double>(study.points.back().ranks);
    return fmt::format(
        "set xlabel \"ranks\"\nset logscale x 2\nset xtics ({})\nset xrange [{}:{}]\n",
        tics,
        first / 1.25,
        last * 1.25);
}

bool spans_decades(const Study& study) {
    return study.points.back().ranks > 16 * study.points.front().ranks;
}

Chart throughput(const Study& study) {
    Chart chart{.name = "throughput",
                .title = "Throughput",
                .caption = "Tokens per second of all ranks. Band: 95 % interval of the step time.",
                .csv = "ranks,tokens_per_second,low,high,ideal\n",
                .script = script_head("throughput")};
    const Point& base = study.points.front();
    for (const Point& point : study.points) {
        const StepSeconds& step = point.step_seconds;
        const double ideal = base.tokens_per_second / static_cast<double>(base.ranks) *
                             static_cast<double>(point.ranks);
        chart.csv += fmt::format("{},{},{},{},{}\n",
                                 point.ranks,
                                 point.tokens_per_second,
                                 point.tokens_per_second * step.median / step.ci95[1],
                                 point.tokens_per_second * step.median / step.ci95[0],
                                 ideal);
    }
    chart.script += rank_axis(study);
    const bool thousands = study.points.back().tokens_per_second >= 1e4;
    const double unit = thousands ? 1e3 : 1;
    chart.script += spans_decades(study)
                        ? "set logscale y 10\n"
                        : fmt::format("unset logscale x\nset yrange [0:*]\nset xrange [0:{}]\n",
                                      1.04 * static_cast<double>(study.points.back().ranks));
    chart.script += fmt::format(
        "set ylabel \"{4}tokens per second\"\nunit = {5}\n"
        R"(plot "throughput.csv" skip 1 using 1:($5/unit) with lines dashtype 2 linewidth 1.5 )"
        "linecolor rgb \"{1}\" title \"linear\", \\\n"
        R"(  "" skip 1 using 1:($3/unit):($4/unit) with filledcurves fillcolor rgb "#c0{2}" )"
        "notitle, \\\n"
        R"(  "" skip 1 using 1:($2/unit) with linespoints pointtype 7 pointsize 0.7 linewidth 2 )"
        "linecolor rgb \"{0}\" title \"{3}\"\n",
        measured_colour,
        ideal_colour,
        measured_colour.substr(1),
        to_string(study.provenance),
        thousands ? "thousand " : "",
        unit);
    return chart;
}

Chart efficiency(const Study& study) {
    Chart chart{.name = "efficiency",
                .title = "Scaling efficiency",
                .caption = "Share of linear scaling that is kept, with its 95 % interval.",
                .csv = "ranks,efficiency_percent,low,high,label\n",
                .script = script_head("efficiency")};
    double most = 100;
    for (const Point& point : study.points) {
        most = std::max(most, 100 * point.efficiency_ci95[1]);
        chart.csv += fmt::format("{},{:.3f},{:.3f},{:.3f},{}\n",
                                 point.ranks,
                                 100 * point.efficiency,
                                 100 * point.efficiency_ci95[0],
                                 100 * point.efficiency_ci95[1],
                                 percent(point.efficiency, 0));
    }
    chart.script += rank_axis(study);
    chart.script += fmt::format(
        "set ylabel \"% of linear\"\nset yrange [0:{0}]\n"
        "plot 100 with lines dashtype 2 linewidth 1.5 linecolor rgb \"{2}\" title \"linear\", \\\n"
        R"(  "efficiency.csv" skip 1 using 1:3:4 with filledcurves fillcolor rgb "#c0{3}" )"
        "notitle, \\\n"
        R"(  "" skip 1 using 1:3:(0):($4-$3) with vectors nohead linewidth 1.5 )"
        "linecolor rgb \"{1}\" notitle, \\\n"
        R"(  "" skip 1 using 1:2 with linespoints pointtype 7 pointsize 0.7 linewidth 2 )"
        "linecolor rgb \"{1}\" title \"{4}\", \\\n"
        "  \"\" skip 1 using 1:2:5 with labels offset 0,-1.2 notitle\n",
        std::ceil(most / 20) * 20 + 10,
        measured_colour,
        ideal_colour,
        measured_colour.substr(1),
        to_string(study.provenance));
    return chart;
}

/// Bars per point, stacked by category; `scale` turns a value of a point into percent. chart.script
/// holds what the axes need.
Chart stacked(Chart chart,
              const std::vector<Point>& points,
              Budget Point::*budget,
              double (*scale)(const Point&)) {
    std::vector<Category> drawn;
    for (const Category category : all_categories()) {
        const bool visible = std::any_of(points.begin(), points.end(), [&](const Point& point) {
            return std::abs((point.*budget)[category] * scale(point)) >= 100 * drawn_share;
        });
        if (visible) {
            drawn.push_back(category);
        }
    }
    chart.csv = "ranks";
    for (const Category category : drawn) {
        chart.csv += fmt::format(",{}", to_string(category));
    }
    for (const Point& point : points) {
        chart.csv += fmt::format("\n{}", point.ranks);
        for (const Category category : drawn) {
            chart.csv += fmt::format(",{:.4f}", (point.*budget)[category] * scale(point));
        }
    }
    chart.csv += "\n";
    // The legend takes two columns below the plot, which keeps its height. gnuplot thinks text
    // wider than it is (hence width -4) and would make a single column of long labels.
    chart.script =
        script_head(chart.name, 320 + 18 * ((drawn.size() + 1) / 2)) + chart.script +
        "set style data histograms\nset style histogram rowstacked\nset xlabel \"ranks\"\n"
        "set key below left horizontal Left reverse maxcols 2 width -4 font \",11\"\nplot ";
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        const CategoryLook look = look_of(drawn[i]);
        chart.script +=
            fmt::format(R"({}"{}" skip 1 using {}:xtic(1) linecolor rgb "{}" title "{}")",
                        i == 0 ? "" : ", \\\n  ",
                        i == 0 ? chart.name + ".csv" : "",
                        i + 2,
                        look.colour,
                        look.label);
    }
    return chart;
}

Chart budget(const Study& study) {
    Chart chart = stacked(
        {.name = "budget",
         .title = "Step by category",
         .caption = "Mean step in percent of the step that linear scaling would give (dashed).",
         .csv = "",
         .script = "set ylabel \"% of the ideal step\"\nset yrange [0:*]\n"},
        study.points,
        &Point::budget,
        [](const Point& point) { return 100 / (point.step_seconds.mean * point.efficiency); });
    chart.script += fmt::format(
        ", \\\n  100 with lines dashtype 2 linewidth 1.5 linecolor rgb \"{}\" notitle\n",
        ideal_colour);
    return chart;
}

Chart loss(const Study& study) {
    const std::vector<Point> beyond_first(study.points.begin() + 1, study.points.end());
    Chart chart =
        stacked({.name = "loss",
                 .title = "Where the efficiency went",
                 .caption = "Percent of linear scaling lost, by cause. Bars below zero are "
                            "gains; a bar's sum is 1 - E.",
                 .csv = "",
                 .script = "set ylabel \"% of linear lost\"\n"},
                beyond_first,
                &Point::loss,
                [](const Point&) { return 100.0; });
    chart.script += "\n";
    return chart;
}

Chart ranks_chart(const Study& study,
                  const std::string& name,
                  const std::string& title,
                  const std::string& caption,
                  double RankDetail::*field) {
    const Point& point = study.points.back();
    Chart chart{.name = name,
                .title = title,
                .caption = caption,
                .csv = "rank,seconds,straggler\n",
                .script = script_head(name)};
    for (const RankDetail& rank : point.ranks_detail) {
        const bool odd = std::any_of(
            study.stragglers.begin(), study.stragglers.end(), [&](const Straggler& straggler) {
                return straggler.ranks == point.ranks && straggler.rank == rank.rank;
            });
        chart.csv += fmt::format("{},{},{}\n", rank.rank, rank.*field, odd ? 1 : 0);
    }
    chart.script += fmt::format(
        "set xlabel \"rank\"\nset ylabel \"seconds per step\"\nset yrange [0:*]\nunset key\n"
        "set xrange [-0.8:{1}]\n{4}"
        "colour(straggler) = straggler == 1 ? 0x{2} : 0x{3}\n"
        "plot \"{0}.csv\" skip 1 using 1:2:(colour($3)) with boxes linecolor rgb variable\n",
        name,
        static_cast<double>(point.ranks) - 0.2,
        alarm_colour.substr(1),
        measured_colour.substr(1),
        point.ranks <= 16 ? "set xtics 1\n" : "");  // gnuplot's own would have fractions
    return chart;
}

Chart step_times(const Study& study) {
    Chart chart{.name = "step_times",
                .title = "Every measured step",
                .caption = "Relative to the median of the point.",
                .csv = "point,spread,percent_from_median,ranks\n",
                .script = script_head("step_times")};
    std::string tics;
    for (std::size_t p = 0; p < study.points.size(); ++p) {
        const Point& point = study.points[p];
        tics += fmt::format(R"({}"{}" {})", p == 0 ? "" : ", ", grouped(point.ranks), p);
        const std::vector<double>& samples = point.step_seconds.samples;
        const std::size_t stride = samples.size() / drawn_samples + 1;
        for (std::size_t i = 0; i < samples.size(); i += stride) {
            // Golden-ratio steps spread neighbours evenly over the width.
            const double spread = std::fmod(0.618034 * static_cast<double>(i), 1.0) - 0.5;
            chart.csv += fmt::format("{},{:.3f},{:.4f},{}\n",
                                     p,
                                     spread,
                                     100 * (samples[i] / point.step_seconds.median - 1),
                                     point.ranks);
        }
    }
    chart.script += fmt::format(
        "set xlabel \"ranks\"\nset ylabel \"% from the median\"\nset xtics ({})\n"
        "set xrange [-0.6:{}]\nunset key\n"
        "plot 0 with lines linewidth 1.5 linecolor rgb \"{}\", \\\n"
        R"(  "step_times.csv" skip 1 using ($1 + 0.5 * $2):3 with points pointtype 7 pointsize )"
        "0.45 "
        "linecolor rgb \"#80{}\"\n",
        tics,
        static_cast<double>(study.points.size()) - 0.4,
        ideal_colour,
        measured_colour.substr(1));
    return chart;
}

Chart time_to_train(const Study& study) {
    const bool in_years = study.points.back().time_to_train.seconds > 2 * year_seconds;
    const double unit = in_years ? year_seconds : day_seconds;
    Chart chart{.name = "time_to_train",
                .title = "Time to train on 300 B tokens",
                .caption = "GPT-3's training run at each point's rate, and at linear scaling.",
                .csv = in_years ? "ranks,years,ideal_years\n" : "ranks,days,ideal_days\n",
                .script = script_head("time_to_train")};
    for (const Point& point : study.points) {
        chart.csv += fmt::format("{},{},{}\n",
                                 point.ranks,
                                 point.time_to_train.seconds / unit,
                                 point.time_to_train.ideal_seconds / unit);
    }
    const double most = study.points.front().time_to_train.seconds;
    const double least = study.points.back().time_to_train.ideal_seconds;
    chart.script += rank_axis(study);
    chart.script += fmt::format(
        "set ylabel \"{0}\"\n{4}\n"
        R"(plot "time_to_train.csv" skip 1 using 1:3 with lines dashtype 2 linewidth 1.5 )"
        "linecolor rgb \"{2}\" title \"linear\", \\\n"
        R"(  "" skip 1 using 1:2 with linespoints pointtype 7 pointsize 0.7 linewidth 2 )"
        "linecolor rgb \"{1}\" title \"{3}\"\n",
        in_years ? "years" : "days",
        measured_colour,
        ideal_colour,
        to_string(study.provenance),
        most > 30 * least ? "set logscale y 10" : "set yrange [0:*]");
    return chart;
}

}  // namespace

std::string detail::script_head(const std::string& name, std::size_t height) {
    return fmt::format(
        "# gnuplot {0}.gp  (reads {0}.csv, writes {0}.svg)\n"
        "set terminal svg size 520,{1} dynamic noenhanced font \"sans-serif,14\"\n"
        "set output \"{0}.svg\"\n"
        "set datafile separator \",\"\n"
        "set border 3 linecolor rgb \"#777777\"\n"
        "set tics nomirror scale 0.5\n"
        "set grid ytics linecolor rgb \"#dddddd\" linetype 1 linewidth 1\n"
        "set key above left horizontal Left reverse samplen 1.4 spacing 1.2\n"
        "set style fill solid 1.0 border linecolor rgb \"#ffffff\"\n"
        "set boxwidth 0.7\n",
        name,
        height);
}

std::vector<Chart> charts_of(const Study& study) {
    std::vector<Chart> charts;
    if (study.points.empty()) {
        return charts;
    }
    const bool budgets = std::any_of(study.points.begin(), study.points.end(), has_budget);
    if (study.points.size() > 1) {
        charts.push_back(throughput(study));
        charts.push_back(efficiency(study));
    }
    if (budgets) {
        charts.push_back(budget(study));
    }
    if (budgets && !categories_in(study.points, &Point::loss, drawn_share).empty()) {
        charts.push_back(loss(study));
    }
    if (const std::optional<DrawnPipeline> drawn = drawn_pipeline(study)) {
        charts.push_back(schedule_chart(*drawn));
    }
    if (!study.points.back().ranks_detail.empty()) {
        charts.push_back(
            ranks_chart(study,
                        "rank_compute",
                        "Compute per rank",
                        "Own compute time per step, largest point. Orange: stragglers.",
                        &RankDetail::compute_seconds));
        charts.push_back(ranks_chart(study,
                                     "rank_lateness",
                                     "Lateness per rank",
                                     "How much later than the first each rank arrived, summed over "
                                     "the step's communications, largest point.",
                                     &RankDetail::lateness_seconds));
    }
    if (std::optional<Chart> clocks = clocks_chart(study.points.back())) {
        charts.push_back(std::move(*clocks));
    }
    const bool sampled = std::any_of(study.points.begin(), study.points.end(), [](const Point& p) {
        return !p.step_seconds.samples.empty();
    });
    if (sampled) {
        charts.push_back(step_times(study));
    }
    if (study.points.size() > 1) {
        charts.push_back(time_to_train(study));
    }
    return charts;
}

}  // namespace traindyno
