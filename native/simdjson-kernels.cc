// simdjson's kernels for each processor generation; the best one is chosen when the addon is first used.
#include "simdjson.cpp"
