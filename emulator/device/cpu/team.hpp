// SPDX-License-Identifier: Apache-2.0
// The OpenMP threads that compute, each on its core.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <vector>

#include <omp.h>

namespace traindyno {

/// Threads of one device. Every parallel loop of the kernels goes through here.
class Team {
  public:
    Team(std::vector<int> cores, int threads);

    [[nodiscard]] int threads() const { return threads_; }

    /// Makes the calling thread the team's master: bound to all the team's cores, since threads
    /// that OpenMP starts later inherit its binding, and the size of every OpenMP region from it.
    void adopt_this_thread() const;

    /// body(begin, end, thread) over [0, n), one contiguous range per thread, split at multiples of
    /// `align`. Serial when n is at most `serial_below`.
    template <class Body>
    void for_ranges(std::int64_t n,
                    std::int64_t align,
                    std::int64_t serial_below,
                    const Body& body) const;

    /// body(item, thread) for every item in [0, n), handed out one by one.
    template <class Body>
    void for_items(std::int64_t n, const Body& body) const;

  private:
    /// Binds a thread OpenMP has started since the last region and sets its rounding mode.
    void settle(int thread) const;

    std::vector<int> cores_;
    int threads_;
};

template <class Body>
void Team::for_ranges(std::int64_t n,
                      std::int64_t align,
                      std::int64_t serial_below,
                      const Body& body) const {
    if (threads_ == 1 || n <= serial_below) {
        body(std::int64_t{0}, n, 0);
        return;
    }
#pragma omp parallel num_threads(threads_)
    {
        const int thread = omp_get_thread_num();
        settle(thread);
        const std::int64_t blocks = (n + align - 1) / align;
        const std::int64_t parts = omp_get_num_threads();
        const std::int64_t begin = std::min(n, blocks * thread / parts * align);
        const std::int64_t end = std::min(n, blocks * (thread + 1) / parts * align);
        if (begin < end) {
            body(begin, end, thread);
        }
    }
}

template <class Body>
void Team::for_items(std::int64_t n, const Body& body) const {
    std::exception_ptr failure;  // an exception must not leave the parallel region
#pragma omp parallel num_threads(threads_)
    {
        const int thread = omp_get_thread_num();
        settle(thread);
#pragma omp for schedule(dynamic)
        for (std::int64_t item = 0; item < n; ++item) {
            try {
                body(item, thread);
            } catch (...) {
#pragma omp critical
                failure = std::current_exception();
            }
        }
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace traindyno
