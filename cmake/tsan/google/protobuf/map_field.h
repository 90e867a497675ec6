// Stands before protobuf's header of this name in the tsan preset.
//
// Under TSan that header gives every map field one member more. Debian's
// libprotobuf is built without TSan and does not know of it, so reflection on a
// map field would read past it. Here the header is read as the library was
// built.
#pragma once

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include_next <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
