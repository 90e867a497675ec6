// What a conversion is shown as.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "tools/insulactl/console.h"
#include "tools/insulactl/convert/convert.h"

namespace insula::insulactl {

// A resource file, which has the configuration of the services as comments.
std::string ConversionYaml(const Conversion& conversion);

// One line: {"objects": [...], "configs": [{"service", "yaml"}],
// "notes": [{"kind": "none|changed|used|todo", "key", "where", "text"}]}.
std::string ConversionJson(const Conversion& conversion);

// Writes the files of Render() into `directory`, which is made if it is not
// there, and says so on the console. ALREADY_EXISTS: one of them is there, and
// none was written.
absl::Status WriteConversion(const Conversion& conversion,
                             const std::string& directory, Console* console);

// Whether some setting has no counterpart.
bool IsIncomplete(const Conversion& conversion);

// Names on stderr what has no counterpart; with `all`, also what means
// something else here, and what is to be done.
void TellNotes(const Conversion& conversion, bool all, Console* console);

}  // namespace insula::insulactl
