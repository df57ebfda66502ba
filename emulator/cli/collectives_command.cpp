// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "emulator/base/quantity_text.hpp"
#include "emulator/cli/carriers.hpp"
#include "emulator/cli/collectives_request.hpp"
#include "emulator/cli/commands.hpp"
#include "emulator/cli/environment.hpp"
#include "emulator/cli/on_first.hpp"
#include "emulator/cli/progress.hpp"
#include "emulator/cli/version.hpp"
#include "emulator/collective_bench/bench_buffers.hpp"
#include "emulator/collective_bench/bench_files.hpp"
#include "emulator/collective_bench/bench_text.hpp"
#include "emulator/collective_bench/link_model.hpp"
#include "emulator/collective_bench/measure_collectives.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/study/result_files.hpp"

namespace traindyno {

namespace {

/// Refuses, on all ranks, buffers that a host cannot hold. `hosts` has every rank's host.
void require_memory(Communicator& world,
                    const CollectivesRequest& request,
                    const std::vector<std::string>& hosts) {
    const std::string& own = hosts[world.rank().index()];
    const auto here = static_cast<std::int64_t>(std::count(hosts.begin(), hosts.end(), own));
    const Bytes needed = here * BenchBuffers::needed(request.shapes.back(), request.what.type);
    const Bytes available = available_memory();
    const std::string refusal =
        needed <= available
            ? std::string{}
            : fmt::format("--maxbytes: {} ranks on {} need {} for buffers ({} are free) lower it",
                          here,
                          own,
                          format_bytes(needed),
                          format_bytes(available));
    for (const std::string& text : all_gather_text(world, refusal)) {
        if (!text.empty()) {
            throw ConfigError({text});
        }
    }
}

void require_one_host(const CollectivesRequest& request, const BenchHeader& header) {
    const std::string shm(to_string(Carrier::shm));
    const std::vector<std::string>& carriers = request.carriers;
    if (header.hosts.size() > 1 &&
        std::find(carriers.begin(), carriers.end(), shm) != carriers.end()) {
        throw ConfigError({fmt::format(
            "--collectives: shm carries nothing between hosts (the job has {}) use hierarchical",
            header.hosts.size())});
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
           const std::optional<LinkModel>& link)
        : request_(request),
          header_(std::move(header)),
          model_(link ? ModelColumn::present : ModelColumn::absent) {
        fmt::print(
            "# traindyno {}: {} on {} rank{}, {} warm-up iterations, {} measured, {} checked\n"
            "# time: median over the iterations, of which each takes what its slowest rank "
            "takes\n",
            header_.version,
            to_string(request.what.op),
            ranks,
            ranks == 1 ? "" : "s",
            request.warm_up,
            request.iterations,
            request.checks);
        if (link) {
            fmt::print("# model: {} between neighbours, measured over MPI\n", describe(*link));
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

/// Sizes of the measured operation alone.
LargestMessages largest_of(const CollectivesRequest& request) {
    LargestMessages largest{};
    const Bytes size = size_of(request.shapes.back(), request.what.type);
    if (const auto op = parse_enum<CollectiveOp>(to_string(request.what.op))) {
        largest[static_cast<std::size_t>(*op)] = std::min(size.value(), largest_trial);
    }
    return largest;
}

std::vector<Contender> contenders_of(const CollectivesRequest& request,
                                     MpiSession& session,
                                     const std::string& node) {
    const CarrierSetting setting{.node = node, .largest = largest_of(request)};
    std::vector<Contender> contenders;
    for (const std::string& name : request.carriers) {
        contenders.push_back(
            {.name = name, .communicator = make_carrier(name, session.world(), setting)});
    }
    return contenders;
}

BenchHeader header_of(Communicator& world,
                      const std::vector<std::string>& hosts,
                      const std::string& command_line) {
    BenchHeader header{.version = version(),
                       .created = utc_now(),
                       .command = command_line,
                       .mpi = MpiSession::version(),
                       .hosts = gather_hosts(world, this_host()),
                       .flags_raised = {}};
    header.flags_raised = flags_of(header.hosts, hosts);
    return header;
}

}  // namespace

ExitCode collectives_command(const Flags& flags,
                             Problems& problems,
                             MpiSession& session,
                             const std::string& command_line) {
    const CollectivesRequest request = collectives_request(flags, session.size(), problems);
    const auto world = session.world();
    const std::vector<std::string> hosts = all_gather_text(*world, this_host().name);
    require_memory(*world, request, hosts);
    BenchHeader header = header_of(*world, hosts, command_line);
    require_one_host(request, header);
    const std::vector<Contender> contenders = contenders_of(request, session, this_host().boot_id);
    const std::optional<LinkModel> link =
        world->size() > 1 ? std::optional(measure_link(*world)) : std::nullopt;
    const bool prints = session.rank() == WorldRank{0};
    std::optional<Output> output;
    std::optional<ProgressLine> line;
    if (prints) {
        output.emplace(request, std::move(header), world->size(), link);
        if (contenders.size() > 1) {
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
        measure_collectives(*world,
                            contenders,
                            {.what = request.what,
                             .shapes = request.shapes,
                             .iterations = request.iterations,
                             .warm_up = request.warm_up,
                             .checks = request.checks,
                             .model = link ? model_of(*link) : BenchModel{}},
                            listener);
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
