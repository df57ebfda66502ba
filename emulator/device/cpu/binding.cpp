// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/binding.hpp"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>

#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"
#include "emulator/base/unique_handle.hpp"

namespace traindyno {

namespace {

struct TopologyTraits {
    using Handle = hwloc_topology_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle topology) noexcept { hwloc_topology_destroy(topology); }
};

struct BitmapTraits {
    using Handle = hwloc_bitmap_t;

    static Handle null() { return nullptr; }

    static void destroy(Handle bitmap) noexcept { hwloc_bitmap_free(bitmap); }
};

using Topology = UniqueHandle<TopologyTraits>;
using Bitmap = UniqueHandle<BitmapTraits>;

void check(int result, const char* call, Where where = Where::here()) {
    if (result < 0) {
        throw LibraryError("hwloc", errno, std::system_category().message(errno), call, where);
    }
}

Topology load_topology() {
    hwloc_topology_t raw = nullptr;
    check(hwloc_topology_init(&raw), "hwloc_topology_init");
    Topology topology{raw};
    check(hwloc_topology_load(topology.get()), "hwloc_topology_load");
    return topology;
}

/// PCI devices, which hwloc leaves out by itself. Not what they are to the operating system: asking
/// for that would start the GPUs' own libraries.
Topology load_topology_with_devices(const std::string& xml) {
    hwloc_topology_t raw = nullptr;
    check(hwloc_topology_init(&raw), "hwloc_topology_init");
    Topology topology{raw};
    check(hwloc_topology_set_type_filter(
              topology.get(), HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL),
          "hwloc_topology_set_type_filter");
    if (!xml.empty()) {
        const auto size = static_cast<int>(xml.size() + 1);  // with the final 0
        check(hwloc_topology_set_xmlbuffer(topology.get(), xml.c_str(), size),
              "hwloc_topology_set_xmlbuffer");
    }
    check(hwloc_topology_load(topology.get()), "hwloc_topology_load");
    return topology;
}

/// Physical cores; processors where the host does not describe cores.
hwloc_obj_type_t core_type(const Topology& topology) {
    return hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE
                                                                        : HWLOC_OBJ_PU;
}

}  // namespace

std::vector<int> allowed_cores() {
    const Topology topology = load_topology();
    const Bitmap bound{hwloc_bitmap_alloc()};
    check(hwloc_get_cpubind(topology.get(), bound.get(), HWLOC_CPUBIND_PROCESS),
          "hwloc_get_cpubind");
    const Bitmap mine{hwloc_bitmap_alloc()};
    const hwloc_obj_type_t type = core_type(topology);
    const int total = hwloc_get_nbobjs_by_type(topology.get(), type);
    std::vector<int> cores;
    for (int i = 0; i < total; ++i) {
        const auto* core = hwloc_get_obj_by_type(topology.get(), type, static_cast<unsigned>(i));
        hwloc_bitmap_and(mine.get(), core->cpuset, bound.get());
        if (const int processor = hwloc_bitmap_first(mine.get()); processor >= 0) {
            cores.push_back(processor);
        }
    }
    return cores;
}

std::vector<int> cores_near(const std::string& pci_bus_id, const std::string& topology_xml) {
    const Topology topology = load_topology_with_devices(topology_xml);
    hwloc_obj_t device = hwloc_get_pcidev_by_busidstring(topology.get(), pci_bus_id.c_str());
    if (device == nullptr) {
        return {};
    }
    const hwloc_obj* place = hwloc_get_non_io_ancestor_obj(topology.get(), device);
    const hwloc_obj_type_t type = core_type(topology);
    std::vector<int> cores;
    for (int i = 0; i < hwloc_get_nbobjs_by_type(topology.get(), type); ++i) {
        const auto* core = hwloc_get_obj_by_type(topology.get(), type, static_cast<unsigned>(i));
        if (hwloc_bitmap_isincluded(core->cpuset, place->cpuset) != 0) {
            cores.push_back(hwloc_bitmap_first(core->cpuset));
        }
    }
    return cores;
}

std::vector<int> split_cores(const std::vector<int>& cores,
                             std::int64_t local_rank,
                             std::int64_t local_size) {
    TD_EXPECT(!cores.empty() && local_rank >= 0 && local_rank < local_size);
    const auto count = static_cast<std::int64_t>(cores.size());
    if (count < local_size) {
        return {cores[static_cast<std::size_t>(local_rank % count)]};
    }
    const std::int64_t share = count / local_size;
    const std::int64_t larger = count % local_size;  // ranks with one core more
    const std::int64_t first = local_rank * share + std::min(local_rank, larger);
    const std::int64_t length = share + (local_rank < larger ? 1 : 0);
    return {cores.begin() + first, cores.begin() + first + length};
}

// The system call itself: hwloc would need a loaded topology (milliseconds) per thread.
void bind_this_thread(const std::vector<int>& cores) {
    TD_EXPECT(!cores.empty());
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : cores) {
        CPU_SET(static_cast<std::size_t>(core), &set);
    }
    const int error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    if (error != 0) {
        throw LibraryError(
            "pthread",
            error,
            fmt::format(
                "{} for cores {}", std::system_category().message(error), ranges_text(cores)),
            "pthread_setaffinity_np",
            Where::here());
    }
}

std::string cpu_name() {
    const Topology topology = load_topology();
    hwloc_obj_t package = hwloc_get_obj_by_type(topology.get(), HWLOC_OBJ_PACKAGE, 0);
    const char* model =
        package == nullptr ? nullptr : hwloc_obj_get_info_by_name(package, "CPUModel");
    return model == nullptr ? "unknown CPU" : model;
}

HostResources host_resources() {
    const Topology topology = load_topology();
    return {.cores = hwloc_get_nbobjs_by_type(topology.get(), core_type(topology)),
            .memory =
                Bytes{static_cast<std::int64_t>(hwloc_get_root_obj(topology.get())->total_memory)}};
}

}  // namespace traindyno
