// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/bench_setting.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/quantity_text.hpp"
#include "emulator/cli/carriers.hpp"
#include "emulator/cli/environment.hpp"
#include "emulator/cli/gpu_search.hpp"
#include "emulator/cli/host_traffic.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/study/launch_sanity.hpp"

namespace traindyno {

namespace {

/// Refuses, on all ranks, buffers that `place` cannot hold for `ranks` of them.
void require_memory(Communicator& world,
                    const CollectivesRequest& request,
                    std::int64_t ranks,
                    const std::string& place,
                    Bytes available) {
    const Bytes needed = ranks * BenchBuffers::needed(request.shapes.back(), request.what.type);
    const std::string refusal =
        needed <= available
            ? std::string{}
            : fmt::format("--maxbytes: {} ranks on {} need {} for buffers ({} are free) lower it",
                          ranks,
                          place,
                          format_bytes(needed),
                          format_bytes(available));
    for (const std::string& text : all_gather_text(world, refusal)) {
        if (!text.empty()) {
            throw ConfigError({text});
        }
    }
}

/// Sizes of the measured operation alone.
LargestMessages largest_of(const CollectivesRequest& request) {
    LargestMessages largest{};
    const Bytes size = size_of(request.shapes.back(), request.what.type);
    if (const auto op = parse_enum<CollectiveOp>(to_string(request.what.op))) {
        largest[static_cast<std::size_t>(*op)] = std::min(size.value(), largest_trial);
    }
    return largest;
}

/// Of the ranks of this node, where buffers are to come from it; throws LibraryError on all of them
/// when they cannot address each other's memory.
std::shared_ptr<SharedHeap> heap_for(const CollectivesRequest& request,
                                     Communicator& world,
                                     const std::string& node) {
    if (request.buffers == BufferKind::ordinary) {
        return nullptr;
    }
    return SharedHeap::create(*split_by_host(world, all_gather_text(world, node)));
}

BenchSetting host_setting(MpiSession& session,
                          Communicator& world,
                          const CollectivesRequest& request) {
    // Containers of one host have names of their own.
    const std::string node = this_host().boot_id + this_host().name;
    const std::shared_ptr<SharedHeap> heap = heap_for(request, world, node);
    const CarrierSetting carriers{
        .node = node, .largest = largest_of(request), .heap = heap, .timeout = request.timeout};
    BenchSetting setting{.contenders = {},
                         .memory = heap ? BenchMemory{.lend = lender_of(heap)} : ordinary_memory(),
                         .buffers = std::string(to_string(request.buffers)),
                         .flags = {}};
    for (const std::string& name : request.carriers) {
        setting.contenders.push_back(
            {.name = name, .communicator = make_carrier(name, session.world(), carriers)});
    }
    return setting;
}

/// Flags of the job's ranks on these GPUs. LaunchError where some share one and may not.
std::vector<std::string> judge_gpus(Communicator& world,
                                    const CollectivesRequest& request,
                                    const GpuDescription& gpu) {
    const RankFacts mine = facts_of_this_process({.rank = WorldRank{world.rank().value()},
                                                  .world_size = world.size(),
                                                  .mpi = MpiSession::version(),
                                                  .gpu_uuid = gpu.uuid,
                                                  .gpu_pci_bus_id = gpu.pci_bus_id});
    Findings findings = check_launch(world,
                                     mine,
                                     {.compute = Compute::timed,
                                      .oversubscription = Oversubscription::allowed,
                                      .gpu_sharing = request.gpu_sharing});
    findings.throw_if_refused();
    return std::move(findings.flags);
}

BenchSetting gpu_setting(MpiSession& session,
                         Communicator& world,
                         const CollectivesRequest& request,
                         const GpuInventory& gpus) {
    const GpuDescription gpu = gpu_of_rank(world, gpus);
    BenchSetting setting{.contenders = {},
                         .memory = {},
                         .buffers = fmt::format("memory of {}", gpu.name),
                         .flags = judge_gpus(world, request, gpu)};
    const std::vector<std::string> users = all_gather_text(world, gpu.uuid);
    const std::int64_t sharers = std::count(users.begin(), users.end(), gpu.uuid);
    require_memory(world, request, sharers, gpu.name, gpu.memory);
    GpuModule* const module = find_gpu_module().module;
    TD_EXPECT(module != nullptr);
    const std::shared_ptr<GpuTraffic> traffic =
        module->make_traffic(gpu.ordinal, {.sharing = request.gpu_sharing});
    setting.memory = {.lend = [traffic](std::size_t bytes) { return traffic->allocate(bytes); },
                      .staging = traffic->make_staging()};
    for (const std::string& name : request.carriers) {
        const GpuCollectives carrier = *parse_enum<GpuCollectives>(name);
        setting.contenders.push_back(
            {.name = name, .communicator = traffic->make_communicator(carrier, session.world())});
    }
    return setting;
}

}  // namespace

BenchSetting bench_setting(MpiSession& session,
                           Communicator& world,
                           const CollectivesRequest& request,
                           const GpuInventory& gpus,
                           const std::vector<std::string>& hosts) {
    const std::string& own = hosts[world.rank().index()];
    require_memory(
        world, request, std::count(hosts.begin(), hosts.end(), own), own, available_memory());
    return request.device == BenchDevice::cuda ? gpu_setting(session, world, request, gpus)
                                               : host_setting(session, world, request);
}

}  // namespace traindyno
