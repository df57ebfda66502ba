// SPDX-License-Identifier: Apache-2.0
#include "emulator/trace/budget.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace traindyno {

double Budget::total() const {
    return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

Budget operator+(const Budget& a, const Budget& b) {
    Budget sum;
    std::transform(
        a.seconds.begin(), a.seconds.end(), b.seconds.begin(), sum.seconds.begin(), std::plus<>{});
    return sum;
}

Budget operator-(const Budget& a, const Budget& b) {
    return a + b * -1.0;
}

Budget operator*(const Budget& a, double scale) {
    Budget scaled = a;
    for (double& value : scaled.seconds) {
        value *= scale;
    }
    return scaled;
}

}  // namespace traindyno
