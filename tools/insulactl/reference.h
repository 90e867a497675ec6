// The commands and their options as a page, and as completion of shells.
#pragma once

#include <string>

#include "tools/insulactl/options.h"

namespace insula::insulactl {

// For docs/insulactl.md.
std::string ReferenceMarkdown();

// Scripts that shells source.
std::string BashCompletion();
std::string ZshCompletion();
std::string FishCompletion();

// "" if it has none.
std::string DefaultOf(const Option& option);

}  // namespace insula::insulactl
