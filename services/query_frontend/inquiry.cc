#include "services/query_frontend/inquiry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "libs/auth/credentials.h"
#include "libs/http/url.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "libs/tenancy/tenant_id.h"

namespace insula::query_frontend {
namespace {

using Names = std::vector<std::string>;

constexpr absl::string_view kParameter = "namespace";

// The tenants of `texts`, each of which may be several by '|'.
absl::StatusOr<Names> ParseNames(const Names& texts, absl::string_view where) {
  Names names;
  for (const std::string& text : texts) {
    const std::vector<absl::string_view> parts = absl::StrSplit(text, '|');
    if (parts.size() + names.size() > kMaxTenants) {
      return absl::InvalidArgumentError(
          absl::StrCat("insula: ", where, " names more than ", kMaxTenants,
                       " tenants, ask for fewer at once"));
    }
    for (const absl::string_view part : parts) {
      const absl::StatusOr<tenancy::TenantId> id =
          tenancy::TenantId::Parse(part);
      if (!id.ok()) {
        return Annotate(id.status(), absl::StrCat("insula: ", where));
      }
      names.push_back(id->value());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// Whether a name among the parameters is, or could be the escaped, kParameter.
// What is wrong with the others is said where they are read.
bool MayName(absl::string_view query) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const absl::string_view piece = query.substr(0, end);
    const absl::string_view name = piece.substr(0, piece.find('='));
    if (name == kParameter || absl::StrContains(name, '%')) return true;
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

absl::StatusOr<Names> NamesInUrl(const http::Request& request) {
  if (!MayName(request.query())) return Names();
  absl::StatusOr<http::Params> params = http::ParseForm(request.query());
  if (!params.ok()) return Annotate(params.status(), "insula: URL query");
  Names texts;
  for (auto& [name, value] : *params) {
    if (name == kParameter) texts.push_back(std::move(value));
  }
  return ParseNames(texts, "parameter namespace");
}

// Whether the header says for whom a proven caller acts, and proves nothing.
bool IsHeaderMereChoice(const http::Request& request,
                        const auth::ListenerAuth& listener) {
  if (listener.trusted_header.empty() || listener.trusted_header_bound) {
    return true;
  }
  const auto credential = auth::FindCredential(request, listener);
  // What is wrong with it, authentication says.
  return credential.ok() && credential->has_value();
}

http::Request HeadOf(const http::Request& request) {
  http::Request head;
  head.method = request.method;
  head.target = request.target;
  head.headers = request.headers;
  head.peer = request.peer;
  head.deadline = request.deadline;
  head.id = request.id;
  return head;
}

absl::Status Conflict(absl::string_view one, const Names& first,
                      absl::string_view other, const Names& second) {
  return absl::InvalidArgumentError(absl::StrCat(
      "insula: ", one, " names tenant ", absl::StrJoin(first, "|"), ", ", other,
      " names ", absl::StrJoin(second, "|"), ": name it once"));
}

}  // namespace

absl::Status Inquiry::Check(const auth::Caller& caller) const {
  if (tenant_id_.empty() || caller.tenant->id.value() == tenant_id_) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("insula: the request names tenant ", tenant_id_,
                   ", but its caller is tenant ", caller.tenant->id.value()));
}

absl::StatusOr<std::vector<Inquiry>> InquiriesOf(
    const http::Request* request, const Route& route,
    const auth::ListenerAuth& listener) {
  const std::string& header = listener.TenantHeader();
  ASSIGN_OR_RETURN(Names named, NamesInUrl(*request));
  absl::string_view where = "parameter namespace";
  if (!route.tenant.empty()) {
    ASSIGN_OR_RETURN(const Names path, ParseNames({route.tenant}, "the path"));
    if (!named.empty() && named != path) {
      return Conflict("the path", path, where, named);
    }
    named = path;
    where = "the path";
  }
  std::vector<Inquiry> inquiries;
  const size_t count = request->headers.Count(header);
  const bool choice = IsHeaderMereChoice(*request, listener);
  // A header that comes twice is for authentication to refuse. So is a list in
  // one that proves who it is: it may hold a name that somebody chose freely.
  if (count == 1) {
    const std::string text(*request->headers.Get(header));
    if (absl::StrContains(text, '|') ? !choice : named.empty()) {
      inquiries.emplace_back(request);
      return inquiries;
    }
    ASSIGN_OR_RETURN(const Names given,
                     ParseNames({text}, absl::StrCat("header ", header)));
    if (!named.empty() && named != given) {
      return Conflict(absl::StrCat("header ", header), given, where, named);
    }
    named = given;
  }
  const bool may_set = count == 1 || (count == 0 && choice);
  for (std::string& name : named) {
    http::Request head = HeadOf(*request);
    if (may_set) head.headers.Set(header, name);
    inquiries.emplace_back(std::move(head), std::move(name));
  }
  if (inquiries.empty()) inquiries.emplace_back(request);
  return inquiries;
}

}  // namespace insula::query_frontend
