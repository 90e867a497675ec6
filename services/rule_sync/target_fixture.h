// What the tests of targets share: units of desired rules, and where they run.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "libs/http/client.h"
#include "libs/metrics/metrics.h"
#include "libs/rules/write.h"
#include "libs/runtime/blocking_pool.h"
#include "services/rule_sync/target.h"

namespace insula::rule_sync {

inline std::string UidOf(absl::string_view tenant) {
  std::string uid(tenant);
  uid.resize(16, '.');
  return uid;
}

// A rule file with one group for each name; `more` differs for versions of it.
inline std::string FileWith(std::initializer_list<absl::string_view> groups,
                            absl::string_view more = "1") {
  std::string text = "groups:\n";
  for (const absl::string_view group : groups) {
    absl::StrAppend(&text, "- name: '", group,
                    "'\n  rules:\n  - record: 'r:", group, "'\n    expr: up * ",
                    more, "\n");
  }
  return text;
}

class TargetFixture : public testing::Test {
 protected:
  TargetFixture() {
    dir_ = std::filesystem::temp_directory_path() / "insula-rules.XXXXXX";
    EXPECT_NE(mkdtemp(dir_.data()), nullptr);
    unit_.idle = false;
    unit_.spec.timeout = absl::Seconds(20);
  }
  ~TargetFixture() override { std::filesystem::remove_all(dir_); }

  // Confined to `namespace`, if that is not empty.
  void AddTenant(const std::string& id, const std::string& name_space = "") {
    DesiredTenant& tenant = unit_.tenants[UidOf(id)];
    tenant.id = id;
    tenant.uid = UidOf(id);
    if (!name_space.empty()) {
      tenant.confinement = *rules::ConfinementTo({{"namespace", name_space}});
    }
  }

  // Sets or replaces a file; one without text is removed.
  void SetFile(const std::string& id, const std::string& stem,
               const std::string& text) {
    DesiredTenant& tenant = unit_.tenants.at(UidOf(id));
    std::erase_if(tenant.files,
                  [&stem](const auto& file) { return file->stem == stem; });
    if (text.empty()) return;
    Treatment treatment;
    treatment.dialect = rules::kPrometheus3;
    treatment.confinement = tenant.confinement;
    auto file = std::make_shared<DesiredFile>();
    file->source = stem + ".yaml";
    file->stem = stem;
    file->checked = CheckRuleFile(text, treatment);
    EXPECT_TRUE(file->checked.refused.empty()) << text;
    std::vector<rules::Group> groups;
    for (const CheckedGroup& group : file->checked.groups) {
      groups.push_back(group.group);
    }
    file->text = rules::Write(groups);
    tenant.files.push_back(std::move(file));
  }

  SyncResult Sync(Target* target, bool may_delete = true) {
    return boost::asio::co_spawn(
               boost::asio::make_strand(pool_.get_executor()),
               target->Sync(std::make_shared<const DesiredUnit>(unit_),
                            may_delete),
               boost::asio::use_future)
        .get();
  }

  static std::string TextOf(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string dir_;
  metrics::Registry metrics_;
  boost::asio::thread_pool pool_{2};
  runtime::BlockingPool blocking_{2, 100};
  http::Client client_{http::ClientOptions(), pool_.get_executor(), &metrics_};
  DesiredUnit unit_;
};

// The state of one group in a result.
inline GroupOutcome OutcomeOf(const SyncResult& result, const std::string& id,
                              const std::string& stem,
                              const std::string& group) {
  const auto it = result.outcomes.find({UidOf(id), stem, group});
  if (it == result.outcomes.end()) {
    ADD_FAILURE() << "nothing is said of " << id << " " << stem << " " << group;
    return {};
  }
  return it->second;
}

}  // namespace insula::rule_sync
