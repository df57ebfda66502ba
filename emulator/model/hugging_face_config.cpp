// SPDX-License-Identifier: Apache-2.0
#include "emulator/model/hugging_face_config.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/base/config_files.hpp"

namespace traindyno {

namespace {

using Json = nlohmann::json;

bool is_whole(const Json& value) {
    return value.is_number_integer() &&
           !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
}

}  // namespace

HuggingFaceConfig::HuggingFaceConfig(std::filesystem::path path)
    : path_(std::move(path)), json_(std::make_unique<Json>()) {
    const std::string text = read_text_file(path_);
    try {
        *json_ = Json::parse(text);
    } catch (const Json::parse_error& error) {
        const auto before = std::min(error.byte, text.size());
        const auto line =
            1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(before), '\n');
        throw ConfigError({fmt::format(
            "{}:{}: not valid JSON (parsing stopped here) get the file anew or correct it",
            path_.string(),
            line)});
    }
    if (!json_->is_object()) {
        throw ConfigError(
            {fmt::format("{}: is not a model configuration (a JSON object is needed) name a "
                         "Hugging Face config.json",
                         path_.string())});
    }
}

HuggingFaceConfig::~HuggingFaceConfig() = default;

bool HuggingFaceConfig::has(const char* key) const {
    return json_->contains(key) && !json_->at(key).is_null();
}

std::int64_t HuggingFaceConfig::integer(const char* key) {
    if (!has(key)) {
        report(key, "is missing (this family always has it) add it");
        return 0;
    }
    return integer_or(key, 0);
}

std::int64_t HuggingFaceConfig::integer_or(const char* key, std::int64_t fallback) {
    if (!has(key)) {
        return fallback;
    }
    const Json& value = json_->at(key);
    if (!is_whole(value)) {
        report(key,
               fmt::format(
                   "is {} (a whole number is needed) write it like \"{}\": 12", value.dump(), key));
        return fallback;
    }
    return value.get<std::int64_t>();
}

double HuggingFaceConfig::number_or(const char* key, double fallback) const {
    return has(key) && json_->at(key).is_number() ? json_->at(key).get<double>() : fallback;
}

bool HuggingFaceConfig::flag_or(const char* key, bool fallback) {
    if (!has(key)) {
        return fallback;
    }
    const Json& value = json_->at(key);
    if (!value.is_boolean()) {
        report(
            key,
            fmt::format(
                "is {} (true or false is needed) write it like \"{}\": true", value.dump(), key));
        return fallback;
    }
    return value.get<bool>();
}

std::string HuggingFaceConfig::text_or(const char* key, std::string fallback) const {
    return has(key) && json_->at(key).is_string() ? json_->at(key).get<std::string>()
                                                  : std::move(fallback);
}

std::vector<std::int64_t> HuggingFaceConfig::list(const char* key) {
    std::vector<std::int64_t> values;
    if (!has(key)) {
        return values;
    }
    const Json& array = json_->at(key);
    if (!array.is_array() || !std::all_of(array.begin(), array.end(), is_whole)) {
        report(key,
               fmt::format("is {} (a list of whole numbers is needed) write it like \"{}\": [0]",
                           array.dump(),
                           key));
        return values;
    }
    return array.get<std::vector<std::int64_t>>();
}

void HuggingFaceConfig::report(std::string_view key, std::string_view problem) {
    reported_.emplace_back(key);
    problems_.add(fmt::format("{}: {}: {}", path_.string(), key, problem));
}

bool HuggingFaceConfig::reported(std::string_view key) const {
    return std::find(reported_.begin(), reported_.end(), key) != reported_.end();
}

void HuggingFaceConfig::leave_out(std::string_view key, std::string_view what) {
    left_out_.push_back(fmt::format("{}: {}", key, what));
}

}  // namespace traindyno
