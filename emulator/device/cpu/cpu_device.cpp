// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/cpu_device.hpp"

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/executor.hpp"
#include "emulator/device/cpu/gemm.hpp"
#include "emulator/device/cpu/worker.hpp"
#include "emulator/device/memory_check.hpp"

namespace traindyno {

namespace {

class CpuDevice final : public Device {
  public:
    explicit CpuDevice(const CpuOptions& options)
        : options_(options),
          name_(fmt::format("{}, cores {}", cpu_name(), ranges_text(options.cores))),
          team_(options.cores, options.threads),
          worker_([this](const ComputeOp& op, const Task& task) { executor_->run(op, task); }) {
        worker_.call([this] { team_.adopt_this_thread(); });
    }

    void prepare(const StepProgram& program) override {
        TD_EXPECT(program.precision == options_.precision);
        const std::vector<MemoryItem> items = memory_items(program);
        if (options_.memory_limit > Bytes{0}) {
            require_fit(items, options_.memory_limit, "its share of the host is");
        }
        worker_.call([&] {
            executor_.reset();  // what it holds is available to its successor
            require_fit(items, available_memory(), "the host has left");
            executor_ =
                std::make_unique<CpuExecutor>(program, team_, options_.seed, options_.shared);
        });
    }

    Ticket submit(const ComputeOp& op, const Task& task) override {
        return worker_.submit(op, task);
    }

    [[nodiscard]] Ticket completed() override { return worker_.completed(); }

    [[nodiscard]] Interval interval(Ticket ticket) const override {
        return worker_.interval(ticket);
    }

    void wait(Ticket seen, SimTime deadline) override { worker_.wait(seen, deadline); }

    [[nodiscard]] std::span<std::byte> memory(const Slice& slice, const Task& task) override {
        TD_EXPECT(executor_);
        return executor_->memory().at(slice, task);
    }

    void copy(CopyDirection direction,
              const Slice& slice,
              const Task& task,
              std::int64_t stride,
              std::span<std::byte> host) override {
        TD_EXPECT(executor_);
        executor_->memory().copy(direction, slice, task, stride, host);
    }

    [[nodiscard]] DeviceInfo info() const override {
        return {.kind = "cpu",
                .name = name_,
                .threads = options_.threads,
                .precision = options_.precision};
    }

  private:
    CpuOptions options_;
    std::string name_;
    Team team_;
    std::unique_ptr<CpuExecutor> executor_;  ///< made and used by the worker
    Worker worker_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(const CpuOptions& options) {
    Problems problems;
    if (options.cores.empty() || options.threads < 1) {
        problems.add(
            "the cpu device has no core (the binding leaves this rank none) start fewer "
            "ranks per host or pass --bind-to none to mpirun");
    }
    if (options.precision != Precision::fp32 && options.precision != Precision::bf16) {
        problems.add(
            fmt::format("--precision {}: the cpu device cannot train in it (it has fp32 and, with "
                        "AVX512-BF16 or AMX, bf16) use --precision fp32, or --device timed",
                        to_string(options.precision)));
    }
    if (options.precision == Precision::bf16 && !has_bf16()) {
        problems.add(
            fmt::format("--precision bf16: this processor has no bf16 matrix products "
                        "({} has neither AVX512-BF16 nor AMX) use --precision fp32",
                        cpu_name()));
    }
    problems.throw_if_any();
    return std::make_unique<CpuDevice>(options);
}

std::string cpu_compute_library() {
    return gemm_library();
}

}  // namespace traindyno
