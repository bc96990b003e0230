#ifndef SWITCHYARD_UWS_READS_H
#define SWITCHYARD_UWS_READS_H

#include <napi.h>

namespace switchyard {

// Adds watchReads, forgetReads, checkChunks, forgetChunks and answerNow.
void add_uws_reads(Napi::Env env, Napi::Object exports);

}  // namespace switchyard

#endif
