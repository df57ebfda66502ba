// SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/element_types.hpp"

#include <cstddef>
#include <span>

#include "collectives/bf16.hpp"
#include "collectives/mpi/check.hpp"

namespace traindyno {

namespace {

std::span<const Bf16> values(const void* data, const int* count) {
    return {static_cast<const Bf16*>(data), static_cast<std::size_t>(*count)};
}

std::span<Bf16> values(void* data, const int* count) {
    return {static_cast<Bf16*>(data), static_cast<std::size_t>(*count)};
}

// MPI_User_function: not const, by MPI's signature.
// NOLINTBEGIN(readability-non-const-parameter)
void sum_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    add_bf16(values(static_cast<const void*>(from), count), values(into, count));
}

void max_callback(void* from, void* into, int* count, MPI_Datatype* /*type*/) {
    max_bf16(values(static_cast<const void*>(from), count), values(into, count));
}

// NOLINTEND(readability-non-const-parameter)

UniqueOp commutative(MPI_User_function* function) {
    MPI_Op op = MPI_OP_NULL;
    TD_MPI(MPI_Op_create(function, 1, &op));
    return UniqueOp{op};
}

}  // namespace

void MpiDatatypeTraits::destroy(Handle type) noexcept {
    detail::report_mpi(MPI_Type_free(&type), "MPI_Type_free");
}

void MpiOpTraits::destroy(Handle op) noexcept {
    detail::report_mpi(MPI_Op_free(&op), "MPI_Op_free");
}

ElementTypes::ElementTypes()
    : bf16_sum_(commutative(&sum_callback)), bf16_max_(commutative(&max_callback)) {
    MPI_Datatype two_bytes = MPI_DATATYPE_NULL;
    TD_MPI(MPI_Type_contiguous(2, MPI_BYTE, &two_bytes));
    bf16_ = UniqueDatatype{two_bytes};
    TD_MPI(MPI_Type_commit(&two_bytes));
}

MPI_Datatype ElementTypes::datatype(DType type) const {
    switch (type) {
        case DType::fp32:
            return MPI_FLOAT;
        case DType::bf16:
            return bf16_.get();
        case DType::fp64:
            return MPI_DOUBLE;
        case DType::int64:
            return MPI_INT64_T;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op ElementTypes::operation(DType type, Reduction reduction) const {
    switch (reduction) {
        case Reduction::sum:
            return type == DType::bf16 ? bf16_sum_.get() : MPI_SUM;
        case Reduction::max:
            return type == DType::bf16 ? bf16_max_.get() : MPI_MAX;
    }
    return MPI_OP_NULL;
}

}  // namespace traindyno
