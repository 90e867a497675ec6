// backup -o FILE.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tools/insulactl/commands.h"
#include "tools/insulactl/private_file.h"

namespace insula::insulactl {
namespace {

class Backup final : public Command {
 public:
  absl::string_view details() const override {
    return "Changes go on meanwhile. The file is there whole or not at all, "
           "and "
           "only its owner may read it: it holds hashes of tokens. A registry "
           "that is started on it has another epoch.";
  }
  void Declare(Options* options) override {
    options
        ->Text("-o,--output", "FILE", &file_,
               "The file to make, or to replace.")
        .required = true;
  }
  ExitCode Run(const Session& session) override {
    const auto client = session.Connect();
    if (!client.ok()) return session.Unusable(client.status());
    PrivateFile file(file_);
    absl::Status local = file.Open();
    int64_t revision = 0;
    int64_t total = -1;
    int64_t written = 0;
    if (local.ok()) {
      const absl::Status sent =
          (*client)->Backup([&](const v1::BackupResponse& piece) {
            if (piece.total_bytes() > 0) total = piece.total_bytes();
            if (piece.revision() > 0) revision = piece.revision();
            local = file.Write(piece.data());
            written += static_cast<int64_t>(piece.data().size());
            session.console.Progress(
                "KiB", static_cast<size_t>(written) >> 10,
                static_cast<size_t>(total < 0 ? 0 : total) >> 10);
            return local;
          });
      if (local.ok() && !sent.ok()) return session.Refused(sent);
    }
    if (local.ok() && written != total) {
      return session.Refused(absl::DataLossError(
          absl::StrCat("the backup has ", written, " bytes and should have ",
                       total, "; nothing was kept of it, try again")));
    }
    if (local.ok()) local = file.Commit();
    if (!local.ok()) {
      session.console.Error(local.message());
      return ExitCode::kLocal;
    }
    session.console.OutLine(absl::StrCat("revision ", revision, ", ", written,
                                         " bytes in ", file_));
    return ExitCode::kOk;
  }

 private:
  std::string file_;
};

}  // namespace

std::unique_ptr<Command> MakeBackup() { return std::make_unique<Backup>(); }

}  // namespace insula::insulactl
