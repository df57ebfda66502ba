// SPDX-License-Identifier: Apache-2.0
// How much of the gradients' all-reduces a training step hides, and what their progress costs its
// compute, by the step's own budget:
// mpirun -n 2 --bind-to none --mca mpi_yield_when_idle 1 training_overlap_bench [--check]
// [CARRIER...]. Ranks compute on a core each as long as one core stays spare, others on a clock
// that runs as fast; the threads that communicate share the spare core, then a computing one.
#include <algorithm>
#include <cstdint>
#include <ctime>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/engine.hpp"
#include "emulator/program/build.hpp"
#include "emulator/study/point_sampler.hpp"
#include "tests/bench/all_reduce_timing.hpp"
#include "tests/bench/carried.hpp"

namespace traindyno::bench {

namespace {

constexpr int rounds = 5;
constexpr std::int64_t steps = 3;  ///< measured, per round and way
constexpr double least_hidden = 0.8;
/// Of the processor time that communication takes from a computing core.
constexpr double least_explained = 0.5;
constexpr int skipped = 77;

/// Where the threads that communicate run.
enum class Place : std::uint8_t { spare_core, computing_core };

struct Way {
    Overlap overlap = Overlap::on;
    Place place = Place::spare_core;
};

/// Means per step, of rank 0, which computes for real. Seconds.
struct Result {
    double step = 0;
    double removed = 0;  ///< step without communication
    double exposed = 0;
    double waiting = 0;
    double slowdown = 0;
    double communicating = 0;  ///< processor time that communication takes of all ranks' threads
};

/// Gradients are reduced layer by layer: those of the first layer and the embedding, a thirteenth
/// of all, come last and have nothing to hide behind.
Model model_of() {
    return {.name = "overlap",
            .layers = 16,
            .hidden = 384,
            .heads = 6,
            .kv_heads = 6,
            .head_size = 64,
            .ffn = 4 * 384,
            .seq = 256,
            .vocab = 1024,
            .tied_embeddings = false,
            .positions = Positions::rotary};
}

double processor_seconds() {
    timespec time{};
    TD_EXPECT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Adds up what steps take of the calling thread, by whether they communicate.
class Metered final : public StepRunner {
  public:
    explicit Metered(StepRunner& runner) : runner_(runner) {}

    [[nodiscard]] StepTrace run_step(Traffic traffic, Tracing tracing) override {
        const double before = processor_seconds();
        StepTrace trace = runner_.run_step(traffic, tracing);
        std::vector<double>& all = traffic == Traffic::real ? real_ : removed_;
        all.push_back(processor_seconds() - before);
        return trace;
    }

    [[nodiscard]] std::string_view carrier(OpIndex index) const override {
        return runner_.carrier(index);
    }

    [[nodiscard]] ReductionChecks checks() override { return runner_.checks(); }

    [[nodiscard]] std::string outstanding() const override { return runner_.outstanding(); }

    [[nodiscard]] SimTime blocked_since() const override { return runner_.blocked_since(); }

    /// Of a step, in seconds.
    [[nodiscard]] double of_communication() const { return median(real_) - median(removed_); }

  private:
    StepRunner& runner_;
    std::vector<double> real_;
    std::vector<double> removed_;
};

/// One rank's part of a data-parallel job.
class Trainer {
  public:
    Trainer(const MpiSession& session, std::string carrier)
        : session_(session),
          carrier_(std::move(carrier)),
          world_(session.world()),
          cores_(allowed_cores()) {}

    Result measure(const Way& way) {
        const Model model = model_of();
        const Layout layout{.dp = session_.size()};
        TrainingSetup setup{.global_batch = session_.size(),
                            .bucket = Bytes{std::int64_t{4} << 20},
                            .overlap_gradients = way.overlap};
        const StepProgram program =
            build_step(model, layout, setup, WorldRank{session_.rank().value()});
        const IssueOrder order(program);
        bind_this_thread({way.place == Place::spare_core ? cores_.back() : cores_.front()});
        const std::unique_ptr<Device> device = device_for(order);
        const GroupCommunicators control = groups_of(program, "mpi");
        const GroupCommunicators traffic = groups_of(program, carrier_);
        Engine engine(order, *device, traffic, {});
        const PointPlan plan{.model = model, .layout = layout, .setup = setup};
        const MeasureOptions options{.steps = steps, .warmup = 1};
        const RankPlace place;
        Metered runner(engine);
        const RankSamples samples =
            PointSampler(
                order,
                runner,
                control,
                *world_,
                {.plan = plan, .options = options, .place = place, .progress = [](auto&) {}})
                .run();
        return result_of(samples, runner.of_communication());
    }

  private:
    /// The last core is spare.
    [[nodiscard]] bool computes() const {
        return session_.rank().value() + 1 < static_cast<std::int64_t>(cores_.size());
    }

    std::unique_ptr<Device> device_for(const IssueOrder& order) {
        if (durations_.empty()) {
            durations_ = measured_durations(order);
        }
        std::unique_ptr<Device> device = computes() ? make_cpu() : make_timed(order);
        device->prepare(order.program());
        return device;
    }

    std::unique_ptr<Device> make_cpu() {
        return make_cpu_device(
            {.cores = {cores_[session_.rank().index()]}, .threads = 1, .seed = 1});
    }

    std::unique_ptr<Device> make_timed(const IssueOrder& order) {
        const auto compute = order.lane(Lane::compute);
        TD_EXPECT(durations_.size() == compute.size());
        std::map<const ComputeOp*, SimTime> times;
        for (std::size_t i = 0; i < compute.size(); ++i) {
            times[&std::get<ComputeOp>(order.block_op(compute[i]).op)] = SimTime{durations_[i]};
        }
        return make_timed_device(
            {.duration = [times](const ComputeOp& op) { return times.at(&op); }, .name = "clock"});
    }

    /// What rank 0's compute takes without communication, in ns: the second step of two.
    std::vector<std::int64_t> measured_durations(const IssueOrder& order) {
        const auto compute = order.lane(Lane::compute);
        std::vector<std::int64_t> lengths(compute.size());
        if (computes()) {
            const std::unique_ptr<Device> device = make_cpu();
            device->prepare(order.program());
            const GroupCommunicators none(order.program().groups.size());
            Engine engine(order, *device, none, {});
            (void)engine.run_step(Traffic::removed, Tracing::on);
            const StepTrace step = engine.run_step(Traffic::removed, Tracing::on);
            std::transform(compute.begin(), compute.end(), lengths.begin(), [&](OpIndex index) {
                return step.spans[index].length().count();
            });
        }
        Pending pending = world_->broadcast(
            std::as_writable_bytes(std::span(lengths)), GroupRank{0}, Urgency::background);
        wait_patiently(pending);
        return lengths;
    }

    /// All ranks are one data-parallel group, and all groups of the program have one member or all.
    GroupCommunicators groups_of(const StepProgram& program, const std::string& carrier) {
        GroupCommunicators groups(program.groups.size());
        for (std::size_t i = 0; i < groups.size(); ++i) {
            if (program.groups[i].size() > 1) {
                groups[i] = carried_by(carrier, session_);
            }
        }
        return groups;
    }

    Result result_of(const RankSamples& samples, double communicating) {
        std::vector<double> cost{communicating};
        const std::span<std::byte> bytes = std::as_writable_bytes(std::span{cost});
        Pending pending =
            world_->all_reduce(bytes, bytes, DType::fp64, Reduction::sum, Urgency::background);
        wait_patiently(pending);
        Result result{.removed = samples.removed_step_seconds, .communicating = cost.front()};
        for (std::size_t i = 0; i < samples.budgets.size(); ++i) {
            const Budget budget = samples.budgets[i] * (1.0 / static_cast<double>(steps));
            result.step += budget.total();
            result.exposed += budget[Category::exposed_dp];
            result.waiting += budget[Category::wait_dp];
            result.slowdown += budget[Category::compute_slowdown];
        }
        return result;
    }

    const MpiSession& session_;
    std::string carrier_;
    std::unique_ptr<Communicator> world_;
    std::vector<int> cores_;
    std::vector<std::int64_t> durations_;  ///< of rank 0's compute, in ns
};

template <class Value>
double median_of(const std::vector<Result>& results, Value value) {
    std::vector<double> values(results.size());
    std::transform(results.begin(), results.end(), values.begin(), value);
    return median(values);
}

void print(const char* name, const std::vector<Result>& results) {
    const auto ms = [&](auto member) {
        return 1e3 * median_of(results, [member](const Result& r) { return r.*member; });
    };
    fmt::print(
        "  {:<34} step {:7.1f} ms, without communication {:7.1f}: exposed {:6.1f}, wait {:6.1f}, "
        "compute slowdown {:6.1f}; communication takes {:6.1f} of processors\n",
        name,
        ms(&Result::step),
        ms(&Result::removed),
        ms(&Result::exposed),
        ms(&Result::waiting),
        ms(&Result::slowdown),
        ms(&Result::communicating));
}

/// Whether the targets are met, on rank 0.
bool compare(const MpiSession& session, const std::string& carrier) {
    Trainer trainer(session, carrier);
    std::vector<Result> alone;
    std::vector<Result> spare;
    std::vector<Result> shared;
    std::vector<double> hidden;
    std::vector<double> explained;
    for (int round = 0; round < rounds; ++round) {
        alone.push_back(trainer.measure({Overlap::off, Place::spare_core}));
        spare.push_back(trainer.measure({Overlap::on, Place::spare_core}));
        shared.push_back(trainer.measure({Overlap::on, Place::computing_core}));
        hidden.push_back(1 - spare.back().exposed / alone.back().exposed);
        const Result& last = shared.back();
        // While nothing computes, communication takes processor time from nobody.
        explained.push_back(last.slowdown / (last.communicating - last.exposed - last.waiting));
    }
    if (session.rank() != WorldRank{0}) {
        return true;
    }
    fmt::print("{}\n", carrier);
    print("not overlapped", alone);
    print("overlapped, one spare core", spare);
    print("overlapped, no spare core", shared);
    fmt::print(
        "  hidden {:.1f} % ({:.1f} to {:.1f}); without a spare core the budget's slowdown is "
        "{:.2f} of the processor time taken\n",
        100 * median(hidden),
        100 * *std::min_element(hidden.begin(), hidden.end()),
        100 * *std::max_element(hidden.begin(), hidden.end()),
        median(explained));
    return median(hidden) >= least_hidden && median(explained) >= least_explained;
}

int run(const MpiSession& session, std::vector<std::string> names) {
    if (allowed_cores().size() < 2) {
        fmt::print("skipped: needs two cores\n");
        return skipped;
    }
    const bool checks = std::erase(names, "--check") > 0;
    if (names.empty()) {
        names = {"mpi", "shm"};
    }
    bool reached = true;
    for (const std::string& name : names) {
        reached = compare(session, name) && reached;
    }
    return reached || !checks ? 0 : 1;
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        return traindyno::bench::run(session, {argv + 1, argv + argc});
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
