// SPDX-License-Identifier: Apache-2.0
// Flags of `traindyno collectives`.
#include <array>

#include "emulator/cli/flag_table.hpp"

namespace traindyno {

namespace {

constexpr std::array collectives_table{
    FlagSpec{
        "op",
        FlagKind::value,
        takes::collectives,
        "Collective",
        "NAME",
        "all_reduce (the default), reduce_scatter, all_gather, all_to_all, broadcast or sendrecv"},
    FlagSpec{"datatype",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "TYPE",
             "fp32 (the default), bf16, fp16, fp64, int32 or int64; nccl-tests' float, half, "
             "bfloat16, double too",
             "-d,--dtype"},
    FlagSpec{"reduction",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "OP",
             "sum (the default), max or average",
             "-o"},
    FlagSpec{"root",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "RANK",
             "root of a broadcast (default 0)",
             "-r"},
    FlagSpec{"collectives",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "NAME,...",
             "who carries the traffic, side by side in turns (default mpi)"},
    FlagSpec{"device",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "cpu|cuda",
             "whose memory is moved (default cpu); cuda: by nccl (the default) or mpi"},
    FlagSpec{"buffers",
             FlagKind::value,
             takes::collectives,
             "Collective",
             "ordinary|shared",
             "shared: in memory that all ranks of the host address (default ordinary)"},
    FlagSpec{"minbytes",
             FlagKind::value,
             takes::collectives,
             "Sizes",
             "SIZE",
             "smallest size, e.g. 8, 4K, 32M, 1MiB (default 8)",
             "-b"},
    FlagSpec{"maxbytes",
             FlagKind::value,
             takes::collectives,
             "Sizes",
             "SIZE",
             "largest size (default 32M)",
             "-e"},
    FlagSpec{"stepfactor",
             FlagKind::value,
             takes::collectives,
             "Sizes",
             "N",
             "from one size to the next by a factor (default 2)",
             "-f"},
    FlagSpec{"stepbytes",
             FlagKind::value,
             takes::collectives,
             "Sizes",
             "SIZE",
             "from one size to the next by an increment",
             "-i"},
    FlagSpec{"iters",
             FlagKind::value,
             takes::collectives,
             "Measuring",
             "N",
             "measured iterations per size (default 20)",
             "-n"},
    FlagSpec{"warmup_iters",
             FlagKind::value,
             takes::collectives,
             "Measuring",
             "N",
             "iterations before them (default 5)",
             "-w"},
    FlagSpec{"check",
             FlagKind::value,
             takes::collectives,
             "Measuring",
             "N",
             "operations per size whose results are compared (default 1, 0: none)",
             "-c"},
    FlagSpec{
        "json", FlagKind::value, takes::collectives, "Output", "FILE", "write the results as JSON"},
    FlagSpec{
        "csv", FlagKind::value, takes::collectives, "Output", "FILE", "write the results as CSV"},
};

}  // namespace

std::span<const FlagSpec> collectives_flags() {
    return collectives_table;
}

}  // namespace traindyno
