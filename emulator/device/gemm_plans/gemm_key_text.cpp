// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <sstream>

#include <fmt/format.h>

#include "emulator/device/gemm_plans/gemm_key.hpp"

namespace traindyno {

namespace {

std::string_view suffix(Transpose transpose) {
    return transpose == Transpose::yes ? "^T" : "";
}

/// Takes "name=value" words off a text in order. Once a word does not fit, nothing does.
class Words {
  public:
    explicit Words(std::string_view text) : words_(std::string(text)) {}

    std::string value(std::string_view name) {
        std::string word;
        if (!(words_ >> word) || !word.starts_with(name)) {
            fits_ = false;
            return "";
        }
        return word.substr(name.size());
    }

    template <class Integer>
    void integer(std::string_view name, Integer& out) {
        const std::string text = value(name);
        const char* const end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, out);
        fits_ = fits_ && error == std::errc{} && rest == end;
    }

    template <class E>
    void choice(std::string_view text, E& out) {
        const std::optional<E> parsed = parse_enum<E>(text);
        fits_ = fits_ && parsed.has_value();
        out = parsed.value_or(E{});
    }

    void operand(std::string_view name, GemmType& type, Transpose& transpose) {
        const std::string text = value(name);
        std::string_view rest = text;
        transpose = rest.ends_with("^T") ? Transpose::yes : Transpose::no;
        rest.remove_suffix(suffix(transpose).size());
        choice(rest, type);
    }

    [[nodiscard]] bool all_fit() {
        std::string more;
        return fits_ && !(words_ >> more);
    }

  private:
    std::istringstream words_;
    bool fits_ = true;
};

}  // namespace

std::string to_text(const GemmKey& key) {
    return fmt::format(
        "m={} n={} k={} a={}{} b={}{} c{}={} compute={} epilogue={} reserved_sms={} alignment={}",
        key.m,
        key.n,
        key.k,
        to_string(key.type_a),
        suffix(key.transpose_a),
        to_string(key.type_b),
        suffix(key.transpose_b),
        key.accumulate == Accumulate::yes ? "+" : "",
        to_string(key.type_c),
        to_string(key.compute),
        to_string(key.epilogue),
        key.reserved_sms,
        key.alignment);
}

std::optional<GemmKey> parse_gemm_key(std::string_view text) {
    GemmKey key;
    Words words(text);
    words.integer("m=", key.m);
    words.integer("n=", key.n);
    words.integer("k=", key.k);
    words.operand("a=", key.type_a, key.transpose_a);
    words.operand("b=", key.type_b, key.transpose_b);
    const std::string c = words.value("c");
    key.accumulate = c.starts_with('+') ? Accumulate::yes : Accumulate::no;
    const std::string_view equals = key.accumulate == Accumulate::yes ? "+=" : "=";
    words.choice(c.starts_with(equals) ? c.substr(equals.size()) : "", key.type_c);
    words.choice(words.value("compute="), key.compute);
    words.choice(words.value("epilogue="), key.epilogue);
    words.integer("reserved_sms=", key.reserved_sms);
    words.integer("alignment=", key.alignment);
    return words.all_fit() ? std::optional(key) : std::nullopt;
}

}  // namespace traindyno
