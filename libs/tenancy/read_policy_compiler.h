// Makes a ReadPolicy, for read_policy.cc.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "libs/tenancy/read_policy.h"

namespace insula::tenancy {

class ReadPolicyCompiler {
 public:
  // Both outlive it.
  ReadPolicyCompiler(const Snapshot& snapshot, const Tenant& tenant);

  // Either of them, once. Of the accesses of the tenant, in any order; it holds
  // on to the tenant.
  std::shared_ptr<const ReadPolicy> Compile(
      std::vector<std::shared_ptr<const Access>> accesses);
  // Of a tenant without Access, which may hold on to it.
  std::shared_ptr<const ReadPolicy> CompileOwn();

 private:
  using Grant = ReadPolicy::Grant;

  std::shared_ptr<const ReadPolicy> Unite(
      std::vector<std::shared_ptr<const Access>> accesses);
  void Note(absl::string_view text);
  // Whether the tenant can read at all, by state and store.
  bool CanRead();
  void AddOwn();
  void AddAccess(const std::shared_ptr<const Access>& access);
  // The enforced labels of a source; null, with a note, if it can't be read.
  const Tenant* FindSource(const Access& access, const std::string& id);
  bool AddSources(Grant* grant, std::vector<Clause>* parts);
  // Adds clauses that are not there yet.
  void AddClause(Clause clause);

  const Snapshot& snapshot_;
  const Tenant& tenant_;
  bool by_header_ = false;
  size_t regex_cost_ = 0;  // Of the accesses so far.
  size_t left_out_ = 0;    // Notes beyond the most.
  std::shared_ptr<ReadPolicy> policy_ = std::make_shared<ReadPolicy>();
};

}  // namespace insula::tenancy
