// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/point_sampler.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/patient_wait.hpp"
#include "emulator/study/statistics.hpp"
#include "emulator/trace/account.hpp"

namespace traindyno {

namespace {

/// Steps without communication behind each operation's reference time: a median of three outlives
/// one disturbance.
constexpr std::int64_t reference_steps = 3;

/// Steps run back to back for about this long before ranks meet to decide on the next ones.
constexpr double batch_seconds = 0.5;
constexpr std::int64_t largest_batch = 100;

TrafficKind traffic_kind(const CommOp& op) {
    const auto* collective = std::get_if<Collective>(&op);
    if (collective == nullptr) {
        return TrafficKind::send_recv;
    }
    switch (collective->kind) {
        case CollectiveKind::all_reduce:
            return TrafficKind::all_reduce;
        case CollectiveKind::reduce_scatter:
            return TrafficKind::reduce_scatter;
        case CollectiveKind::all_gather:
            return TrafficKind::all_gather;
        case CollectiveKind::all_to_all:
            break;
    }
    return TrafficKind::all_to_all;
}

}  // namespace

PointSampler::PointSampler(const IssueOrder& order,
                           StepRunner& runner,
                           const GroupCommunicators& groups,
                           Communicator& ranks,
                           const PointContext& context)
    : order_(order), runner_(runner), groups_(groups), ranks_(ranks), context_(context) {}

RankSamples PointSampler::run() {
    warm_up();
    if (context_.options.tracing == Tracing::on) {
        measure_without_communication();
    }
    std::optional<TelemetrySampler> gpu;
    if (context_.gpu != nullptr) {
        gpu.emplace(*context_.gpu);
    }
    clock_ = synchronize(ranks_, now);
    measure();
    if (gpu) {
        samples_.gpu = gpu->finish(batches_);
    }
    return std::move(samples_);
}

std::int64_t PointSampler::decided_by_first(std::int64_t value) {
    std::array decision{value};
    Pending pending = ranks_.broadcast(
        std::as_writable_bytes(std::span(decision)), GroupRank{0}, Urgency::background);
    wait_patiently(pending, {.timeout = from_seconds(context_.options.timeout_seconds)});
    return decision.front();
}

void PointSampler::warm_up() {
    WarmUpLimits limits{.max_seconds = context_.options.max_seconds};
    if (context_.options.warmup) {
        limits.at_least = limits.at_most = *context_.options.warmup;
    }
    WarmUp rule(limits);
    const auto another = [&] {
        return rule.steps() < limits.at_most && rule.state() == WarmUp::State::warming ? 1 : 0;
    };
    while (decided_by_first(another()) != 0) {
        const StepTrace step = runner_.run_step(Traffic::real, context_.options.tracing);
        last_step_seconds_ = to_seconds(step.length());
        rule.add(last_step_seconds_);
    }
    samples_.warmup_steps = rule.steps();
    context_.progress(
        fmt::format("warmed up in {} steps, {:.3g} s each", rule.steps(), last_step_seconds_));
}

void PointSampler::measure_without_communication() {
    std::vector<StepTrace> steps;
    std::vector<double> seconds;
    for (std::int64_t i = 0; i < reference_steps; ++i) {
        steps.push_back(runner_.run_step(Traffic::removed, Tracing::on));
        seconds.push_back(to_seconds(steps.back().length()));
    }
    samples_.removed_step_seconds = median(seconds);
    reference_.resize(order_.ops().size());
    for (OpIndex index = 0; index < order_.ops().size(); ++index) {
        std::vector<SimTime> lengths;
        lengths.reserve(steps.size());
        for (const StepTrace& step : steps) {
            lengths.push_back(step.spans[index].length());
        }
        std::nth_element(lengths.begin(), lengths.begin() + reference_steps / 2, lengths.end());
        reference_[index] = lengths[reference_steps / 2];
    }
}

void PointSampler::measure() {
    StoppingRule rule({.ci = context_.options.ci,
                       .max_seconds = context_.options.max_seconds,
                       .fixed_steps = context_.options.steps});
    while (const std::int64_t steps = decided_by_first(next_batch(rule))) {
        run_batch(steps, rule);
    }
    samples_.verdict = static_cast<Verdict>(
        decided_by_first(static_cast<std::int64_t>(rule.verdict().value_or(Verdict::converged))));
}

/// How many steps rank 0 wants next; 0 ends the measurement.
std::int64_t PointSampler::next_batch(StoppingRule& rule) {
    if (!is_first() || rule.verdict()) {
        return 0;
    }
    const auto measured = static_cast<std::int64_t>(rule.samples().size());
    const double step = measured > 0 ? rule.samples().back() : last_step_seconds_;
    const auto wanted = static_cast<std::int64_t>(step > 0 ? batch_seconds / step : largest_batch);
    const std::int64_t left = context_.options.steps.value_or(measured + largest_batch) - measured;
    return std::clamp<std::int64_t>(wanted, 1, std::min(left, largest_batch));
}

void PointSampler::run_batch(std::int64_t steps, StoppingRule& rule) {
    std::vector<StepTrace> traces;
    for (std::int64_t i = 0; i < steps; ++i) {
        traces.push_back(runner_.run_step(Traffic::real, context_.options.tracing));
    }
    batches_.push_back({.begin = traces.front().begin, .end = traces.back().end});
    for (const StepTrace& trace : traces) {
        samples_.step_seconds.push_back(to_seconds(trace.length()));
        rule.add(samples_.step_seconds.back());
    }
    if (context_.options.tracing == Tracing::on) {
        account_for(traces);
    }
    context_.progress(fmt::format("{} step{} measured, median {:.4g} s",
                                  samples_.step_seconds.size(),
                                  samples_.step_seconds.size() == 1 ? "" : "s",
                                  median(samples_.step_seconds)));
}

void PointSampler::account_for(std::vector<StepTrace>& steps) {
    const ClockReading after = synchronize(ranks_, now);
    const ClockSync clock(std::exchange(clock_, after), after);
    const auto arrivals = exchange_arrivals(order_, steps, groups_, clock);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        samples_.budgets.push_back(account(order_, steps[i], arrivals[i], reference_));
        add_traffic(steps[i], arrivals[i]);
    }
}

void PointSampler::add_traffic(const StepTrace& step, const std::vector<Arrival>& arrivals) {
    for (OpIndex index = 0; index < order_.ops().size(); ++index) {
        const auto* op = std::get_if<CommOp>(&order_.block_op(index).op);
        if (op == nullptr) {
            continue;
        }
        const bool collective = std::holds_alternative<Collective>(*op);
        const GroupKind group = order_.program().groups[group_id(*op).index()].kind;
        TrafficTotal& total = samples_.traffic[{.group = group,
                                                .kind = traffic_kind(*op),
                                                .carrier = std::string(runner_.carrier(index))}];
        ++total.count;
        total.bytes += payload(*op).value();
        const Span& span = step.spans[index];
        total.seconds += to_seconds(std::max(span.end - arrivals[index].latest, SimTime{0}));
        // Transfers between stages and what waits for the whole pipeline are late by design.
        if (collective && (group == GroupKind::dp || group == GroupKind::tp)) {
            samples_.lateness_seconds += to_seconds(span.begin - arrivals[index].earliest);
        }
    }
}

}  // namespace traindyno
