// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/wording.hpp"

#include <gtest/gtest.h>

#include "emulator/report/palette.hpp"
#include "emulator/report/report.hpp"
#include "emulator/study/analysis.hpp"
#include "tests/unit/study/sample_study.hpp"

namespace traindyno {
namespace {

TEST(Wording, figures_are_grouped_and_zero_has_no_sign) {
    EXPECT_EQ(grouped(std::int64_t{0}), "0");
    EXPECT_EQ(grouped(std::int64_t{999}), "999");
    EXPECT_EQ(grouped(std::int64_t{1000}), "1,000");
    EXPECT_EQ(grouped(std::int64_t{-1234567}), "-1,234,567");
    EXPECT_EQ(grouped(12345.6), "12,346");
    EXPECT_EQ(grouped(3.14159), "3.14");
    EXPECT_EQ(percent(0.8149, 1), "81.5 %");
    EXPECT_EQ(percent(-0.00001, 2), "0.00 %");
    EXPECT_EQ(percent(-0.021, 1), "-2.1 %");
}

TEST(Wording, layouts_name_the_dimensions_that_are_used) {
    EXPECT_EQ(layout_text({}), "single");
    EXPECT_EQ(layout_text({.dp = 8}), "dp8");
    EXPECT_EQ(layout_text({.tp = 2, .dp = 4, .pp = 2}), "tp2 pp2 dp4");
}

TEST(Wording, loss_terms_keep_the_sum_and_put_the_largest_first) {
    Budget shares;
    double value = 0.001;
    for (double& share : shares.seconds) {
        share = value;
        value += 0.001;
    }
    const std::vector<LossTerm> terms = loss_terms(shares, "");
    double sum = 0;
    for (const LossTerm& term : terms) {
        sum += term.share;
    }
    EXPECT_NEAR(sum, shares.total(), 1e-15);
    EXPECT_EQ(terms.front().loss_name, "waiting for late peers");
}

TEST(Wording, budget_sums_keep_the_total) {
    const Budget budget = test::strong_study().points.back().budget;
    const BudgetSummary sums = sums_of(budget);
    EXPECT_NEAR(sums.compute + sums.slowdown + sums.exposed + sums.wait + sums.bubble + sums.other,
                budget.total(),
                1e-15);
}

TEST(Palette, no_two_categories_look_or_read_the_same) {
    const std::vector<Category> categories = all_categories();
    for (std::size_t a = 0; a < categories.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            EXPECT_NE(look_of(categories[a]).label, look_of(categories[b]).label);
            EXPECT_NE(look_of(categories[a]).colour, look_of(categories[b]).colour);
        }
    }
}

/// A weak study of two points with 10 s steps, of which `lost` go to `category` on the larger.
Study losing(Category category, double lost) {
    Study study;
    study.model.name = "gpt3-125m";
    study.model.seq = 100;
    Point one;
    one.ranks = 1;
    one.global_batch = 1;
    one.budget[Category::compute_backward] = 10 - lost;
    one.step_seconds.mean = 10 - lost;
    Point eight = one;
    eight.ranks = 8;
    eight.layout.dp = 8;
    eight.global_batch = 8;
    eight.budget[category] += lost;
    eight.step_seconds.mean = 10;
    study.points = {one, eight};
    complete(study);
    return study;
}

TEST(Headline, names_what_is_kept_and_where_the_rest_went) {
    EXPECT_EQ(headline(losing(Category::exposed_dp, 2)),
              "On 8 ranks you keep 80 % of linear; 20 % went to exposed dp traffic.");
    EXPECT_EQ(
        headline(losing(Category::compute_backward, 1)),
        "On 8 ranks you keep 90 % of linear; 10 % went to slower forward and backward compute.");
}

TEST(Headline, names_the_three_largest_causes_and_the_straggler) {
    const std::string text = headline(test::weak_study());
    EXPECT_EQ(
        text.find("On 8 ranks you keep 83 % of linear; 12 % went to exposed dp traffic, 3.3 % "
                  "to waiting for rank 5 on node-b, 2.5 % to"),
        0U)
        << text;
}

TEST(Headline, strong_scaling_speaks_of_the_same_batch) {
    const std::string text = headline(test::strong_study());
    EXPECT_EQ(
        text.find("On 64 ranks the same batch trains 10.4 times as fast as on 4: you keep 65 % "
                  "of linear (not enough samples: "),
        0U)
        << text;
    EXPECT_NE(text.find("Flagged: oversubscribed."), std::string::npos);
}

TEST(Headline, nothing_lost_is_said_without_causes) {
    EXPECT_EQ(headline(losing(Category::exposed_dp, 0)), "On 8 ranks you keep 100 % of linear.");
}

TEST(Headline, more_than_linear_says_who_gave_back) {
    EXPECT_EQ(
        headline(losing(Category::compute_backward, -2)),
        "On 8 ranks you keep 120 % of linear, more than linear; forward and backward compute gave "
        "20 % back.");
}

TEST(Headline, a_single_point_tells_its_rate_and_where_its_step_goes) {
    Study study = losing(Category::exposed_dp, 2);
    study.points.erase(study.points.begin());
    complete(study);
    EXPECT_EQ(
        headline(study),
        "8 ranks train gpt3-125m at 80 tokens/s; forward and backward compute takes 80 %, exposed "
        "dp traffic 20 % of the step. Efficiency needs a second rank count.");
}

TEST(Headline, a_single_rank_trains) {
    Study study = losing(Category::exposed_dp, 2);
    study.points.pop_back();
    EXPECT_EQ(headline(study).find("1 rank trains gpt3-125m at 12.5 tokens/s"), 0U)
        << headline(study);
}

TEST(Headline, wrong_values_come_first) {
    Study study = losing(Category::exposed_dp, 2);
    study.points[1].reduced_values_checked = 4000;
    study.points[1].reduced_values_wrong = 3;
    EXPECT_EQ(headline(study).find(
                  "WRONG RESULTS: 3 of 4,000 checked reduced values were wrong on 8 ranks. "),
              0U);
}

TEST(Headline, predictions_are_conditional) {
    Study study = losing(Category::bubble, 2);
    study.provenance = Provenance::predicted;
    EXPECT_EQ(headline(study),
              "On 8 ranks you would keep 80 % of linear; 20 % went to the pipeline bubble.");
}

TEST(Headline, no_points_and_untraced_points_claim_nothing) {
    EXPECT_EQ(headline(Study{}), "No point was completed.");
    Study study = losing(Category::exposed_dp, 2);
    for (Point& point : study.points) {
        point.budget = Budget{};
    }
    complete(study);
    EXPECT_EQ(headline(study), "On 8 ranks you keep 80 % of linear.");
}

}  // namespace
}  // namespace traindyno
