// SPDX-License-Identifier: Apache-2.0
// Reading studies from JSON, strictly.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emulator/base/error.hpp"
#include "emulator/study/study_fields.hpp"
#include "emulator/study/study_json.hpp"

namespace traindyno {

namespace {

using Json = nlohmann::ordered_json;

/// Where problems go: the file, and everything found in it so far.
struct Reading {
    std::string_view file;
    Problems problems;

    void wrong(const std::string& key, std::string_view what, std::string_view suggestion) {
        problems.add(fmt::format("{}: {}: {} {}", file, key, what, suggestion));
    }
};

std::string_view type_name(const Json& json) {
    if (json.is_number_integer()) {
        return "an integer";
    }
    if (json.is_number()) {
        return "a number";
    }
    if (json.is_string()) {
        return "a string";
    }
    if (json.is_array()) {
        return "an array";
    }
    if (json.is_object()) {
        return "an object";
    }
    return json.is_null() ? "null" : "true or false";
}

/// Visitor that takes members out of a JSON object and remembers which keys it knew.
class Reader {
  public:
    Reader(const Json& object, std::string path, Reading& reading)
        : object_(object), path_(std::move(path)), reading_(reading) {}

    template <class T>
    void operator()(const char* key, T& member) {
        known_.emplace_back(key);
        const auto found = object_.find(key);
        if (found == object_.end()) {
            reading_.wrong(
                path_of(key), "missing", "(the file is damaged or was edited) restore it");
            return;
        }
        decode(*found, path_of(key), member);
    }

    template <class T>
    void unless_empty(const char* key, std::optional<T>& member) {
        member.reset();
        if (object_.contains(key)) {
            (*this)(key, member.emplace());
        }
        know(key);
    }

    template <class Container>
    void unless_empty(const char* key, Container& member) {
        member.clear();
        if (object_.contains(key)) {
            (*this)(key, member);
        }
        know(key);
    }

    void refuse_unknown() const {
        for (const auto& [key, value] : object_.items()) {
            if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
                reading_.wrong(
                    path_of(key), "unknown key", "(its meaning would be lost) remove it");
            }
        }
    }

    void know(const char* key) { known_.emplace_back(key); }

  private:
    [[nodiscard]] std::string path_of(const std::string& key) const {
        return path_.empty() ? key : path_ + "." + key;
    }

    [[nodiscard]] bool expect(bool holds,
                              const Json& json,
                              const std::string& path,
                              std::string_view type) {
        if (!holds) {
            reading_.wrong(path,
                           fmt::format("expected {}, found {}", type, type_name(json)),
                           "(the file is damaged or was edited) restore it");
        }
        return holds;
    }

    void decode(const Json& json, const std::string& path, std::string& value) {
        if (expect(json.is_string(), json, path, "a string")) {
            value = json.get<std::string>();
        }
    }

    void decode(const Json& json, const std::string& path, bool& value) {
        if (expect(json.is_boolean(), json, path, "true or false")) {
            value = json.get<bool>();
        }
    }

    void decode(const Json& json, const std::string& path, std::int64_t& value) {
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        const bool fits = json.is_number_integer() &&
                          !(json.is_number_unsigned() && json.get<std::uint64_t>() > most);
        if (expect(fits, json, path, "a 64-bit integer")) {
            value = json.get<std::int64_t>();
        }
    }

    void decode(const Json& json, const std::string& path, Bytes& value) {
        std::int64_t bytes = 0;
        decode(json, path, bytes);
        value = Bytes{bytes};
    }

    void decode(const Json& json, const std::string& path, double& value) {
        if (expect(json.is_number(), json, path, "a number")) {
            value = json.get<double>();
        }
    }

    void decode(const Json& json, const std::string& path, std::optional<double>& value) {
        value.reset();
        if (!json.is_null()) {
            decode(json, path, value.emplace());
        }
    }

    template <detail::Enumeration E>
    void decode(const Json& json, const std::string& path, E& value) {
        if (!expect(json.is_string(), json, path, "a string")) {
            return;
        }
        const auto text = json.get<std::string>();
        if (const std::optional<E> parsed = parse_enum<E>(text)) {
            value = *parsed;
        } else {
            reading_.wrong(path,
                           fmt::format("'{}' is not known", text),
                           fmt::format("use {}", enum_choices<E>()));
        }
    }

    void decode(const Json& json, const std::string& path, std::array<double, 2>& interval) {
        if (expect(json.is_array() && json.size() == 2, json, path, "an array of two numbers")) {
            decode(json[0], path + "[0]", interval[0]);
            decode(json[1], path + "[1]", interval[1]);
        }
    }

    void decode(const Json& json, const std::string& path, Budget& budget) {
        if (!expect(json.is_object(), json, path, "an object")) {
            return;
        }
        Reader reader(json, path, reading_);
        for (std::size_t i = 0; i < enum_count<Category>; ++i) {
            const auto category = static_cast<Category>(i);
            reader(std::string(to_string(category)).c_str(), budget[category]);
        }
        reader.refuse_unknown();
    }

    void decode(const Json& json, const std::string& path, std::vector<MemoryItem>& items) {
        items.clear();
        if (!expect(json.is_object(), json, path, "an object")) {
            return;
        }
        for (const auto& [name, bytes] : json.items()) {
            items.push_back({.name = name, .bytes = Bytes{}});
            decode(bytes, fmt::format("{}.{}", path, name), items.back().bytes);
        }
    }

    void decode(const Json& json,
                const std::string& path,
                std::map<std::string, std::string>& map) {
        map.clear();
        if (!expect(json.is_object(), json, path, "an object")) {
            return;
        }
        for (const auto& [key, value] : json.items()) {
            decode(value, fmt::format("{}.{}", path, key), map[key]);
        }
    }

    template <class T>
    void decode(const Json& json, const std::string& path, std::vector<T>& values) {
        values.clear();
        if (!expect(json.is_array(), json, path, "an array")) {
            return;
        }
        values.resize(json.size());
        for (std::size_t i = 0; i < json.size(); ++i) {
            decode(json[i], fmt::format("{}[{}]", path, i), values[i]);
        }
    }

    template <detail::Record T>
    void decode(const Json& json, const std::string& path, T& object) {
        if (!expect(json.is_object(), json, path, "an object")) {
            return;
        }
        Reader reader(json, path, reading_);
        detail::fields(object, reader);
        reader.refuse_unknown();
    }

    const Json& object_;
    std::string path_;
    Reading& reading_;
    std::vector<std::string> known_;
};

std::string line_and_column(std::string_view text, std::size_t byte) {
    const std::string_view before = text.substr(0, std::min(byte, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 = 0: the first line
    return fmt::format("line {}, column {}", line, before.size() - line_start);
}

Json parse_json(std::string_view text, std::string_view file) {
    try {
        return Json::parse(text);
    } catch (const Json::parse_error& error) {
        throw ConfigError({fmt::format(
            "{}: not JSON at {} (the file is truncated or damaged) restore it or measure again",
            file,
            line_and_column(text, error.byte))});
    } catch (const Json::exception&) {
        throw ConfigError({fmt::format(
            "{}: a number is too large for JSON (the file is damaged) restore it", file)});
    }
}

void expect_schema(const Json& json, std::string_view expected, Reading& reading) {
    const auto found = json.find("schema");
    if (found == json.end() || !found->is_string() || found->get<std::string>() != expected) {
        throw ConfigError({fmt::format(
            R"({}: schema: expected "{}" (this is another kind of file, or another version's) )"
            "read it with the traindyno that wrote it",
            reading.file,
            expected)});
    }
}

// Derivations divide by these.
void check_values(const Point& point, const std::string& path, Reading& reading) {
    const auto expect = [&](bool holds, std::string_view key, std::string_view what) {
        if (!holds) {
            reading.wrong(
                fmt::format("{}{}", path, key), what, "(no run can give that) restore it");
        }
    };
    expect(point.ranks >= 1, "ranks", "less than 1");
    const Layout& layout = point.layout;
    const bool positive =
        layout.tp >= 1 && layout.cp >= 1 && layout.ep >= 1 && layout.dp >= 1 && layout.pp >= 1;
    expect(positive, "layout", "has a size less than 1");
    expect(point.global_batch >= 1, "global_batch", "less than 1");
    expect(point.step_seconds.mean > 0, "step_seconds.mean", "not positive");
    for (const double sample : point.step_seconds.samples) {
        expect(sample > 0, "step_seconds.samples", "not positive");
    }
}

template <class T>
T decode_document(std::string_view text,
                  std::string_view file,
                  std::string_view schema,
                  Reading& reading) {
    const Json json = parse_json(text, file);
    if (!json.is_object()) {
        throw ConfigError({fmt::format(
            "{}: expected an object, found {} (this is no result of traindyno) name another file",
            file,
            type_name(json))});
    }
    expect_schema(json, schema, reading);
    T value;
    Reader reader(json, "", reading);
    reader.know("schema");
    detail::fields(value, reader);
    reader.refuse_unknown();
    reading.problems.throw_if_any();
    return value;
}

}  // namespace

Study parse_study(std::string_view text, std::string_view file) {
    Reading reading{.file = file, .problems = {}};
    auto study = decode_document<Study>(text, file, study_schema, reading);
    for (std::size_t i = 0; i < study.points.size(); ++i) {
        check_values(study.points[i], fmt::format("points[{}].", i), reading);
    }
    if (study.model.seq < 1) {
        reading.wrong("model.seq", "less than 1", "(no run can give that) restore it");
    }
    reading.problems.throw_if_any();
    return study;
}

Point parse_point(std::string_view text, std::string_view file) {
    Reading reading{.file = file, .problems = {}};
    auto point = decode_document<Point>(text, file, point_schema, reading);
    check_values(point, "", reading);
    reading.problems.throw_if_any();
    return point;
}

}  // namespace traindyno
