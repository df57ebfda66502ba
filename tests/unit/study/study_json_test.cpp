// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/study_json.hpp"

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "emulator/base/error.hpp"
#include "tests/unit/study/sample_study.hpp"

namespace traindyno {
namespace {

using Json = nlohmann::ordered_json;

TEST(StudyJson, round_trip_keeps_every_field) {
    for (const Study& study :
         {test::weak_study(), test::strong_study(), test::gpu_study(), Study{}}) {
        Study original = study;
        original.model.seq = 2048;
        EXPECT_EQ(parse_study(to_json(original), "study.json"), original);
    }
}

TEST(StudyJson, round_trip_keeps_fields_of_a_point_that_are_rarely_set) {
    Point point = test::strong_study().points.back();
    point.mfu = 1.0 / 3;
    point.hfu.reset();
    point.reduced_values_wrong = 3;
    point.layout.cp = 5;
    EXPECT_EQ(parse_point(to_json(point), "point-64.json"), point);
}

TEST(StudyJson, keys_are_those_of_the_documented_schema) {
    const Json json = Json::parse(to_json(test::weak_study()));
    EXPECT_EQ(json.at("schema"), "traindyno.study/1");
    EXPECT_EQ(json.at("model").at("parameters"), 125'226'240.0);
    const Json& point = json.at("points").at(3);
    EXPECT_EQ(point.at("ranks"), 8);
    EXPECT_EQ(point.at("layout").at("dp"), 8);
    EXPECT_EQ(point.at("step_seconds").at("ci95").size(), 2U);
    EXPECT_EQ(point.at("step_seconds").at("samples").size(), 48U);
    EXPECT_TRUE(point.at("budget_seconds").contains("exposed_dp"));
    EXPECT_TRUE(point.at("loss").contains("bubble"));
    EXPECT_EQ(point.at("memory_bytes").at("adam_m"), 500'904'960);
    EXPECT_EQ(point.at("checks").at("reduced_values_wrong"), 0);
    EXPECT_EQ(point.at("efficiency_ci95").size(), 2U);
    EXPECT_TRUE(point.at("collectives").at(0).contains("busbw_gbs"));
}

TEST(StudyJson, studies_without_gpus_do_not_mention_them) {
    const Json json = Json::parse(to_json(test::weak_study()));
    for (const char* key : {"devices", "gpu_libraries", "nccl"}) {
        EXPECT_FALSE(json.at("environment").contains(key)) << key;
    }
    const Json& point = json.at("points").at(0);
    EXPECT_FALSE(point.contains("energy_joules"));
    EXPECT_FALSE(point.contains("joules_per_token"));
    EXPECT_FALSE(point.at("ranks_detail").at(0).contains("gpu"));
}

TEST(StudyJson, what_a_gpu_does_not_tell_is_null) {
    Study study = test::gpu_study();
    study.points[0].ranks_detail[0].gpu->energy_joules.reset();
    const Json json = Json::parse(to_json(study));
    const Json& gpu = json.at("points").at(0).at("ranks_detail").at(0).at("gpu");
    EXPECT_TRUE(gpu.at("energy_joules").is_null());
    EXPECT_EQ(gpu.at("mean_power_watts"), 500.0);
    EXPECT_EQ(json.at("environment").at("devices").at(7).at("uuid"), "GPU-7");
    EXPECT_EQ(parse_study(json.dump(), "study.json"), study);
}

TEST(StudyJson, numbers_that_are_not_finite_are_our_bug) {
    Study study = test::weak_study();
    study.points[0].loss[Category::bubble] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THROW((void)to_json(study), ContractError);
}

TEST(StudyJson, text_that_is_not_utf8_is_still_written) {
    Study study = test::weak_study();
    study.environment.env["OMPI_X"] = "bad \xff byte";
    const Study read = parse_study(to_json(study), "study.json");
    EXPECT_EQ(read.environment.env.at("OMPI_X"), "bad \xef\xbf\xbd byte");  // U+FFFD
}

/// The problems found in the weak study after `change`.
template <class Change>
std::vector<std::string> problems_after(Change change) {
    Json json = Json::parse(to_json(test::weak_study()));
    change(json);
    try {
        (void)parse_study(json.dump(), "r1/study.json");
    } catch (const ConfigError& error) {
        return error.problems();
    }
    return {};
}

void expect_one(const std::vector<std::string>& problems, const std::string& start) {
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].substr(0, start.size()), start);
}

TEST(StudyJson, an_unknown_key_is_refused_by_name) {
    expect_one(problems_after([](Json& json) { json["points"][2]["speed"] = 1; }),
               "r1/study.json: points[2].speed: unknown key");
}

TEST(StudyJson, a_missing_key_is_refused_by_name) {
    expect_one(problems_after([](Json& json) { json["points"][1]["step_seconds"].erase("mean"); }),
               "r1/study.json: points[1].step_seconds.mean: missing");
}

TEST(StudyJson, a_gpu_is_whole_or_absent) {
    Json json = Json::parse(to_json(test::gpu_study()));
    json["points"][0]["ranks_detail"][0]["gpu"].erase("seconds");
    try {
        (void)parse_study(json.dump(), "r1/study.json");
        FAIL() << "accepted";
    } catch (const ConfigError& error) {
        expect_one(error.problems(),
                   "r1/study.json: points[0].ranks_detail[0].gpu.seconds: missing");
    }
}

TEST(StudyJson, a_wrong_type_is_refused_with_both_types) {
    expect_one(problems_after([](Json& json) { json["points"][0]["ranks"] = "one"; }),
               "r1/study.json: points[0].ranks: expected a 64-bit integer, found a string");
    expect_one(problems_after([](Json& json) { json["points"][0]["ranks"] = 1.5; }),
               "r1/study.json: points[0].ranks: expected a 64-bit integer, found a number");
    expect_one(problems_after([](Json& json) { json["points"][0]["efficiency_ci95"] = {1.0}; }),
               "r1/study.json: points[0].efficiency_ci95: expected an array of two numbers");
    expect_one(problems_after([](Json& json) { json["model"]["gated_mlp"] = nullptr; }),
               "r1/study.json: model.gated_mlp: expected true or false, found null");
    expect_one(problems_after([](Json& json) { json["environment"] = Json::array(); }),
               "r1/study.json: environment: expected an object, found an array");
}

TEST(StudyJson, an_integer_beyond_64_bits_is_refused) {
    expect_one(problems_after([](Json& json) { json["model"]["hidden"] = 1ULL << 63U; }),
               "r1/study.json: model.hidden: expected a 64-bit integer");
}

TEST(StudyJson, an_unknown_name_lists_the_known_ones) {
    const auto problems = problems_after([](Json& json) { json["scaling"] = "sideways"; });
    expect_one(problems, "r1/study.json: scaling: 'sideways' is not known");
    EXPECT_NE(problems[0].find("weak or strong"), std::string::npos);
}

TEST(StudyJson, a_category_that_nobody_knows_is_refused) {
    expect_one(problems_after([](Json& json) { json["points"][0]["loss"]["luck"] = 0.1; }),
               "r1/study.json: points[0].loss.luck: unknown key");
}

TEST(StudyJson, values_that_no_run_gives_are_refused) {
    expect_one(problems_after([](Json& json) { json["points"][0]["ranks"] = 0; }),
               "r1/study.json: points[0].ranks: less than 1");
    expect_one(problems_after([](Json& json) { json["points"][0]["step_seconds"]["mean"] = 0; }),
               "r1/study.json: points[0].step_seconds.mean: not positive");
    expect_one(problems_after([](Json& json) { json["points"][0]["layout"]["dp"] = -1; }),
               "r1/study.json: points[0].layout: has a size less than 1");
}

TEST(StudyJson, all_problems_are_listed_at_once) {
    EXPECT_EQ(problems_after([](Json& json) {
                  json["device"] = 1;
                  json["setup"].erase("micro_batch");
                  json["colour"] = "red";
              }).size(),
              3U);
}

TEST(StudyJson, another_schema_is_refused_before_anything_else) {
    expect_one(problems_after([](Json& json) {
                   json["schema"] = "traindyno.study/2";
                   json["new_key"] = 1;
               }),
               "r1/study.json: schema: expected \"traindyno.study/1\"");
    expect_one(problems_after([](Json& json) { json.erase("schema"); }),
               "r1/study.json: schema: expected");
}

TEST(StudyJson, every_truncation_is_refused_with_its_place) {
    const std::string text = to_json(test::weak_study());
    for (std::size_t size = 0; size + 2 < text.size(); size += 97) {
        try {
            (void)parse_study(text.substr(0, size), "study.json");
            FAIL() << "accepted " << size << " bytes";
        } catch (const ConfigError& error) {
            EXPECT_EQ(std::string(error.what()).find("study.json: not JSON at line "), 0U);
        }
    }
}

TEST(StudyJson, numbers_too_large_for_a_double_are_refused) {
    EXPECT_THROW((void)parse_study("{\"schema\": 1e999}", "study.json"), ConfigError);
    EXPECT_THROW((void)parse_study("[1, 2]", "study.json"), ConfigError);
}

}  // namespace
}  // namespace traindyno
