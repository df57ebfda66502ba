// SPDX-License-Identifier: Apache-2.0
#include "tests/property/random_cases.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace traindyno::test {

namespace {

constexpr double least_kept = 0.1;

bool valid(const Case& at) {
    return problems_of(at.model, at.layout, at.setup).empty();
}

/// A check that throws has found something, too.
std::string found_by(const Check& check, const Case& at) {
    try {
        return check(at);
    } catch (const std::exception& error) {
        return error.what();
    }
}

void report(const std::string& where,
            const std::string& problem,
            const Choices& failing,
            const Check& check) {
    Choices original = failing;
    Choices simple = shrunk(failing, check);
    const Case at = case_of(simple);
    ADD_FAILURE() << where << ":\n"
                  << problem << "\n"
                  << reproduction(case_of(original)) << "\nShrunk:\n"
                  << found_by(check, at) << "\n"
                  << reproduction(at);
}

}  // namespace

RandomCases::RandomCases(std::uint64_t seed) : random_(seed) {
    for (const Dimension& dimension : dimensions()) {
        seen_.emplace_back(dimension.choices.size());
    }
}

Choices RandomCases::next() {
    for (;;) {
        Choices choices;
        for (const Dimension& dimension : dimensions()) {
            choices.push_back(random_() % dimension.choices.size());
        }
        ++drawn_;
        const Case at = case_of(choices);
        if (!valid(at)) {
            continue;
        }
        ++kept_;
        for (std::size_t i = 0; i < choices.size(); ++i) {
            seen_[i][choices[i]] += dimensions()[i].matters(at) ? 1 : 0;
        }
        return choices;
    }
}

double RandomCases::kept() const {
    return static_cast<double>(kept_) / static_cast<double>(drawn_);
}

std::vector<std::string> RandomCases::seen_less_than(std::int64_t least) const {
    std::vector<std::string> rare;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
        for (std::size_t choice = 0; choice < seen_[i].size(); ++choice) {
            if (seen_[i][choice] < least) {
                const Dimension& dimension = dimensions()[i];
                rare.push_back(fmt::format(
                    "{}: {} ({})", dimension.name, dimension.choices[choice], seen_[i][choice]));
            }
        }
    }
    return rare;
}

Choices shrunk(Choices failing, const Check& check) {
    const auto fails = [&](Choices& choices) {
        const Case at = case_of(choices);
        return valid(at) && !found_by(check, at).empty();
    };
    for (bool simpler = true; simpler;) {
        simpler = false;
        for (std::size_t i = 0; i < failing.size(); ++i) {
            for (std::size_t choice = 0; choice < failing[i]; ++choice) {
                Choices candidate = failing;
                candidate[i] = choice;
                if (fails(candidate)) {
                    failing = candidate;
                    simpler = true;
                    break;
                }
            }
        }
    }
    return failing;
}

void check_cases(std::int64_t count, const Check& check) {
    const auto given = static_cast<std::uint64_t>(::testing::GTEST_FLAG(random_seed));
    const std::uint64_t seed = given == 0 ? 1 : given;
    RandomCases cases(seed);
    for (std::int64_t number = 0; number < count; ++number) {
        Choices choices = cases.next();
        const std::string problem = found_by(check, case_of(choices));
        if (!problem.empty()) {
            report(fmt::format("Case {} of seed {} (--gtest_random_seed={})", number, seed, seed),
                   problem,
                   choices,
                   check);
            return;
        }
    }
    EXPECT_GE(cases.kept(), least_kept);
    EXPECT_EQ(cases.seen_less_than(count / 200), std::vector<std::string>{}) << "seed " << seed;
}

}  // namespace traindyno::test
