// SPDX-License-Identifier: Apache-2.0
// Every collective, moved by hand between members: what in-step verification marks comes out as it
// says, and what comes out otherwise is found.
#include "emulator/engine/marked_parts.hpp"

#include <algorithm>
#include <ostream>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/engine/reduction_check.hpp"

namespace traindyno {
namespace {

constexpr std::uint32_t step_key = 6;
constexpr float untouched = 0.5F;  // no pattern

struct Parts {
    std::int64_t size = 1;
    bool equal = true;

    /// Elements that `from` gives to `to` in an all-to-all; every part elsewhere.
    [[nodiscard]] std::int64_t between(std::int64_t from, std::int64_t to) const {
        return equal ? check_minimum + 7 : check_stride * (to % 2) + check_minimum + 5 * from + to;
    }
};

/// Input and output of one member, in spaces of their own.
struct Member {
    Collective op;
    std::vector<float> input;
    std::vector<float> output;

    [[nodiscard]] std::vector<float>& at(const Slice& slice) {
        return slice.space == Space::workspace ? input : output;
    }
};

using Job = std::vector<Member>;

std::vector<std::int64_t> sums(const std::vector<std::int64_t>& parts) {
    std::vector<std::int64_t> ends{0};
    for (const std::int64_t part : parts) {
        ends.push_back(ends.back() + part);
    }
    return ends;
}

Collective collective(CollectiveKind kind, const Parts& parts, std::int64_t rank) {
    const std::int64_t part = parts.between(0, 0);
    const std::int64_t whole = part * parts.size;
    const bool long_input =
        kind != CollectiveKind::all_gather && kind != CollectiveKind::all_reduce;
    const bool long_output =
        kind != CollectiveKind::reduce_scatter && kind != CollectiveKind::all_reduce;
    Collective op{.kind = kind,
                  .group = {},
                  .input = {.space = Space::workspace, .elements = long_input ? whole : part},
                  .output = {.space = Space::gradient, .elements = long_output ? whole : part}};
    if (!parts.equal) {
        for (std::int64_t other = 0; other < parts.size; ++other) {
            op.sent.push_back(parts.between(rank, other));
            op.received.push_back(parts.between(other, rank));
        }
        op.input.elements = sums(op.sent).back();
        op.output.elements = sums(op.received).back();
    }
    return op;
}

template <class Visit>
void for_each_mark(const Slice& slice, Visit&& visit) {
    for (std::int64_t mark = 0; mark < marks_in(slice.elements); ++mark) {
        visit(static_cast<std::size_t>(mark),
              static_cast<std::size_t>(slice.offset + marked_element(mark, slice.elements)));
    }
}

Job stamped(CollectiveKind kind, const Parts& parts) {
    Job job;
    for (std::int64_t rank = 0; rank < parts.size; ++rank) {
        Member member{.op = collective(kind, parts, rank), .input = {}, .output = {}};
        member.input.assign(static_cast<std::size_t>(member.op.input.elements), untouched);
        member.output.assign(static_cast<std::size_t>(member.op.output.elements), untouched);
        for (const StampedPart& part : stamped_parts(member.op, parts.size, step_key)) {
            std::vector<float> marks(static_cast<std::size_t>(marks_in(part.slice.elements)));
            stamp(std::as_writable_bytes(std::span(marks)),
                  part.slice.elements,
                  DType::fp32,
                  GroupRank{rank},
                  part.key);
            for_each_mark(part.slice, [&](std::size_t mark, std::size_t at) {
                member.at(part.slice)[at] = marks[mark];
            });
        }
        job.push_back(std::move(member));
    }
    return job;
}

/// What the collective is defined to do, straight from the definition.
void move(Job& job) {
    const std::size_t size = job.size();
    const auto sum_at = [&](std::size_t at) {
        float sum = 0;
        for (const Member& member : job) {
            sum += member.input[at];
        }
        return sum;
    };
    for (std::size_t rank = 0; rank < size; ++rank) {
        std::vector<float>& out = job[rank].output;
        const CollectiveKind kind = job[rank].op.kind;
        const std::size_t part = out.size() / size;
        const std::size_t first = kind == CollectiveKind::reduce_scatter ? rank * out.size() : 0;
        std::size_t end = 0;
        for (std::size_t at = 0; at < out.size(); ++at) {
            if (kind == CollectiveKind::all_reduce || kind == CollectiveKind::reduce_scatter) {
                out[at] = sum_at(first + at);
            } else if (kind == CollectiveKind::all_gather) {
                out[at] = job[at / part].input[at % part];
            }
        }
        for (std::size_t from = 0; kind == CollectiveKind::all_to_all && from < size; ++from) {
            const std::vector<std::int64_t>& sent = job[from].op.sent;
            const std::size_t length = sent.empty() ? part : static_cast<std::size_t>(sent[rank]);
            const std::size_t begin =
                sent.empty() ? rank * part : static_cast<std::size_t>(sums(sent)[rank]);
            std::copy_n(job[from].input.begin() + static_cast<std::ptrdiff_t>(begin),
                        length,
                        out.begin() + static_cast<std::ptrdiff_t>(end));
            end += length;
        }
    }
}

ReductionChecks check_member(Job& job, std::size_t rank) {
    ReductionChecks all;
    Member& member = job[rank];
    const auto size = static_cast<std::int64_t>(job.size());
    for (const CheckedPart& part :
         checked_parts(member.op, GroupRank{static_cast<std::int64_t>(rank)}, size, step_key)) {
        std::vector<float> marks(static_cast<std::size_t>(marks_in(part.slice.elements)));
        for_each_mark(part.slice, [&](std::size_t mark, std::size_t at) {
            marks[mark] = member.at(part.slice)[at];
        });
        const ReductionChecks found = check(std::as_bytes(std::span(marks)),
                                            part.slice.elements,
                                            DType::fp32,
                                            part.reduction,
                                            part.members,
                                            part.key);
        all.checked += found.checked;
        all.wrong += found.wrong;
    }
    return all;
}

struct PartsCase {
    CollectiveKind kind = CollectiveKind::all_reduce;
    Parts parts;

    friend void PrintTo(const PartsCase& value, std::ostream* out) {
        *out << to_string(value.kind) << " of " << value.parts.size
             << (value.parts.equal ? "" : " unequal");
    }
};

class MarkedParts : public ::testing::TestWithParam<PartsCase> {
  protected:
    [[nodiscard]] static Job moved() {
        Job job = stamped(GetParam().kind, GetParam().parts);
        move(job);
        return job;
    }
};

TEST_P(MarkedParts, come_out_right_on_every_member) {
    Job job = moved();
    for (std::size_t rank = 0; rank < job.size(); ++rank) {
        const ReductionChecks found = check_member(job, rank);
        EXPECT_GE(found.checked, 2);
        EXPECT_EQ(found.wrong, 0);
    }
}

TEST_P(MarkedParts, show_every_mark_that_was_not_written_or_is_another_value) {
    const Job right = moved();
    for (std::size_t rank = 0; rank < right.size(); ++rank) {
        const Member& member = right[rank];
        const auto size = static_cast<std::int64_t>(right.size());
        for (const CheckedPart& part :
             checked_parts(member.op, GroupRank{static_cast<std::int64_t>(rank)}, size, step_key)) {
            for_each_mark(part.slice, [&](std::size_t /*mark*/, std::size_t at) {
                for (const float value : {untouched, member.output[at] + 1}) {
                    Job wrong = right;
                    wrong[rank].output[at] = value;
                    EXPECT_EQ(check_member(wrong, rank).wrong, 1);
                }
            });
        }
    }
}

TEST_P(MarkedParts, show_the_output_of_another_member) {
    if (GetParam().kind == CollectiveKind::all_reduce ||
        GetParam().kind == CollectiveKind::all_gather || !GetParam().parts.equal) {
        return;  // all members get the same, or not as much
    }
    const Job right = moved();
    for (std::size_t a = 0; a < right.size(); ++a) {
        for (std::size_t b = 0; b < right.size(); ++b) {
            Job wrong = right;
            wrong[a].output = right[b].output;
            EXPECT_EQ(check_member(wrong, a).wrong > 0, a != b) << a << b;
        }
    }
}

TEST_P(MarkedParts, show_parts_that_changed_places) {
    const bool moves = GetParam().kind == CollectiveKind::all_gather ||
                       GetParam().kind == CollectiveKind::all_to_all;
    if (!moves || !GetParam().parts.equal) {
        return;
    }
    const Job right = moved();
    const std::size_t part = right.front().output.size() / right.size();
    for (std::size_t a = 0; a < right.size(); ++a) {
        for (std::size_t b = 0; b < a; ++b) {
            Job wrong = right;
            const auto begin = wrong.front().output.begin();
            std::swap_ranges(begin + static_cast<std::ptrdiff_t>(a * part),
                             begin + static_cast<std::ptrdiff_t>((a + 1) * part),
                             begin + static_cast<std::ptrdiff_t>(b * part));
            EXPECT_GT(check_member(wrong, 0).wrong, 0) << a << b;
        }
    }
}

std::vector<PartsCase> parts_cases() {
    std::vector<PartsCase> cases;
    for (std::int64_t size = 1; size <= 5; ++size) {
        for (std::size_t kind = 0; kind < enum_count<CollectiveKind>; ++kind) {
            cases.push_back({.kind = static_cast<CollectiveKind>(kind), .parts = {.size = size}});
        }
        cases.push_back(
            {.kind = CollectiveKind::all_to_all, .parts = {.size = size, .equal = false}});
    }
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Kinds, MarkedParts, ::testing::ValuesIn(parts_cases()));

}  // namespace
}  // namespace traindyno
