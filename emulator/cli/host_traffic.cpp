// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/host_traffic.hpp"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "emulator/engine/collective_calls.hpp"

namespace traindyno {

namespace {

/// Members of a group may run different programs, but must try the same sizes.
LargestMessages largest_of_all(Communicator& ranks, const StepProgram& program) {
    LargestMessages largest = largest_messages(program);
    const auto bytes = std::as_writable_bytes(std::span{largest});
    Pending pending =
        ranks.all_reduce(bytes, bytes, DType::int64, Reduction::max, Urgency::background);
    wait_patiently(pending);
    return largest;
}

}  // namespace

void read_host_traffic(const FlagReader& read, MeasureRequest& request, Problems& problems) {
    if (request.device == DeviceKind::cuda) {
        if (read.given("tuning")) {
            problems.add(fmt::format(
                "{}: does not go with --device cuda (its traffic is NCCL's or MPI's) drop it",
                read.origin("tuning")));
        }
        return;
    }
    request.tuning = read.text("tuning").value_or("");
    const std::string carrier = read.text("collectives").value_or("auto");
    if (carrier == "nccl") {
        problems.add(fmt::format("{}: nccl needs --device cuda (it moves memory of GPUs) choose {}",
                                 read.origin("collectives"),
                                 enum_choices<Carrier>()));
    } else if (carrier == "rhd") {  // recursive halving, then doubling
        request.collectives = Carrier::halving_doubling;
    } else if (carrier != "auto") {
        request.collectives = read.choice<Carrier>("collectives");
    }
    if (request.collectives && !request.tuning.empty()) {
        problems.add(
            fmt::format("{}: needs --collectives auto (nothing is chosen) drop one of them",
                        read.origin("tuning")));
    }
}

TuningTable read_tuning(const MeasureRequest& request) {
    return std::filesystem::exists(request.tuning) ? TuningTable::read(request.tuning)
                                                   : TuningTable{};
}

std::shared_ptr<SharedHeap> make_host_heap(Communicator& world,
                                           const std::vector<std::string>& hosts,
                                           const MeasureRequest& request) {
    if (request.device == DeviceKind::cuda || request.collectives == Carrier::mpi) {
        return nullptr;
    }
    const std::unique_ptr<Communicator> host = split_by_host(world, hosts);
    if (host->size() == 1) {
        return nullptr;
    }
    try {
        return SharedHeap::create(*host);
    } catch (const LibraryError&) {
        return nullptr;  // ranks in containers of their own: other carriers remain
    }
}

std::unique_ptr<Communicator> split_by_host(Communicator& world,
                                            const std::vector<std::string>& hosts) {
    const std::string& own = hosts[world.rank().index()];
    const auto first = std::find(hosts.begin(), hosts.end(), own);
    const auto color = static_cast<std::int32_t>(first - hosts.begin());
    return world.split(color, world.rank().value());
}

HostMemory lender_of(const std::shared_ptr<SharedHeap>& heap) {
    if (!heap) {
        return {};
    }
    return [heap](std::size_t bytes) { return heap->lend(bytes); };
}

std::unique_ptr<Communicator> make_host_traffic(Communicator& ranks,
                                                const StepProgram& program,
                                                const MeasureRequest& request,
                                                const RankResources& resources) {
    if (ranks.size() == 1 || request.collectives == Carrier::mpi) {
        return nullptr;
    }
    AutoOptions options{.node = resources.host,
                        .candidates = host_carriers(resources.host, resources.heap),
                        .limits = {.largest = largest_of_all(ranks, program)},
                        .table = resources.tuning,
                        .fixed = request.collectives};
    if (request.device == DeviceKind::cpu) {
        options.lend = lender_of(resources.heap);
    }
    return make_auto_communicator(ranks.split(0, ranks.rank().value()), std::move(options));
}

}  // namespace traindyno
