// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/gemm.hpp"

#include <unordered_map>

#include <dnnl.hpp>
#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

dnnl::memory::data_type type_of(DType type) {
    TD_EXPECT(type == DType::fp32 || type == DType::bf16);
    return type == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// Logical rows x columns; stored transposed when `transpose` says so.
dnnl::memory::desc matrix(
    std::int64_t rows, std::int64_t columns, Transpose transpose, std::int64_t stride, DType type) {
    const dnnl::memory::dims strides =
        transpose == Transpose::yes ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1};
    return {{rows, columns}, type_of(type), strides};
}

template <class Action>
auto checked(const char* call, const Action& action, Where where = Where::here()) {
    try {
        return action();
    } catch (const dnnl::error& error) {
        throw LibraryError("oneDNN", error.status, error.what(), call, where);
    }
}

dnnl::matmul::primitive_desc describe(const GemmShape& shape, const dnnl::engine& engine) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (shape.accumulate == Accumulate::yes) {
        dnnl::post_ops sum;
        sum.append_sum(1.0F);
        attributes.set_post_ops(sum);
    }
    const dnnl::matmul::desc product(
        matrix(shape.m, shape.k, shape.transpose_a, shape.stride_a, shape.type_a),
        matrix(shape.k, shape.n, shape.transpose_b, shape.stride_b, shape.type_b),
        matrix(shape.m, shape.n, Transpose::no, shape.stride_c, shape.type_c));
    return {product, attributes, engine};
}

}  // namespace

GemmShape shape_of(const MatMul& op, DType storage, DType gradient) {
    return {.m = op.m,
            .n = op.n,
            .k = op.k,
            .transpose_a = op.transpose_a,
            .transpose_b = op.transpose_b,
            .accumulate = op.accumulate,
            .stride_a = op.transpose_a == Transpose::yes ? op.m : op.k,
            .stride_b = op.transpose_b == Transpose::yes ? op.k : op.n,
            .stride_c = op.n,
            .type_a = dtype_of(op.a.space, storage, gradient),
            .type_b = dtype_of(op.b.space, storage, gradient),
            .type_c = dtype_of(op.c.space, storage, gradient)};
}

bool has_bf16() {
    switch (dnnl::get_effective_cpu_isa()) {
        case dnnl::cpu_isa::avx512_core_bf16:
        case dnnl::cpu_isa::avx512_core_amx:
            return true;
        default:
            return false;  // also plain avx512_core, where oneDNN emulates bf16 slower than fp32
    }
}

std::string gemm_library() {
    const dnnl::version_t& version = *dnnl::version();
    return fmt::format("oneDNN {}.{}.{}", version.major, version.minor, version.patch);
}

struct Gemm::Compiled {
    explicit Compiled(const GemmShape& shape)
        : engine(dnnl::engine::kind::cpu, 0),
          stream(engine),
          description(describe(shape, engine)),
          product(description),
          a(description.src_desc(), engine, DNNL_MEMORY_NONE),
          b(description.weights_desc(), engine, DNNL_MEMORY_NONE),
          c(description.dst_desc(), engine, DNNL_MEMORY_NONE),
          scratchpad(description.scratchpad_desc(), engine),
          arguments{{DNNL_ARG_SRC, a},
                    {DNNL_ARG_WEIGHTS, b},
                    {DNNL_ARG_DST, c},
                    {DNNL_ARG_SCRATCHPAD, scratchpad}} {}

    dnnl::engine engine;
    dnnl::stream stream;
    dnnl::matmul::primitive_desc description;
    dnnl::matmul product;
    dnnl::memory a;
    dnnl::memory b;
    dnnl::memory c;
    dnnl::memory scratchpad;
    std::unordered_map<int, dnnl::memory> arguments;
};

Gemm::Gemm(const GemmShape& shape)
    : compiled_(checked("matmul", [&] { return std::make_unique<Compiled>(shape); })) {}

Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;
Gemm::~Gemm() = default;

void Gemm::run(const void* a, const void* b, void* c) {
    checked("execute", [&] {
        // oneDNN takes mutable pointers for inputs too; it does not write them.
        compiled_->a.set_data_handle(const_cast<void*>(a));
        compiled_->b.set_data_handle(const_cast<void*>(b));
        compiled_->c.set_data_handle(c);
        compiled_->product.execute(compiled_->stream, compiled_->arguments);
        compiled_->stream.wait();
    });
}

std::string Gemm::implementation() const {
    return compiled_->description.impl_info_str();
}

}  // namespace traindyno
