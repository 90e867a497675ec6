#include "libs/kube/resource.h"

#include "absl/strings/str_cat.h"
#include "libs/http/url.h"

namespace insula::kube {

using http::PercentEncode;

std::string Resource::CollectionPath(absl::string_view namespace_name) const {
  std::string path = group.empty()
                         ? absl::StrCat("api/", PercentEncode(version))
                         : absl::StrCat("apis/", PercentEncode(group), "/",
                                        PercentEncode(version));
  if (!namespace_name.empty()) {
    absl::StrAppend(&path, "/namespaces/", PercentEncode(namespace_name));
  }
  absl::StrAppend(&path, "/", PercentEncode(plural));
  return "/" + path;
}

std::string Resource::ObjectPath(absl::string_view namespace_name,
                                 absl::string_view name,
                                 absl::string_view subresource) const {
  std::string path =
      absl::StrCat(CollectionPath(namespace_name), "/", PercentEncode(name));
  if (!subresource.empty()) {
    absl::StrAppend(&path, "/", PercentEncode(subresource));
  }
  return path;
}

std::string Resource::Name() const {
  return group.empty() ? plural : absl::StrCat(plural, ".", group);
}

}  // namespace insula::kube
