// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collectives/auto/carrier.hpp"
#include "collectives/control.hpp"
#include "emulator/cli/bench_setting.hpp"
#include "emulator/cli/collectives_request.hpp"
#include "emulator/cli/commands.hpp"
#include "emulator/cli/environment.hpp"
#include "emulator/cli/gpu_search.hpp"
#include "emulator/cli/on_first.hpp"
#include "emulator/cli/progress.hpp"
#include "emulator/cli/version.hpp"
#include "emulator/collective_bench/bench_files.hpp"
#include "emulator/collective_bench/bench_text.hpp"
#include "emulator/collective_bench/link_model.hpp"
#include "emulator/collective_bench/measure_collectives.hpp"
#include "emulator/study/result_files.hpp"

namespace traindyno {

namespace {

void require_one_host(const CollectivesRequest& request, const std::vector<std::string>& hosts) {
    const std::string shm(to_string(Carrier::shm));
    const std::vector<std::string>& carriers = request.carriers;
    const auto count = std::set<std::string>(hosts.begin(), hosts.end()).size();
    if (count > 1 && std::find(carriers.begin(), carriers.end(), shm) != carriers.end()) {
        throw ConfigError({fmt::format(
            "--collectives: shm carries nothing between hosts (the job has {}) use hierarchical",
            count)});
    }
}

/// What makes the figures worth less.
std::vector<std::string> flags_of(const std::vector<HostInfo>& infos,
                                  const std::vector<std::string>& hosts) {
    std::vector<std::string> flags;
    for (const HostInfo& info : infos) {
        const std::int64_t here = std::count(hosts.begin(), hosts.end(), info.name);
        if (here > info.cores) {
            flags.push_back(
                fmt::format("{} ranks share {} cores on {}: times hold waits for a core",
                            here,
                            info.cores,
                            info.name));
        }
    }
    return flags;
}

/// Text and files, on rank 0.
class Output {
  public:
    Output(const CollectivesRequest& request,
           BenchHeader header,
           std::int64_t ranks,
           const std::optional<BenchLinks>& links)
        : request_(request),
          header_(std::move(header)),
          model_(links ? ModelColumn::present : ModelColumn::absent) {
        fmt::print(
            "# traindyno {}: {} on {} rank{}, {} warm-up iterations, {} measured, {} checked\n"
            "# time: median over the iterations, of which each takes what its slowest rank "
            "takes\n"
            "# buffers: {}\n",
            header_.version,
            to_string(request.what.op),
            ranks,
            ranks == 1 ? "" : "s",
            request.warm_up,
            request.iterations,
            request.checks,
            header_.buffers);
        if (links) {
            fmt::print("# model: {}\n", describe(*links));
        }
        for (const std::string& flag : header_.flags_raised) {
            fmt::print("# flag: {}\n", flag);
        }
        if (alone()) {
            begin_block(request.carriers.front());
        }
    }

    /// Of one size. A single backend's line is printed at once; files grow with every size.
    void add(const std::vector<BenchRow>& rows) {
        rows_.insert(rows_.end(), rows.begin(), rows.end());
        if (alone()) {
            fmt::print("{}", bench_line(rows, model_));
            std::fflush(stdout);
        }
        if (!request_.json.empty()) {
            write_file(request_.json, bench_json(header_, rows_));
        }
        if (!request_.csv.empty()) {
            write_file(request_.csv, bench_csv(rows_));
        }
    }

    void finish() const {
        for (const std::string& carrier : request_.carriers) {
            const std::vector<BenchRow> own = rows_of(carrier);
            if (!alone()) {
                begin_block(carrier);
                print_lines(own);
            }
            fmt::print("{}", bench_footing(own));
        }
    }

  private:
    [[nodiscard]] bool alone() const { return request_.carriers.size() == 1; }

    void begin_block(const std::string& carrier) const {
        fmt::print("#\n# collectives: {}\n{}", carrier, bench_heading(model_));
    }

    [[nodiscard]] std::vector<BenchRow> rows_of(const std::string& carrier) const {
        std::vector<BenchRow> own;
        std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(own), [&](const BenchRow& row) {
            return row.backend == carrier;
        });
        return own;
    }

    void print_lines(const std::vector<BenchRow>& rows) const {
        for (auto first = rows.begin(); first != rows.end();) {
            const auto next = std::find_if(
                first, rows.end(), [&](const BenchRow& row) { return row.shape != first->shape; });
            fmt::print("{}", bench_line({first, next}, model_));
            first = next;
        }
    }

    const CollectivesRequest& request_;
    BenchHeader header_;
    ModelColumn model_;
    std::vector<BenchRow> rows_;
};

BenchHeader header_of(Communicator& world,
                      const std::vector<std::string>& hosts,
                      const BenchSetting& setting,
                      const std::string& command_line) {
    BenchHeader header{.version = version(),
                       .created = utc_now(),
                       .command = command_line,
                       .mpi = MpiSession::version(),
                       .buffers = setting.buffers,
                       .hosts = gather_hosts(world, this_host()),
                       .flags_raised = {}};
    header.flags_raised = flags_of(header.hosts, hosts);
    header.flags_raised.insert(
        header.flags_raised.end(), setting.flags.begin(), setting.flags.end());
    return header;
}

/// Nothing between GPUs, whose links it does not see.
std::optional<BenchLinks> links_of(const CollectivesRequest& request,
                                   const BenchSetting& setting,
                                   Communicator& world) {
    if (world.size() == 1 || request.device == BenchDevice::cuda) {
        return std::nullopt;
    }
    BenchLinks links{.messages = measure_link(world),
                     .memory = std::nullopt,
                     .buffers = request.buffers == BufferKind::shared ? BufferPlace::shared
                                                                      : BufferPlace::ordinary};
    for (const Contender& contender : setting.contenders) {
        if (carrier_of(contender, BenchOp::all_reduce, Bytes{8}) == to_string(Carrier::shm)) {
            links.memory = measure_memory(*contender.communicator);
        }
    }
    return links;
}

BenchPlan plan_of(const CollectivesRequest& request,
                  const BenchSetting& setting,
                  const std::optional<BenchLinks>& links) {
    return {.what = request.what,
            .shapes = request.shapes,
            .iterations = request.iterations,
            .warm_up = request.warm_up,
            .checks = request.checks,
            .model = links ? model_of(*links) : BenchModel{},
            .memory = setting.memory,
            .timeout = request.timeout};
}

}  // namespace

ExitCode collectives_command(const Flags& flags,
                             Problems& problems,
                             MpiSession& session,
                             const std::string& command_line) {
    const auto world = session.world();
    const GpuInventory gpus =
        wants_gpu(flags) ? agree_on_gpus(*world, flags, session.rank()) : GpuInventory{};
    const CollectivesRequest request = collectives_request(flags, session.size(), gpus, problems);
    const std::vector<std::string> hosts = all_gather_text(*world, this_host().name);
    require_one_host(request, hosts);
    const BenchSetting setting = bench_setting(session, *world, request, gpus, hosts);
    BenchHeader header = header_of(*world, hosts, setting, command_line);
    const std::optional<BenchLinks> links = links_of(request, setting, *world);
    const bool prints = session.rank() == WorldRank{0};
    std::optional<Output> output;
    std::optional<ProgressLine> line;
    if (prints) {
        output.emplace(request, std::move(header), world->size(), links);
        if (setting.contenders.size() > 1) {
            line.emplace();
        }
    }
    const BenchListener listener{.on_progress =
                                     [&](const std::string& text) {
                                         if (line) {
                                             line->show(text);
                                         }
                                     },
                                 .on_rows =
                                     [&](const std::vector<BenchRow>& rows) {
                                         on_first(*world, [&] {
                                             output->add(rows);
                                             return std::string{};
                                         });
                                     }};
    const std::vector<std::string> complaints =
        measure_collectives(*world, setting.contenders, plan_of(request, setting, links), listener);
    line.reset();
    if (output) {
        output->finish();
    }
    if (prints) {
        fmt::print(stderr, "{}", complaint_text(complaints));
    }
    return exit_code_of(complaints);
}

}  // namespace traindyno
