// SPDX-License-Identifier: Apache-2.0
#include "emulator/importer/arguments.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

namespace traindyno {

namespace {

/// A word, or the end of a command.
struct Word {
    std::optional<std::string> text;
    int line = 1;
};

bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

class ShellReader {
  public:
    explicit ShellReader(std::string_view text) : text_(text) {}

    [[nodiscard]] std::vector<Word> words() {
        while (at_ < text_.size()) {
            step();
        }
        end_word();
        return std::move(words_);
    }

  private:
    void step() {
        const char c = text_[at_];
        if (c == '\\' && at_ + 1 < text_.size()) {
            escape();
        } else if (c == '\'') {
            quote_single();
        } else if (c == '"') {
            quote_double();
        } else if (c == '$') {
            expand_and_split();
        } else if (c == '#' && !open_) {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (is_blank(c)) {
            end_word();
            ++at_;
        } else if (c == '(' && text_.substr(at_).starts_with("([")) {
            take_pattern();
        } else if (c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')') {
            end_word();
            separate(c);
            ++at_;
        } else {
            take(c);
            ++at_;
        }
    }

    void take(char c) {
        word_ += c;
        open_ = true;
    }

    /// Megatron's patterns of layers, "([0]*3+[1]*58)", whose quotes an outer shell may have taken.
    void take_pattern() {
        const std::size_t close = std::min(text_.find(')', at_), text_.size() - 1);
        for (; at_ <= close; ++at_) {
            take(text_[at_]);
        }
    }

    void escape() {
        if (text_[at_ + 1] == '\n') {
            ++line_;
        } else {
            take(text_[at_ + 1]);
        }
        at_ += 2;
    }

    void quote_single() {
        open_ = true;
        for (++at_; at_ < text_.size() && text_[at_] != '\''; ++at_) {
            line_ += text_[at_] == '\n' ? 1 : 0;
            word_ += text_[at_];
        }
        ++at_;
    }

    void quote_double() {
        open_ = true;
        ++at_;
        while (at_ < text_.size() && text_[at_] != '"') {
            const char c = text_[at_];
            if (c == '\\' && at_ + 1 < text_.size()) {
                escape();
            } else if (c == '$') {
                word_ += expand();
            } else {
                line_ += c == '\n' ? 1 : 0;
                word_ += c;
                ++at_;
            }
        }
        ++at_;
    }

    /// Outside quotes a variable's value is split into words.
    void expand_and_split() {
        for (const char c : expand()) {
            if (is_blank(c) || c == '\n') {
                end_word();
            } else {
                take(c);
            }
        }
    }

    /// The value of the variable at `at_`, which moves behind it.
    std::string expand() {
        const std::size_t begin = at_++;
        const bool braces = at_ < text_.size() && text_[at_] == '{';
        at_ += braces ? 1 : 0;
        const std::size_t name_begin = at_;
        while (at_ < text_.size() && is_name(text_[at_])) {
            ++at_;
        }
        const std::string name(text_.substr(name_begin, at_ - name_begin));
        std::string_view rest;
        if (braces) {
            const std::size_t close = std::min(text_.find('}', at_), text_.size());
            rest = text_.substr(at_, close - at_);
            at_ = std::min(close + 1, text_.size());
        }
        if (rest.starts_with('[')) {
            return "";  // a list, whose words were read where it was set
        }
        if (const auto found = variables_.find(name); found != variables_.end()) {
            return found->second;
        }
        if (rest.starts_with(":-")) {
            return std::string(rest.substr(2));
        }
        return std::string(text_.substr(begin, at_ - begin));
    }

    void separate(char c) {
        depth_ += c == '(' ? 1 : c == ')' ? -1 : 0;
        line_ += c == '\n' ? 1 : 0;
        if (c != '\n' || depth_ <= 0) {
            words_.push_back({.text = std::nullopt, .line = line_});
        }
    }

    void end_word() {
        if (!open_) {
            return;
        }
        const std::size_t equals = word_.find('=');
        if (equals != std::string::npos && is_variable(word_.substr(0, equals))) {
            variables_[word_.substr(0, equals)] = word_.substr(equals + 1);
        } else {
            words_.push_back({.text = word_, .line = line_});
        }
        word_.clear();
        open_ = false;
    }

    static bool is_variable(const std::string& name) {
        bool all = !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0;
        for (const char c : name) {
            all = all && is_name(c);
        }
        return all;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int line_ = 1;
    int depth_ = 0;      ///< of parentheses, in which lines do not end commands
    std::string word_;   ///< under construction
    bool open_ = false;  ///< there is one, though it may be empty
    std::map<std::string, std::string> variables_;
    std::vector<Word> words_;
};

}  // namespace

std::vector<Argument> arguments_in(std::string_view text) {
    std::vector<Argument> arguments;
    bool takes_values = false;
    for (const Word& word : ShellReader(text).words()) {
        if (!word.text) {
            takes_values = false;
        } else if (word.text->starts_with("--") && word.text->size() > 2) {
            const std::size_t equals = word.text->find('=');
            arguments.push_back(
                {.name = word.text->substr(0, equals), .values = {}, .line = word.line});
            takes_values = true;
            if (equals != std::string::npos) {
                arguments.back().values.push_back(word.text->substr(equals + 1));
                takes_values = false;
            }
        } else if (takes_values) {
            arguments.back().values.push_back(*word.text);
        }
    }
    return arguments;
}

}  // namespace traindyno
