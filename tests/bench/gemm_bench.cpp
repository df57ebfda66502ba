// SPDX-License-Identifier: Apache-2.0
// Matrix products of a GPT-3 125M layer: the cpu device against oneDNN called directly.
//
//     gemm_bench [threads] [tokens]
//
// Both run the same product on the same cores in turns (A B A B ...). The direct side may store A
// and B as it likes (row- or column-major, four layouts); its fastest layout counts. Exit code 1
// when a product reaches less than 95 % of it.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>
#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/base/number_ranges.hpp"
#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/team.hpp"

namespace traindyno {
namespace {

constexpr int rounds = 9;
constexpr SimTime round_time = std::chrono::milliseconds{60};
constexpr SimTime rest = std::chrono::milliseconds{15};  // idle OpenMP threads stop spinning

struct Case {
    std::string name;
    MatMul product;
};

/// Forward, data gradient and weight gradient of y[t,out] = x[t,in] W[out,in]^T.
std::vector<Case> linear_layer(const std::string& name,
                               std::int64_t tokens,
                               std::int64_t in,
                               std::int64_t out) {
    const Slice x{.space = Space::saved, .offset = 0, .elements = tokens * in};
    const Slice y{.space = Space::workspace, .offset = 0, .elements = tokens * out};
    const Slice weight{.space = Space::parameter, .offset = 0, .elements = in * out};
    const Slice gradient{.space = Space::gradient, .offset = 0, .elements = in * out};
    return {{name + " forward",
             {.m = tokens,
              .n = out,
              .k = in,
              .transpose_b = Transpose::yes,
              .a = x,
              .b = weight,
              .c = y}},
            {name + " dgrad", {.m = tokens, .n = in, .k = out, .a = y, .b = weight, .c = x}},
            {name + " wgrad",
             {.m = out,
              .n = in,
              .k = tokens,
              .transpose_a = Transpose::yes,
              .accumulate = Accumulate::yes,
              .a = y,
              .b = x,
              .c = gradient}}};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// oneDNN without anything of ours around it.
class Direct {
  public:
    Direct(const MatMul& p, bool a_by_columns, bool b_by_columns, const Team& team)
        : a_(static_cast<std::size_t>(p.m * p.k)),
          b_(static_cast<std::size_t>(p.k * p.n)),
          c_(static_cast<std::size_t>(p.m * p.n)) {
        for (std::vector<float>* data : {&a_, &b_}) {
            fill_random(team,
                        {.data = reinterpret_cast<std::byte*>(data->data()),
                         .elements = static_cast<std::int64_t>(data->size())},
                        1.0F,
                        7);
        }
        using Tag = dnnl::memory::format_tag;
        const auto type = dnnl::memory::data_type::f32;
        dnnl::primitive_attr attributes;
        if (p.accumulate == Accumulate::yes) {
            dnnl::post_ops sum;
            sum.append_sum(1.0F);
            attributes.set_post_ops(sum);
        }
        const dnnl::matmul::desc desc({{p.m, p.k}, type, a_by_columns ? Tag::ba : Tag::ab},
                                      {{p.k, p.n}, type, b_by_columns ? Tag::ba : Tag::ab},
                                      {{p.m, p.n}, type, Tag::ab});
        const dnnl::matmul::primitive_desc description(desc, attributes, engine_);
        product_ = dnnl::matmul(description);
        arguments_ = {{DNNL_ARG_SRC, {description.src_desc(), engine_, a_.data()}},
                      {DNNL_ARG_WEIGHTS, {description.weights_desc(), engine_, b_.data()}},
                      {DNNL_ARG_DST, {description.dst_desc(), engine_, c_.data()}}};
        implementation_ = description.impl_info_str();
    }

    /// Mean seconds of `times` products.
    double run(int times) {
        const SimTime before = now();
        for (int i = 0; i < times; ++i) {
            product_.execute(stream_, arguments_);
            stream_.wait();
        }
        return to_seconds(now() - before) / times;
    }

    [[nodiscard]] const std::string& implementation() const { return implementation_; }

  private:
    std::vector<float> a_;
    std::vector<float> b_;
    std::vector<float> c_;
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    dnnl::matmul product_;
    std::unordered_map<int, dnnl::memory> arguments_;
    std::string implementation_;
};

StepProgram program_of(const MatMul& product) {
    StepProgram program;
    const auto grow = [&](const Slice& slice) {
        Extents& e = program.extents;
        std::int64_t& extent = slice.space == Space::saved       ? e.saved
                               : slice.space == Space::workspace ? e.workspace
                                                                 : e.parameter;
        extent = std::max(extent, slice.offset + slice.elements);
    };
    for (const Slice& slice : {product.a, product.b, product.c}) {
        grow(slice);
    }
    Block block;
    block.ops.push_back({.op = Op{ComputeOp{product}}, .after = {}});
    program.blocks.push_back(block);
    program.tasks.emplace_back();
    return program;
}

/// Mean seconds of `times` queued products, gaps between them included.
double run_on(Device& device, const StepProgram& program, int times) {
    const auto& op = std::get<ComputeOp>(program.blocks[0].ops[0].op);
    const Ticket first = device.completed();
    Ticket last = first;
    for (int i = 0; i < times; ++i) {
        last = device.submit(op, program.tasks[0]);
    }
    while (device.completed() <= last) {
        device.wait(last, now() + std::chrono::seconds{60});
    }
    return to_seconds(device.interval(last).end - device.interval(first).begin) / times;
}

void pause() {
    const SimTime until = now() + rest;
    const timespec time{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds{15'000'000}.count()};
    while (now() < until) {
        nanosleep(&time, nullptr);
    }
}

/// Ratio of the device's rate to the direct one.
double compare(const Case& item, const Team& team, const std::vector<int>& cores) {
    const auto device = make_cpu_device({.cores = cores, .threads = team.threads(), .seed = 1});
    const StepProgram program = program_of(item.product);
    device->prepare(program);
    std::vector<std::unique_ptr<Direct>> layouts;
    for (const int layout : {0, 1, 2, 3}) {
        layouts.push_back(
            std::make_unique<Direct>(item.product, (layout & 1) != 0, (layout & 2) != 0, team));
    }
    const double once = run_on(*device, program, 3);
    pause();
    const int times = std::max(1, static_cast<int>(to_seconds(round_time) / once));
    std::vector<double> ours;
    std::vector<std::vector<double>> direct(layouts.size());
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(run_on(*device, program, times));
        pause();
        for (std::size_t i = 0; i < layouts.size(); ++i) {
            direct[i].push_back(layouts[i]->run(times));
            pause();
        }
    }
    std::vector<double> medians;
    for (const auto& samples : direct) {
        medians.push_back(median(samples));
    }
    const auto best = std::min_element(medians.begin(), medians.end());
    const auto layout = static_cast<std::size_t>(best - medians.begin());
    const MatMul& p = item.product;
    const double gflop = 2e-9 * static_cast<double>(p.m * p.n * p.k);
    const double ratio = *best / median(ours);
    const char* names[] = {"A B", "A^T B", "A B^T", "A^T B^T"};
    fmt::print("{:<16} {:>5} x {:>5} x {:>5}  {:>7.1f}  {:>7.1f}  {:>6.3f}  {:<8} {}\n",
               item.name,
               p.m,
               p.n,
               p.k,
               gflop / median(ours),
               gflop / *best,
               ratio,
               names[layout],
               layouts[layout]->implementation());
    return ratio;
}

int run(int threads, std::int64_t tokens) {
    std::vector<int> cores = allowed_cores();
    cores.resize(std::min(cores.size(), static_cast<std::size_t>(threads)));
    const Team team(cores, threads);
    team.adopt_this_thread();
    fmt::print(
        "{}, {}, cores {}, {} threads; medians of {} rounds in turns\n"
        "{:<16} {:>21}  {:>7}  {:>7}  {:>6}  best layout of oneDNN\n",
        cpu_name(),
        cpu_compute_library(),
        ranges_text(cores),
        threads,
        rounds,
        "product",
        "m x n x k",
        "GFLOP/s",
        "oneDNN",
        "ratio");
    constexpr std::int64_t hidden = 768;
    double worst = 1e9;
    for (const auto& layer : {linear_layer("qkv", tokens, hidden, 3 * hidden),
                              linear_layer("projection", tokens, hidden, hidden),
                              linear_layer("mlp up", tokens, hidden, 4 * hidden),
                              linear_layer("mlp down", tokens, 4 * hidden, hidden)}) {
        for (const Case& item : layer) {
            worst = std::min(worst, compare(item, team, cores));
        }
    }
    fmt::print("worst ratio {:.3f}\n", worst);
    return worst < 0.95 ? 1 : 0;
}

}  // namespace
}  // namespace traindyno

int main(int argc, char** argv) {
    try {
        const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
        const std::int64_t tokens = argc > 2 ? std::atoll(argv[2]) : 2048;
        return traindyno::run(std::max(threads, 1), std::max<std::int64_t>(tokens, 1));
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
