#include "services/query_frontend/local_answer.h"

#include <google/protobuf/util/json_util.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "insula/query/v1/query.pb.h"
#include "libs/promql/ast.h"
#include "libs/promql/parser.h"
#include "libs/promql/pretty.h"
#include "libs/promql/tree_json.h"
#include "libs/status/annotate.h"
#include "libs/status/status_macros.h"
#include "services/query_frontend/explain.h"
#include "services/query_frontend/json.h"
#include "services/query_frontend/json_copy.h"
#include "services/query_frontend/policy.h"

namespace insula::query_frontend {
namespace {

namespace v1 = ::insula::query::v1;

// That of the tenant's store, as far as it is known.
promql::Dialect DialectOf(const auth::Caller& caller, Pools* pools) {
  const absl::StatusOr<Policy> policy =
      PolicyOf(*caller.tenant, *caller.snapshot, pools);
  return policy.ok() ? policy->dialect : promql::Dialect();
}

// Grafana decides by it which parameters to send.
std::string VersionText(const promql::Version& version) {
  return absl::StrCat(version.release, ".", version.minor_release, ".0");
}

std::string SuccessJson(absl::string_view data) {
  return absl::StrCat(R"({"status":"success","data":)", data, "}");
}

absl::StatusOr<promql::ExprPtr> ParseQuery(const ApiParams& params,
                                           const auth::Caller& caller,
                                           Pools* pools) {
  promql::ParseOptions options;
  options.dialect = DialectOf(caller, pools);
  options.max_bytes =
      caller.snapshot->LimitsOf(*caller.tenant).max_query_bytes();
  absl::StatusOr<promql::ExprPtr> query = promql::Parse(params.query, options);
  if (query.ok()) return query;
  return Annotate(query.status(), "invalid parameter \"query\"");
}

absl::StatusOr<std::string> FormatJson(const promql::Expr& query) {
  ASSIGN_OR_RETURN(const std::string text, promql::PrettyPrint(query));
  return SuccessJson(JsonString(text));
}

absl::StatusOr<std::string> ExplainJson(const ApiParams& params,
                                        const auth::Caller& caller,
                                        Pools* pools) {
  // Its errors tell a refused tenant from a refused query.
  RETURN_IF_ERROR(PolicyOf(*caller.tenant, *caller.snapshot, pools).status());
  v1::ExplainRequest request;
  request.set_tenant_id(caller.tenant->id.value());
  request.set_query(params.query);
  ASSIGN_OR_RETURN(v1::ExplainResponse response,
                   ExplainQuery(request, *caller.snapshot, pools));
  response.clear_query_url();
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string data;
  if (!google::protobuf::util::MessageToJsonString(response, &data, options)
           .ok()) {
    return absl::InternalError("insula: the explanation is no JSON");
  }
  return SuccessJson(data);
}

}  // namespace

bool IsLocal(Endpoint endpoint) {
  return endpoint == Endpoint::kFormatQuery ||
         endpoint == Endpoint::kParseQuery ||
         endpoint == Endpoint::kBuildInfo || endpoint == Endpoint::kExplain;
}

absl::StatusOr<std::string> LocalAnswer(Endpoint endpoint,
                                        const ApiParams& params,
                                        const auth::Caller& caller,
                                        Pools* pools) {
  switch (endpoint) {
    case Endpoint::kFormatQuery: {
      ASSIGN_OR_RETURN(const promql::ExprPtr query,
                       ParseQuery(params, caller, pools));
      return FormatJson(*query);
    }
    case Endpoint::kParseQuery: {
      ASSIGN_OR_RETURN(const promql::ExprPtr query,
                       ParseQuery(params, caller, pools));
      return SuccessJson(promql::TreeJson(*query));
    }
    case Endpoint::kBuildInfo:
      return BuildInfoJson(VersionText(DialectOf(caller, pools).version));
    case Endpoint::kExplain:
      return ExplainJson(params, caller, pools);
    default:
      return absl::InternalError("insula: this is not answered here");
  }
}

}  // namespace insula::query_frontend
