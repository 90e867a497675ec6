#include "libs/tenancy/read_policy_compiler.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "libs/tenancy/clause_parts.h"

namespace insula::tenancy {
namespace {

constexpr size_t kMaxNotes = 20;

// What the expressions of all accesses of a tenant may cost: 0.2 s, once.
constexpr size_t kMaxRegexCost = size_t{1} << 20;

// In the order of the names, so that equal policies print equal queries.
using SortedLabels = std::map<std::string, std::string>;

template <typename Labels>
SortedLabels Sorted(const Labels& labels) {
  return SortedLabels(labels.begin(), labels.end());
}

Clause Equalities(const SortedLabels& labels) {
  Clause clause;
  for (const auto& [name, value] : labels) {
    auto matcher =
        labels::Matcher::Create(labels::MatchType::kEqual, name, value);
    clause.push_back(*std::move(matcher));  // No regex: cannot fail.
  }
  Normalize(&clause);
  return clause;
}

bool Includes(const Clause& all, const Clause& some) {
  return std::all_of(some.begin(), some.end(), [&all](const auto& matcher) {
    return std::find(all.begin(), all.end(), matcher) != all.end();
  });
}

}  // namespace

ReadPolicyCompiler::ReadPolicyCompiler(const Snapshot& snapshot,
                                       const Tenant& tenant)
    : snapshot_(snapshot), tenant_(tenant) {}

void ReadPolicyCompiler::Note(absl::string_view text) {
  if (policy_->notes_.size() + 1 < kMaxNotes) {
    policy_->notes_.emplace_back(text);
  } else {
    ++left_out_;
  }
}

bool ReadPolicyCompiler::CanRead() {
  if (!tenant_.may_read()) {
    Note("the tenant may not read in its state, change Tenant.state");
    return false;
  }
  if (tenant_.spec.upstream_id().empty()) {
    Note("the tenant has no store, set Tenant.upstream_id");
    return false;
  }
  if (policy_->upstream_ == nullptr) {
    Note(absl::StrCat("upstream ", tenant_.spec.upstream_id(),
                      " is not known here, apply it"));
    return false;
  }
  const auto isolation = policy_->upstream_->spec.isolation();
  by_header_ = isolation == v1::Upstream::ISOLATION_HEADER;
  if (!by_header_ && isolation != v1::Upstream::ISOLATION_LABEL) {
    Note(absl::StrCat("upstream ", tenant_.spec.upstream_id(),
                      " does not say how it isolates, set Upstream.isolation"));
    return false;
  }
  if (!by_header_ && tenant_.spec.enforced_labels().empty()) {
    Note(absl::StrCat("the tenant has no enforced label, but its upstream ",
                      tenant_.spec.upstream_id(),
                      " isolates by label; set Tenant.enforced_labels"));
    return false;
  }
  return true;
}

void ReadPolicyCompiler::AddOwn() {
  const SortedLabels labels = Sorted(tenant_.spec.enforced_labels());
  policy_->reads_own_ = true;
  policy_->own_.assign(labels.begin(), labels.end());
  policy_->clauses_.push_back(Equalities(labels));
}

const Tenant* ReadPolicyCompiler::FindSource(const Access& access,
                                             const std::string& id) {
  std::shared_ptr<const Tenant> shared = snapshot_.ShareTenant(id);
  const Tenant* const source = shared.get();
  policy_->tenants_.emplace_back(id, std::move(shared));
  const auto note = [&](absl::string_view what) {
    Note(absl::StrCat("Access/", access.id, ": source tenant ", id, " ", what));
    return nullptr;
  };
  if (source == nullptr) return note("is not there, apply it");
  if (!source->may_read()) {
    return note("may not be read in its state, change its Tenant.state");
  }
  if (source->spec.upstream_id() != tenant_.spec.upstream_id()) {
    return note(absl::StrCat(
        "is kept at upstream '", source->spec.upstream_id(),
        "', this tenant at '", tenant_.spec.upstream_id(),
        "', and one query can't read both; keep both at one upstream that "
        "isolates by label"));
  }
  if (by_header_ && source->org_id() != tenant_.org_id()) {
    return note(absl::StrCat(
        "has another org id at upstream ", tenant_.spec.upstream_id(),
        ", which isolates by header, so that one query can't read both; keep "
        "both at one upstream that isolates by label"));
  }
  if (!by_header_ && source->spec.enforced_labels().empty()) {
    return note(
        "has no enforced label to tell its series by, set its "
        "Tenant.enforced_labels");
  }
  return source;
}

// What tells the series of the sources, in `parts` as clauses.
bool ReadPolicyCompiler::AddSources(Grant* grant, std::vector<Clause>* parts) {
  const Access& access = *grant->access;
  if (access.spec.every_source()) {
    if (by_header_) {
      Note(absl::StrCat(
          "Access/", access.id, ": every_source can't be read at upstream ",
          tenant_.spec.upstream_id(),
          ", which isolates by header; name source_tenant_ids, or keep the "
          "tenants at one upstream that isolates by label"));
      return false;
    }
    grant->every_source = true;
    parts->emplace_back();
    return true;
  }
  std::map<std::vector<std::string>, std::set<SortedLabels>> by_names;
  for (const std::string& id : access.spec.source_tenant_ids()) {
    const Tenant* const source = FindSource(access, id);
    if (source == nullptr) continue;
    SortedLabels labels = Sorted(source->spec.enforced_labels());
    std::vector<std::string> names;
    for (const auto& label : labels) names.push_back(label.first);
    by_names[std::move(names)].insert(std::move(labels));
  }
  for (const auto& [names, sources] : by_names) {
    std::vector<std::string> joined;
    std::vector<std::string> alone;
    for (const SortedLabels& labels : sources) {
      std::vector<absl::string_view> values;
      for (const auto& label : labels) values.push_back(label.second);
      joined.push_back(ReadPolicy::Join(values));
      if (names.size() == 1) {
        alone.emplace_back(values[0]);
      } else {
        parts->push_back(Equalities(labels));
      }
    }
    std::sort(joined.begin(), joined.end());
    grant->sources.push_back({names, std::move(joined)});
    if (names.size() == 1) {
      for (Clause& part : OneOf(names[0], std::move(alone))) {
        parts->push_back(std::move(part));
      }
    }
  }
  return !parts->empty();
}

void ReadPolicyCompiler::AddClause(Clause clause) {
  std::vector<Clause>& clauses = policy_->clauses_;
  // What the tenant reads of its own includes many a grant.
  if (policy_->reads_own_ && Includes(clause, clauses.front())) return;
  if (std::find(clauses.begin(), clauses.end(), clause) == clauses.end()) {
    clauses.push_back(std::move(clause));
  }
}

void ReadPolicyCompiler::AddAccess(
    const std::shared_ptr<const Access>& access) {
  Grant grant;
  grant.access = access;
  std::vector<Clause> sources;
  if (!AddSources(&grant, &sources)) return;
  const SortedLabels labels = Sorted(access->spec.label_selectors());
  grant.label_selectors.assign(labels.begin(), labels.end());
  const Clause equalities = Equalities(labels);
  if (regex_cost_ > kMaxRegexCost) {
    Note(absl::StrCat("Access/", access->id,
                      ": the regular expressions of those before it cost more "
                      "than a tenant may have, and it grants nothing; write "
                      "simpler ones"));
    return;
  }
  for (const Clause& clause : access->clauses()) {
    for (const labels::Matcher& matcher : clause) {
      regex_cost_ += matcher.regex_cost();
    }
  }
  const std::vector<Clause> selectors = UniteClauses(access->clauses());
  if (policy_->clauses_.size() + sources.size() * selectors.size() >
      kMaxReadClauses) {
    Note(absl::StrCat(
        "Access/", access->id, ": makes ", sources.size() * selectors.size(),
        " clauses, with those before it more than the ", kMaxReadClauses,
        " of a tenant, and grants nothing; use names and expressions of names "
        "instead of selectors with braces, or fewer source tenants"));
    return;
  }
  for (const Clause& source : sources) {
    for (const Clause& selector : selectors) {
      Clause clause = source;
      if (Conjoin(equalities, &clause) && Conjoin(selector, &clause)) {
        AddClause(std::move(clause));
      }
    }
  }
  policy_->grants_.push_back(std::move(grant));
  policy_->access_ids_.push_back(access->id);
}

std::shared_ptr<const ReadPolicy> ReadPolicyCompiler::Compile(
    std::vector<std::shared_ptr<const Access>> accesses) {
  policy_->tenants_.emplace_back(tenant_.id.value(),
                                 snapshot_.ShareTenant(tenant_.id.value()));
  return Unite(std::move(accesses));
}

std::shared_ptr<const ReadPolicy> ReadPolicyCompiler::CompileOwn() {
  return Unite({});
}

std::shared_ptr<const ReadPolicy> ReadPolicyCompiler::Unite(
    std::vector<std::shared_ptr<const Access>> accesses) {
  policy_->upstream_id_ = tenant_.spec.upstream_id();
  policy_->upstream_ = snapshot_.ShareUpstream(policy_->upstream_id_);
  if (CanRead()) {
    switch (tenant_.spec.read_scope()) {
      case v1::Tenant::READ_SCOPE_UNSPECIFIED:
      case v1::Tenant::READ_SCOPE_OWN:
        AddOwn();
        break;
      default:
        break;
    }
    std::sort(accesses.begin(), accesses.end(),
              [](const auto& a, const auto& b) { return a->id < b->id; });
    for (const auto& access : accesses) AddAccess(access);
    policy_->clauses_ = UniteClauses(std::move(policy_->clauses_));
    if (policy_->reads_nothing() && policy_->notes_.empty()) {
      Note(
          "reads by READ_SCOPE_ACCESS, and no Access grants it anything; "
          "apply an Access for it, or set READ_SCOPE_OWN");
    }
  }
  if (left_out_ > 0) {
    policy_->notes_.push_back(absl::StrCat("and ", left_out_, " more"));
  }
  return std::move(policy_);
}

}  // namespace insula::tenancy
