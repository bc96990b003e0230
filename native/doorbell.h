#pragma once

#include <napi.h>

namespace switchyard {

// Adds createDoorbell, closeDoorbell and ring to the addon's exports; see doorbell.ts.
void add_doorbell(Napi::Env env, Napi::Object exports);

}  // namespace switchyard
