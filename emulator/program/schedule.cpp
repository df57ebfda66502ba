// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/schedule.hpp"

#include <algorithm>

namespace traindyno {

namespace {

bool is_interleaved(const Pipeline& pipeline) {
    return pipeline.schedule == Schedule::interleaved && pipeline.chunks > 1;
}

/// The `index`-th visit going forward: p micro-batches in a chunk, then the same in the next.
Visit interleaved_visit(const Pipeline& pipeline, std::int64_t index) {
    const std::int64_t group = pipeline.stages * pipeline.chunks;
    return {.chunk = index % group / pipeline.stages,
            .micro_batch = index / group * pipeline.stages + index % pipeline.stages};
}

class PassList {
  public:
    PassList(const Pipeline& pipeline, Stage stage)
        : pipeline_(pipeline),
          visits_(pipeline.micro_batches * pipeline.chunks),
          deferred_(stage.value()) {
        const std::int64_t directions = pipeline.schedule == Schedule::zero_bubble ? 3 : 2;
        passes_.reserve(static_cast<std::size_t>(directions * visits_));
    }

    void forward() {
        passes_.push_back({.direction = Direction::forward, .visit = visit(forwards_++)});
    }

    void backward() {
        Visit at = visit(backwards_++);
        at.chunk = pipeline_.chunks - 1 - at.chunk;
        passes_.push_back({.direction = Direction::backward, .visit = at});
        if (backwards_ > weights_ + deferred_) {
            weights();
        }
    }

    void finish() {
        while (backwards_ < visits_) {
            backward();
        }
        while (pipeline_.schedule == Schedule::zero_bubble && weights_ < visits_) {
            weights();
        }
    }

    [[nodiscard]] std::int64_t left() const { return visits_ - forwards_; }

    [[nodiscard]] std::vector<Pass> take() { return std::move(passes_); }

  private:
    void weights() {
        if (pipeline_.schedule == Schedule::zero_bubble) {
            passes_.push_back({.direction = Direction::weights, .visit = visit(weights_++)});
        }
    }

    [[nodiscard]] Visit visit(std::int64_t index) const {
        return is_interleaved(pipeline_) ? interleaved_visit(pipeline_, index)
                                         : Visit{.chunk = 0, .micro_batch = index};
    }

    const Pipeline& pipeline_;
    std::int64_t visits_;
    std::int64_t deferred_;
    std::int64_t forwards_ = 0;
    std::int64_t backwards_ = 0;
    std::int64_t weights_ = 0;
    std::vector<Pass> passes_;
};

}  // namespace

std::int64_t warm_up(const Pipeline& pipeline, Stage stage) {
    const std::int64_t later = pipeline.stages - 1 - stage.value();
    if (pipeline.schedule == Schedule::gpipe) {
        return pipeline.micro_batches;
    }
    return is_interleaved(pipeline) ? 2 * later + (pipeline.chunks - 1) * pipeline.stages : later;
}

std::int64_t awaiting_backward(const Pipeline& pipeline, Stage stage) {
    return std::min(pipeline.micro_batches * pipeline.chunks, warm_up(pipeline, stage) + 1);
}

std::int64_t in_flight(const Pipeline& pipeline, Stage stage) {
    return pipeline.schedule == Schedule::zero_bubble
               ? std::min(pipeline.micro_batches, pipeline.stages)
               : awaiting_backward(pipeline, stage);
}

std::vector<Pass> passes_of(const Pipeline& pipeline, Stage stage) {
    PassList passes(pipeline, stage);
    for (std::int64_t ahead = awaiting_backward(pipeline, stage); ahead > 1; --ahead) {
        passes.forward();
    }
    while (passes.left() > 0) {
        passes.forward();
        passes.backward();
    }
    passes.finish();
    return passes.take();
}

std::string_view bubble_formula(Schedule schedule) {
    switch (schedule) {
        case Schedule::gpipe:
        case Schedule::one_f_one_b:
            break;
        case Schedule::interleaved:
            return "(p-1)(F+B)/v (Narayanan et al., SC'21, section 2.2)";
        case Schedule::zero_bubble:
            return "(p-1)(F+B-W) (Qi et al., ICLR 2024, table 2)";
    }
    return "(p-1)(F+B) (Narayanan et al., SC'21, section 2.2)";
}

double bubble(const Pipeline& pipeline, const PassTimes& times) {
    const auto others = static_cast<double>(pipeline.stages - 1);
    const double both = times.forward + times.backward;
    if (pipeline.schedule == Schedule::zero_bubble) {
        const auto deferrable = static_cast<double>(pipeline.micro_batches - 1);
        return others * both -
               std::min(others, deferrable) * std::min(times.forward, times.weights);
    }
    const double whole = others * (both + times.weights);
    return is_interleaved(pipeline) ? whole / static_cast<double>(pipeline.chunks) : whole;
}

}  // namespace traindyno
