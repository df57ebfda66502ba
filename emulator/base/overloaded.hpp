// SPDX-License-Identifier: Apache-2.0
// Visitor for std::variant: a missing case is a compile error.
#pragma once

namespace traindyno {

template <class... Callables>
struct Overloaded : Callables... {
    using Callables::operator()...;
};
template <class... Callables>
Overloaded(Callables...) -> Overloaded<Callables...>;

}  // namespace traindyno
