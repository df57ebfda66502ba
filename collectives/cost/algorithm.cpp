// SPDX-License-Identifier: Apache-2.0
#include "collectives/cost/algorithm.hpp"

namespace traindyno {

bool has(Algorithm algorithm, CollectiveOp op) {
    switch (algorithm) {
        case Algorithm::ring:
            return op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter ||
                   op == CollectiveOp::all_gather;
        case Algorithm::recursive_doubling:
            return op == CollectiveOp::all_reduce || op == CollectiveOp::all_gather;
        case Algorithm::halving_doubling:
            return op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter;
        case Algorithm::double_tree:
            return op == CollectiveOp::all_reduce || op == CollectiveOp::broadcast;
        case Algorithm::pairwise:
        case Algorithm::bruck:
            return op == CollectiveOp::all_to_all;
        case Algorithm::binomial:
        case Algorithm::scatter_all_gather:
            return op == CollectiveOp::broadcast;
    }
    return false;
}

Algorithm algorithm_for(Algorithm algorithm, CollectiveOp op) {
    if (has(algorithm, op)) {
        return algorithm;
    }
    const bool few_rounds = algorithm == Algorithm::recursive_doubling ||
                            algorithm == Algorithm::bruck || algorithm == Algorithm::binomial;
    switch (op) {
        case CollectiveOp::all_reduce:
            return few_rounds ? Algorithm::recursive_doubling : Algorithm::ring;
        case CollectiveOp::reduce_scatter:
            return few_rounds ? Algorithm::halving_doubling : Algorithm::ring;
        case CollectiveOp::all_gather:
            return few_rounds || algorithm == Algorithm::halving_doubling
                       ? Algorithm::recursive_doubling
                       : Algorithm::ring;
        case CollectiveOp::all_to_all:
            return few_rounds ? Algorithm::bruck : Algorithm::pairwise;
        case CollectiveOp::broadcast:
            return few_rounds ? Algorithm::binomial : Algorithm::scatter_all_gather;
    }
    return algorithm;
}

}  // namespace traindyno
