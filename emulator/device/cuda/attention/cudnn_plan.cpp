// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/attention/cudnn_plan.hpp"

#include <iterator>
#include <utility>

#include "emulator/base/overloaded.hpp"

namespace traindyno::cuda {

namespace {

constexpr std::int64_t alignment = 16;  // of every address, in bytes: the longest vector load

Descriptor describe(const CudnnLibrary& cudnn, const GraphTensor& tensor) {
    Descriptor d(cudnn, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(TD_CUDNN_ATTR(TENSOR_UNIQUE_ID), tensor.id);
    d.set(TD_CUDNN_ATTR(TENSOR_DATA_TYPE), tensor.type);
    d.set(TD_CUDNN_ATTR(TENSOR_DIMENSIONS), std::span<const std::int64_t>(tensor.dims));
    d.set(TD_CUDNN_ATTR(TENSOR_STRIDES), std::span<const std::int64_t>(tensor.strides));
    d.set(TD_CUDNN_ATTR(TENSOR_BYTE_ALIGNMENT), alignment);
    d.set(TD_CUDNN_ATTR(TENSOR_IS_VIRTUAL), tensor.place == TensorPlace::inside);
    d.set(TD_CUDNN_ATTR(TENSOR_IS_BY_VALUE), tensor.place == TensorPlace::host);
    d.finalize();
    return d;
}

/// Builds the descriptors of a graph; keeps those that others refer to.
class GraphBuilder {
  public:
    GraphBuilder(const CudnnLibrary& cudnn, const CudnnGraph& graph) : cudnn_(cudnn) {
        for (const GraphTensor& tensor : graph.tensors) {
            tensors_.push_back(describe(cudnn, tensor));
        }
        for (const GraphNode& node : graph.nodes) {
            nodes_.push_back(
                std::visit([this](const auto& exact) { return operation(exact); }, node));
            nodes_.back().finalize();
        }
    }

    /// Everything built, the operation graph last.
    [[nodiscard]] std::vector<Descriptor> finish(cudnnHandle_t handle) && {
        Descriptor graph(cudnn_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        graph.set(TD_CUDNN_ATTR(OPERATIONGRAPH_OPS), std::span<const Descriptor>(nodes_));
        if (handle != nullptr) {
            graph.set(TD_CUDNN_ATTR(OPERATIONGRAPH_HANDLE), handle);
        }
        graph.finalize();
        std::vector<Descriptor> parts = std::move(tensors_);
        for (std::vector<Descriptor>* more : {&kinds_, &nodes_}) {
            parts.insert(parts.end(),
                         std::make_move_iterator(more->begin()),
                         std::make_move_iterator(more->end()));
        }
        parts.push_back(std::move(graph));
        return parts;
    }

  private:
    Descriptor operation(const MatMulNode& node) {
        Descriptor& kind = kinds_.emplace_back(cudnn_, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
        kind.set(TD_CUDNN_ATTR(MATMUL_COMP_TYPE), CUDNN_DATA_FLOAT);
        kind.finalize();
        Descriptor d(cudnn_, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
        d.set(TD_CUDNN_ATTR(OPERATION_MATMUL_DESC), kind);
        d.set(TD_CUDNN_ATTR(OPERATION_MATMUL_ADESC), tensors_[node.a]);
        d.set(TD_CUDNN_ATTR(OPERATION_MATMUL_BDESC), tensors_[node.b]);
        d.set(TD_CUDNN_ATTR(OPERATION_MATMUL_CDESC), tensors_[node.c]);
        return d;
    }

    Descriptor operation(const PointwiseNode& node) {
        Descriptor& kind = kinds_.emplace_back(cudnn_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
        kind.set(TD_CUDNN_ATTR(POINTWISE_MODE), node.mode);
        kind.set(TD_CUDNN_ATTR(POINTWISE_MATH_PREC), node.compute);
        if (node.mode == CUDNN_POINTWISE_GEN_INDEX) {
            kind.set(TD_CUDNN_ATTR(POINTWISE_AXIS), node.axis);
        }
        kind.finalize();
        Descriptor d(cudnn_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
        d.set(TD_CUDNN_ATTR(OPERATION_POINTWISE_PW_DESCRIPTOR), kind);
        d.set(TD_CUDNN_ATTR(OPERATION_POINTWISE_XDESC), tensors_[node.x]);
        d.set(TD_CUDNN_ATTR(OPERATION_POINTWISE_YDESC), tensors_[node.y]);
        if (node.b) {
            d.set(TD_CUDNN_ATTR(OPERATION_POINTWISE_BDESC), tensors_[*node.b]);
        }
        if (node.select) {
            d.set(TD_CUDNN_ATTR(OPERATION_POINTWISE_TDESC), tensors_[*node.select]);
        }
        return d;
    }

    Descriptor operation(const ReductionNode& node) {
        Descriptor& kind = kinds_.emplace_back(cudnn_, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
        kind.set(TD_CUDNN_ATTR(REDUCTION_OPERATOR), node.mode);
        kind.set(TD_CUDNN_ATTR(REDUCTION_COMP_TYPE), CUDNN_DATA_FLOAT);
        kind.finalize();
        Descriptor d(cudnn_, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
        d.set(TD_CUDNN_ATTR(OPERATION_REDUCTION_DESC), kind);
        d.set(TD_CUDNN_ATTR(OPERATION_REDUCTION_XDESC), tensors_[node.x]);
        d.set(TD_CUDNN_ATTR(OPERATION_REDUCTION_YDESC), tensors_[node.y]);
        return d;
    }

    Descriptor operation(const ReshapeNode& node) {
        Descriptor d(cudnn_, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
        d.set(TD_CUDNN_ATTR(OPERATION_RESHAPE_XDESC), tensors_[node.x]);
        d.set(TD_CUDNN_ATTR(OPERATION_RESHAPE_YDESC), tensors_[node.y]);
        return d;
    }

    const CudnnLibrary& cudnn_;
    std::vector<Descriptor> tensors_;
    std::vector<Descriptor> kinds_;  ///< what an operation does, apart from its operands
    std::vector<Descriptor> nodes_;
};

void set_device(Descriptor& descriptor, Attribute attribute, const PlanTarget& target) {
    if (target.device != nullptr) {
        descriptor.set(attribute, *target.device);
    }
}

/// Engine configurations that heuristics of `mode` propose, best first; empty when it has none.
std::vector<Descriptor> propose(const CudnnLibrary& cudnn,
                                const Descriptor& graph,
                                const PlanTarget& target,
                                cudnnBackendHeurMode_t mode,
                                std::vector<RefusedPlan>& refused) {
    Descriptor heuristics(cudnn, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(TD_CUDNN_ATTR(ENGINEHEUR_OPERATION_GRAPH), graph);
    heuristics.set(TD_CUDNN_ATTR(ENGINEHEUR_MODE), mode);
    set_device(heuristics, TD_CUDNN_ATTR(ENGINEHEUR_DEVICEPROP), target);
    const cudnnStatus_t status = heuristics.try_finalize();
    if (status != CUDNN_STATUS_SUCCESS) {
        refused.push_back({.status = status, .text = cudnn.describe(status)});
        return {};
    }
    std::vector<Descriptor> configurations;
    const std::size_t bound = heuristics.bound(TD_CUDNN_ATTR(ENGINEHEUR_RESULTS));
    while (configurations.size() < bound) {
        configurations.emplace_back(cudnn, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    }
    const std::size_t count = heuristics.fill(TD_CUDNN_ATTR(ENGINEHEUR_RESULTS), configurations);
    configurations.erase(configurations.begin() + static_cast<std::ptrdiff_t>(count),
                         configurations.end());
    return configurations;
}

}  // namespace

CudnnPlan::CudnnPlan(const CudnnLibrary& cudnn,
                     std::vector<Descriptor> parts,
                     const CudnnGraph& graph)
    : cudnn_(&cudnn),
      parts_(std::move(parts)),
      workspace_size_(parts_.back().get_int64(TD_CUDNN_ATTR(EXECUTION_PLAN_WORKSPACE_SIZE))) {
    for (const GraphTensor& tensor : graph.tensors) {
        if (tensor.place == TensorPlace::host) {
            host_tensors_.push_back(tensor);
        }
    }
}

void CudnnPlan::execute(cudnnHandle_t handle,
                        std::span<const BoundTensor> tensors,
                        void* workspace) {
    ids_.clear();
    addresses_.clear();
    for (const BoundTensor& tensor : tensors) {
        ids_.push_back(tensor.id);
        addresses_.push_back(tensor.address);
    }
    for (GraphTensor& tensor : host_tensors_) {
        ids_.push_back(tensor.id);
        addresses_.push_back(&tensor.value);
    }
    Descriptor pack(*cudnn_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(TD_CUDNN_ATTR(VARIANT_PACK_UNIQUE_IDS), std::span<const std::int64_t>(ids_));
    pack.set(TD_CUDNN_ATTR(VARIANT_PACK_DATA_POINTERS), std::span<void* const>(addresses_));
    pack.set(TD_CUDNN_ATTR(VARIANT_PACK_WORKSPACE), workspace);
    pack.finalize();
    cudnn_->check(cudnn_->execute(handle, parts_.back().get(), pack.get()), "cudnnBackendExecute");
}

PlanSearch find_plan(const CudnnLibrary& cudnn, const CudnnGraph& graph, const PlanTarget& target) {
    PlanSearch search;
    std::vector<Descriptor> parts = GraphBuilder(cudnn, graph).finish(target.handle);
    for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
        for (Descriptor& configuration :
             propose(cudnn, parts.back(), target, mode, search.refused)) {
            Descriptor plan(cudnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
            plan.set(TD_CUDNN_ATTR(EXECUTION_PLAN_ENGINE_CONFIG), configuration);
            if (target.handle != nullptr) {
                plan.set(TD_CUDNN_ATTR(EXECUTION_PLAN_HANDLE), target.handle);
            }
            set_device(plan, TD_CUDNN_ATTR(EXECUTION_PLAN_DEVICEPROP), target);
            const cudnnStatus_t status = plan.try_finalize();
            if (status == CUDNN_STATUS_SUCCESS) {
                parts.push_back(std::move(configuration));
                parts.push_back(std::move(plan));
                search.plan.emplace(cudnn, std::move(parts), graph);
                return search;
            }
            search.refused.push_back({.status = status, .text = cudnn.describe(status)});
        }
    }
    return search;
}

}  // namespace traindyno::cuda
