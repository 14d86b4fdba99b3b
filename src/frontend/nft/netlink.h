// SPDX-License-Identifier: BSD-2-Clause
//
// Owners for the objects of libmnl, libnftnl and libnftables.
#pragma once

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/gen.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

#include <memory>

namespace weir::frontend::nft {

template <auto function>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    function(object);
  }
};

using Socket = std::unique_ptr<mnl_socket, Deleter<mnl_socket_close>>;
using NlTable = std::unique_ptr<nftnl_table, Deleter<nftnl_table_free>>;
using NlChain = std::unique_ptr<nftnl_chain, Deleter<nftnl_chain_free>>;
using NlRule = std::unique_ptr<nftnl_rule, Deleter<nftnl_rule_free>>;
using NlSet = std::unique_ptr<nftnl_set, Deleter<nftnl_set_free>>;
using NlObject = std::unique_ptr<nftnl_obj, Deleter<nftnl_obj_free>>;
using NlGeneration = std::unique_ptr<nftnl_gen, Deleter<nftnl_gen_free>>;
using NlExprIterator = std::unique_ptr<nftnl_expr_iter, Deleter<nftnl_expr_iter_destroy>>;
using NlElementIterator =
    std::unique_ptr<nftnl_set_elems_iter, Deleter<nftnl_set_elems_iter_destroy>>;

}  // namespace weir::frontend::nft
