// SPDX-License-Identifier: Apache-2.0
// The generator itself: reproducible, and failing cases lose what does not matter.
#include "tests/property/random_cases.hpp"

#include <algorithm>
#include <stdexcept>

#include <gtest/gtest.h>

namespace traindyno::test {

TEST(RandomCases, are_the_same_for_the_same_seed) {
    RandomCases first(5);
    RandomCases second(5);
    RandomCases other(6);
    std::int64_t different = 0;
    for (int i = 0; i < 20; ++i) {
        const Choices choices = first.next();
        EXPECT_EQ(choices, second.next());
        different += choices == other.next() ? 0 : 1;
    }
    EXPECT_EQ(different, 20);
}

TEST(RandomCases, shrink_to_what_a_failure_needs) {
    const auto check = [](const Case& at) {
        return at.setup.zero >= Zero::gradients && at.layout.pp > 2 ? "fails" : "";
    };
    RandomCases cases(1);
    Choices failing = cases.next();
    while (std::string(check(case_of(failing))).empty()) {
        failing = cases.next();
    }
    Choices simple = shrunk(failing, check);
    const Case at = case_of(simple);
    EXPECT_EQ(at.setup.zero, Zero::gradients);
    EXPECT_EQ(at.layout.pp, 3);
    EXPECT_EQ(std::count(simple.begin(), simple.end(), 0U),
              static_cast<std::ptrdiff_t>(simple.size()) - 2);
}

TEST(RandomCases, that_throw_fail) {
    RandomCases cases(1);
    const Choices simple = shrunk(
        cases.next(), [](const Case&) -> std::string { throw std::runtime_error("always"); });
    EXPECT_EQ(std::count(simple.begin(), simple.end(), 0U),
              static_cast<std::ptrdiff_t>(simple.size()));
}

}  // namespace traindyno::test
