// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/collectives_request.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/cli/carriers.hpp"
#include "emulator/cli/flag_reader.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t kibi = 1024;
constexpr Bytes largest_size{std::int64_t{1} << 50};
constexpr std::int64_t most_sizes = 10'000;
constexpr std::int64_t most_iterations = 10'000'000;
constexpr double day = 86400;  // seconds

constexpr std::array type_aliases{
    std::pair{std::string_view{"float"}, DType::fp32},
    std::pair{std::string_view{"double"}, DType::fp64},
    std::pair{std::string_view{"half"}, DType::fp16},
    std::pair{std::string_view{"bfloat16"}, DType::bf16},
};

/// A flag whose value may be nccl-tests' name for one of ours.
template <class E, class Aliases>
E choice_or(const Flags& flags,
            const FlagReader& read,
            std::string_view name,
            const Aliases& aliases,
            E otherwise) {
    const FlagValue* const value = flags.find(name);
    if (value != nullptr) {
        for (const auto& [alias, meaning] : aliases) {
            if (value->text == alias) {
                return meaning;
            }
        }
    }
    return read.choice<E>(name).value_or(otherwise);
}

std::optional<Bytes> size_flag(const Flags& flags, std::string_view name, Problems& problems) {
    const FlagValue* const value = flags.find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const std::optional<Bytes> size = parse_size(value->text);
    if (!size) {
        problems.add(
            fmt::format("{}: '{}' is not a size (bytes, or with K, M or G of 1024) write e.g. 32M",
                        value->origin,
                        value->text));
    }
    return size;
}

SizeSweep read_sweep(const Flags& flags, const FlagReader& read, Problems& problems) {
    const std::optional<Bytes> from = size_flag(flags, "minbytes", problems);
    const std::optional<Bytes> to = size_flag(flags, "maxbytes", problems);
    const std::optional<Bytes> step = size_flag(flags, "stepbytes", problems);
    const std::optional<std::int64_t> factor = read.count("stepfactor");
    SizeSweep sweep{.from = from.value_or(std::min(Bytes{8}, to.value_or(Bytes{8}))),
                    .to = to.value_or(std::max(Bytes{32 * kibi * kibi}, from.value_or(Bytes{0}))),
                    .step = step.value_or(Bytes{kibi * kibi}),
                    .factor = factor.value_or(step ? 1 : 2)};
    if (step && factor && *factor > 1) {
        problems.add(
            "--stepbytes and --stepfactor: both given (sizes grow in one way) leave one out");
    }
    if (sweep.from > sweep.to) {
        problems.add(
            fmt::format("--minbytes {} is more than --maxbytes {} (there is no size to "
                        "measure) exchange them",
                        sweep.from.value(),
                        sweep.to.value()));
    } else if (sweep.factor == 1 &&
               (sweep.to - sweep.from).value() / sweep.step.value() >= most_sizes) {
        problems.add(
            fmt::format("--stepbytes {}: more than {} sizes (that many rows help nobody) "
                        "use a longer step, or --stepfactor",
                        sweep.step.value(),
                        most_sizes));
    }
    return sweep;
}

/// Device, carriers and buffers.
void read_traffic(const FlagReader& read,
                  std::int64_t ranks,
                  const GpuInventory& gpus,
                  CollectivesRequest& request,
                  Problems& problems) {
    request.device = read.choice<BenchDevice>("device").value_or(request.device);
    const bool cuda = request.device == BenchDevice::cuda;
    if (cuda && gpus.devices.empty()) {
        problems.add(fmt::format("{}: there is no GPU to use here ({}) use --device cpu",
                                 read.origin("device"),
                                 gpus.problem));
    }
    request.carriers = read_carriers(read.text("collectives").value_or(cuda ? "nccl" : "mpi"),
                                     read.origin("collectives"),
                                     request.device,
                                     ranks,
                                     problems);
    request.buffers = read.choice<BufferKind>("buffers").value_or(request.buffers);
    if (cuda && read.given("buffers")) {
        problems.add(
            fmt::format("{}: does not go with --device cuda (its buffers are the GPU's) "
                        "drop it",
                        read.origin("buffers")));
    }
    request.gpu_sharing = read.given("share-gpu") ? GpuSharing::allowed : GpuSharing::refused;
    if (!cuda && read.given("share-gpu")) {
        problems.add(
            fmt::format("{}: needs --device cuda (nothing of this job runs on a GPU) drop "
                        "it",
                        read.origin("share-gpu")));
    }
}

}  // namespace

std::optional<Bytes> parse_size(std::string_view text) {
    constexpr std::string_view letters = "kmg";
    std::int64_t scale = 1;
    std::string_view digits = text;
    if (!text.empty()) {
        const char last = static_cast<char>(text.back() | 0x20);  // lower case
        if (const std::size_t power = letters.find(last); power != std::string_view::npos) {
            scale = std::int64_t{1} << (10 * (power + 1));
            digits.remove_suffix(1);
        }
    }
    if (const std::optional<std::int64_t> number = parse_whole(digits)) {
        const bool sensible = *number > 0 && *number <= largest_size.value() / scale;
        return sensible ? std::optional(Bytes{*number * scale}) : std::nullopt;
    }
    try {
        const Bytes size = parse_bytes(text);
        return size > Bytes{0} && size <= largest_size ? std::optional(size) : std::nullopt;
    } catch (const ConfigError&) {
        return std::nullopt;
    }
}

bool wants_gpu(const Flags& flags) {
    const FlagValue* const device = flags.find("device");
    return device != nullptr && device->text == to_string(BenchDevice::cuda);
}

CollectivesRequest collectives_request(const Flags& flags,
                                       std::int64_t ranks,
                                       const GpuInventory& gpus,
                                       Problems& problems) {
    const FlagReader read(flags.values, problems);
    CollectivesRequest request;
    constexpr std::array reduction_aliases{
        std::pair{std::string_view{"avg"}, Reduction::average},
    };
    const std::optional<BenchOp> op =
        read.given("op") ? read.choice<BenchOp>("op") : BenchOp::all_reduce;
    request.what = {
        .op = op.value_or(BenchOp::all_reduce),
        .type = choice_or(flags, read, "datatype", type_aliases, DType::fp32),
        .reduction = choice_or(flags, read, "reduction", reduction_aliases, Reduction::sum),
        .root = GroupRank{read.whole("root", {.low = 0, .high = ranks - 1}).value_or(0)}};
    read_traffic(read, ranks, gpus, request, problems);
    request.iterations =
        read.whole("iters", {.low = 1, .high = most_iterations}).value_or(request.iterations);
    request.warm_up =
        read.whole("warmup_iters", {.low = 0, .high = most_iterations}).value_or(request.warm_up);
    request.checks = read.whole("check", {.low = 0, .high = 1000}).value_or(request.checks);
    if (const auto seconds = read.number("timeout", {.low = 1, .high = day})) {
        request.timeout = from_seconds(*seconds);
    }
    request.json = read.text("json").value_or("");
    request.csv = read.text("csv").value_or("");
    if (read.given("reduction") && op && !reduces(*op)) {
        problems.add(
            fmt::format("{}: {} reduces nothing (only all_reduce and reduce_scatter do) "
                        "leave it out",
                        read.origin("reduction"),
                        to_string(*op)));
    }
    if (read.given("root") && op && *op != BenchOp::broadcast) {
        problems.add(fmt::format("{}: {} has no root (only a broadcast has one) leave it out",
                                 read.origin("root"),
                                 to_string(*op)));
    }
    const SizeSweep sweep = read_sweep(flags, read, problems);
    problems.throw_if_any();
    request.shapes = shapes_of(sweep, request.what, ranks);
    return request;
}

}  // namespace traindyno
