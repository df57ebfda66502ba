// SPDX-License-Identifier: Apache-2.0
// Writing studies as JSON.
#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "emulator/base/error.hpp"
#include "emulator/study/study_fields.hpp"
#include "emulator/study/study_json.hpp"

namespace traindyno {

namespace {

using Json = nlohmann::ordered_json;

/// Visitor that fills a JSON object.
class Writer {
  public:
    template <class T>
    void operator()(const char* key, const T& value) {
        object_[key] = encode(value);
    }

    template <class T>
    void unless_empty(const char* key, const std::optional<T>& value) {
        if (value) {
            (*this)(key, *value);
        }
    }

    template <class Container>
    void unless_empty(const char* key, const Container& values) {
        if (!values.empty()) {
            (*this)(key, values);
        }
    }

    template <detail::Record T>
    [[nodiscard]] static Json encode(const T& object) {
        Writer writer;
        detail::fields(object, writer);
        return std::move(writer.object_);
    }

  private:
    [[nodiscard]] static Json encode(const std::string& value) { return value; }

    [[nodiscard]] static Json encode(std::int64_t value) { return value; }

    [[nodiscard]] static Json encode(bool value) { return value; }

    [[nodiscard]] static Json encode(Bytes value) { return value.value(); }

    [[nodiscard]] static Json encode(double value) {
        TD_EXPECT(std::isfinite(value));
        return value;
    }

    template <detail::Enumeration E>
    [[nodiscard]] static Json encode(E value) {
        return std::string(to_string(value));
    }

    [[nodiscard]] static Json encode(const std::optional<double>& value) {
        return value ? encode(*value) : Json(nullptr);
    }

    [[nodiscard]] static Json encode(const std::array<double, 2>& interval) {
        return Json::array({encode(interval[0]), encode(interval[1])});
    }

    [[nodiscard]] static Json encode(const Budget& budget) {
        Json object = Json::object();
        for (std::size_t i = 0; i < enum_count<Category>; ++i) {
            const auto category = static_cast<Category>(i);
            object[std::string(to_string(category))] = encode(budget[category]);
        }
        return object;
    }

    [[nodiscard]] static Json encode(const std::vector<MemoryItem>& items) {
        Json object = Json::object();
        for (const MemoryItem& item : items) {
            TD_EXPECT(!object.contains(item.name));
            object[item.name] = encode(item.bytes);
        }
        return object;
    }

    [[nodiscard]] static Json encode(const std::map<std::string, std::string>& map) {
        Json object = Json::object();
        for (const auto& [key, value] : map) {
            object[key] = value;
        }
        return object;
    }

    template <class T>
    [[nodiscard]] static Json encode(const std::vector<T>& values) {
        Json array = Json::array();
        for (const T& value : values) {
            array.push_back(encode(value));
        }
        return array;
    }

    Json object_ = Json::object();
};

std::string dump(const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <class T>
std::string encode_document(const T& value, std::string_view schema) {
    Json json = Json::object();
    json["schema"] = std::string(schema);
    json.update(Writer::encode(value));
    return dump(json);
}

}  // namespace

std::string to_json(const Study& study) {
    return encode_document(study, study_schema);
}

std::string to_json(const Point& point) {
    return encode_document(point, point_schema);
}

}  // namespace traindyno
